"""An app's (or a robot's) web server on a port of its own, doing whatever a test wants."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Got:
    """One request as it came over the wire."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Say:
    """What to answer. `after` seconds; `hang` never answers until the receiver stops; `drip` is how many seconds pass
    before each byte, of the whole answer or (`drip_body`) of its body."""

    status: int = 200
    body: bytes = b"success"
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    hang: bool = False
    drip: float = 0.0
    drip_body: bool = False


class Receiver:
    """`answers` maps a path to a Say, a list of them (the last repeats), or a function of the request."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.connections = 0
        self.open_now = 0
        self.most_open = 0
        self.dripped = 0  # bytes
        self.answers: dict[str, Say | list[Say] | Callable[[Got], Say]] = {}
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._server = _server(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def url(self, path: str = "/told", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def of(self, path: str) -> list[Got]:
        with self._lock:
            return [one for one in self.got if urlsplit(one.path).path == path]

    def answer(self, got: Got) -> Say:
        with self._lock:
            self.got.append(got)
            planned = self.answers.get(urlsplit(got.path).path, Say())
            if isinstance(planned, list):
                return planned.pop(0) if len(planned) > 1 else planned[0]
        return planned(got) if callable(planned) else planned

    def entered(self, step: int) -> None:
        with self._lock:
            self.open_now += step
            self.most_open = max(self.most_open, self.open_now)

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


def _server(owner: Receiver) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            owner.entered(+1)
            try:
                self._answer(owner.answer(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body)))
            finally:
                owner.entered(-1)

        do_GET = do_POST

        def _answer(self, say: Say) -> None:
            if say.hang:
                owner.stopping.wait(30)
                self.close_connection = True
                return
            owner.stopping.wait(say.after)
            if say.drip and not say.drip_body:
                self._drip(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(say.body) + say.body, say.drip)
                return
            self.send_response(say.status)
            for name, value in say.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(say.body)))
            self.end_headers()
            if say.drip:
                self._drip(say.body, say.drip)
            else:
                self.wfile.write(say.body)

        def _drip(self, whole: bytes, pause: float) -> None:
            self.close_connection = True
            for at in range(len(whole)):
                if owner.stopping.wait(pause):
                    return
                self.wfile.write(whole[at : at + 1])
                with owner._lock:
                    owner.dripped += 1

        def log_message(self, *_args: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the client went away, as clients with a time limit do
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def get_request(self) -> Any:
            accepted = super().get_request()
            owner.connections += 1
            return accepted

    return Server(("127.0.0.1", 0), Handler)


def verified(got: Got, secret: str) -> bool:
    """Check a Standard Webhooks signature as a receiver does, written from the public specification."""
    key = base64.b64decode(secret.split("_", 1)[1])
    text = b".".join([got.headers["webhook-id"].encode(), got.headers["webhook-timestamp"].encode(), got.body])
    wanted = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    fresh = abs(time.time() - int(got.headers["webhook-timestamp"])) < 300
    offered = got.headers["webhook-signature"].split(" ")
    return fresh and any(hmac.compare_digest(f"v1,{wanted}", one) for one in offered)


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)
