"""The center's public entrance at a real address, its requests handled inside the test's own transaction.

A channel's bytes come over a socket; the test's thread hands them to Django (URLs, middleware, view)
and gives the answer back. What arrives while nobody looks is turned away, as by a center that is down.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from django.test import Client

from channels.base import InboundRequest

T = TypeVar("T")
_SECONDS = 8.0
_OF_THE_CONNECTION = {"host", "connection", "content-length", "content-type", "transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as it came, and the center's answer."""

    request: InboundRequest
    status: int
    body: bytes
    headers: dict[str, str]


class Entrance:
    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[InboundRequest, queue.Queue[Heard]]] = queue.Queue()
        self._open = False
        self._client: Client | None = None  # made on first use; loading the middleware takes a while
        self.heard: list[Heard] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        self.heard.clear()

    def about(self, attempt_no: str) -> list[Heard]:
        """What came for one attempt, oldest first."""
        return [h for h in self.heard if h.request.path.endswith(f"/{attempt_no}")]

    def during(self, work: Callable[[], T]) -> T:
        """Run `work` elsewhere and answer what it makes the channel send."""
        self._open = True  # before the first request can come
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(work)
            self.until(running.done)
            return running.result()

    def until(self, done: Callable[[], object]) -> None:
        """Answer requests until `done`; fails after some seconds."""
        deadline = time.monotonic() + _SECONDS
        self._open = True
        try:
            while not done():
                assert time.monotonic() < deadline, "what the test waits for did not come"
                self._answer_one()
        finally:
            self._open = False

    def request(self, inbound: InboundRequest) -> Heard:
        """One request, handled as the entrance handles every other."""
        headers = {name: value for name, value in inbound.headers.items() if name not in _OF_THE_CONNECTION}
        if self._client is None:
            self._client = Client()
        self._client.cookies.clear()
        answer = self._client.generic(
            inbound.method, inbound.path + (f"?{inbound.query}" if inbound.query else ""), inbound.body,
            content_type=inbound.headers.get("content-type", ""), headers=headers,
        )  # fmt: skip
        found = Heard(inbound, answer.status_code, answer.content, {k.lower(): v for k, v in answer.items()})
        self.heard.append(found)
        return found

    def _answer_one(self) -> None:
        try:
            inbound, box = self._waiting.get(timeout=0.01)
        except queue.Empty:
            return
        box.put(self.request(inbound))

    def _ask(self, inbound: InboundRequest) -> Heard:
        down = Heard(inbound, 503, b"", {})
        if not self._open:
            return down
        box: queue.Queue[Heard] = queue.Queue(1)
        self._waiting.put((inbound, box))
        try:
            return box.get(timeout=4)
        except queue.Empty:
            return down

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        entrance = self

        class Handler(BaseHTTPRequestHandler):
            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _mark, query = self.path.partition("?")
                answer = entrance._ask(InboundRequest(
                    method=self.command, path=path, query=query, body=body,
                    headers={k.lower(): v for k, v in self.headers.items()},
                ))  # fmt: skip
                self.send_response(answer.status)
                if answer.status != 204:
                    self.send_header("Content-Type", answer.headers.get("content-type", "text/plain"))
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if answer.status != 204:
                    self.wfile.write(answer.body)

            do_POST = do_GET = _handle

            def log_message(self, *args: Any) -> None:
                pass

        return Handler
