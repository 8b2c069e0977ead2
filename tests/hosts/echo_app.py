"""A web host's program for tests of what is in front of it: answers with what reached it; `/seen` tells every path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

seen: list[str] = []


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    length = len(environ["wsgi.input"].read())
    path = environ["PATH_INFO"]
    headers = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    content = {"path": path, "length": length, "headers": headers, "seen": seen if path == "/seen" else []}
    seen.append(path)
    body = json.dumps(content).encode()
    start("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "application/json")])
    return [body]
