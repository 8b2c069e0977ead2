"""The apps' end: a receiver that writes down every notification, checks its signature, and sometimes fails."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from deploy.soak.record import Record

# How a receiver that fails does so, and how often it does.
FAILURES = ("500", "not_success", "slow", "reset")
FAILING = 0.2


class Receiver:
    """Serves `/APP_ID` for every app in `secrets`. `behaving` makes it acknowledge everything from then on."""

    def __init__(self, seed: int, record: Record) -> None:
        self._seed, self._record = seed, record
        self.secrets: dict[str, str] = {}
        self._times: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.behaving = False

    def how(self, name: str, number: int) -> str:
        """How a message of this name is answered the `number`th time: one seed fails the same ones, whenever they
        come."""
        random = Random(f"receiver:{self._seed}:{name}:{number}")
        if self.behaving or random.random() >= FAILING:
            return "success"
        return random.choice(FAILURES)

    def times(self, webhook_id: str) -> int:
        """How often it has come, this time included."""
        with self._lock:
            self._times[webhook_id] += 1
            return self._times[webhook_id]

    def is_genuine(self, app_id: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether one of the signatures (Standard Webhooks) is the app's."""
        secret = self.secrets.get(app_id, "")
        text = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        wanted = "v1," + base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
        return wanted in (headers.get("webhook-signature") or "").split()

    def take(self, app_id: str, headers: Mapping[str, str], body: bytes, at: float, how: str) -> None:
        message: dict[str, Any] = json.loads(body)
        self._record.receipt(
            at=at, app_id=app_id, webhook_id=headers.get("webhook-id"), type=message.get("type"), body=body.decode(),
            genuine=self.is_genuine(app_id, headers, body), acknowledged=how == "success",
        )  # fmt: skip

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Yields its base URL."""
        server = _Server(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()


def name_of(body: bytes) -> str:
    """A message by what its app calls things, which one seed calls alike in every run."""
    message = json.loads(body)
    data = message.get("data") or {}
    return f"{message.get('type')}:{data.get('app_order_no')}:{data.get('app_refund_no')}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # a worker sends that many at once; who waits longer than it does is told again

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked was killed before the answer: nothing of ours failed."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            at = time.time()
            headers = {name.lower(): value for name, value in self.headers.items()}
            how = receiver.how(name_of(body), receiver.times(headers.get("webhook-id", "")))
            if how == "slow":
                time.sleep(1.5)
            # Taken down before it is acknowledged: a receipt is never missing here.
            receiver.take(self.path.strip("/"), headers, body, at, "success" if how == "slow" else how)
            if how == "reset":
                self.close_connection = True
                return
            answer = b"try later" if how == "not_success" else b"success"
            self.send_response(500 if how == "500" else 200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: object) -> None:
            pass

    return Handler
