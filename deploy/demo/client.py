"""A caller of the API and of the sandbox, as an app would write it: standard library only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

TIME_LIMIT = 15.0  # seconds; gopay answers within 12 whatever a channel does


class CallFailed(Exception):
    """The answer was not what was expected; the text says what came."""


def _post(url: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIME_LIMIT) as answer:  # noqa: S310
            text = answer.read()
    except urllib.error.HTTPError as exc:
        text = exc.read()
        if exc.code >= 500 and not text.startswith(b"{"):
            raise CallFailed(f"{url} answered {exc.code}") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise CallFailed(f"{url} cannot be reached: {exc}") from exc
    try:
        return dict(json.loads(text))
    except ValueError as exc:
        raise CallFailed(f"{url} did not answer with JSON: {text[:200]!r}") from exc


def answers(url: str) -> bool:
    """Whether a health address says that its program is up."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 -- our own http address
            return bool(answer.status == 200)
    except (OSError, ValueError, http.client.HTTPException):
        return False


@dataclass(frozen=True, slots=True)
class Client:
    """Signs with HMAC-SHA256 over method, path, time, nonce and body."""

    base_url: str
    app_id: str
    secret: str = field(repr=False)

    def call(self, path: str, **content: Any) -> dict[str, Any]:
        """The `data` of the answer. Raises CallFailed for any `errno` but 0."""
        answer = self.ask(path, **content)
        if answer.get("errno") != 0:
            raise CallFailed(f"{path} answered {json.dumps(answer, ensure_ascii=False)}")
        return dict(answer["data"])

    def ask(self, path: str, **content: Any) -> dict[str, Any]:
        """The answer's envelope, whatever its `errno`. Raises CallFailed where none came."""
        body = json.dumps(content, ensure_ascii=False).encode()
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        text = b"\n".join([b"POST", path.encode(), timestamp.encode(), nonce.encode(), body, b""])
        signature = hmac.new(self.secret.encode(), text, hashlib.sha256).digest()
        return _post(f"{self.base_url}{path}", body, {
            "X-App-Id": self.app_id, "X-Timestamp": timestamp, "X-Nonce": nonce,
            "X-Sign-Type": "HMAC-SHA256", "X-Signature": base64.b64encode(signature).decode(),
        })  # fmt: skip


def pay_as_payer(sandbox_url: str, attempt_no: str, pay: dict[str, Any]) -> dict[str, Any]:
    """Have the sandbox's wallet pay what `gopay` answered. Raises CallFailed."""
    body = json.dumps({"attempt_no": attempt_no, "pay": pay}).encode()
    return _post(f"{sandbox_url}/control/pay", body, {})
