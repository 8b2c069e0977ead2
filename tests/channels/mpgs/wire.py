"""The platform's side of the wire: answers as queued and remembers what was asked. Imports nothing under test."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

MERCHANT = "20230211"
ORDER_NO = "20261121A0000000000000000001"
CLIENT_ID, CLIENT_SECRET = "center:app 1", "s3cret/+%&: x"
WEBHOOK_SECRET = "9F1E5DE6D1B7A39D5E6F0A4C3B2A1908"
API_PASSWORD = "9c5d0de1a2b34f5e8a7b6c5d4e3f2a1b"


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass
class Said:
    """`drop` breaks the connection instead of answering; `delay` in seconds."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False


class Platform:
    """Token requests get `token-1`, `token-2` ... or what `token_replies` says; calls get `replies` in turn."""

    def __init__(self) -> None:
        self.replies: list[Said] = []
        self.token_replies: list[Said] = []
        self.asked: list[Asked] = []
        self.token_life: Any = 3600
        self.token_delay = 0.0
        self._lock, self._issued = threading.Lock(), 0
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                platform.handle(self, Asked(self.command, self.path, headers, body))

            do_GET = do_POST = do_PUT = _serve

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def forget(self) -> None:
        self.__dict__.update(replies=[], token_replies=[], asked=[], token_life=3600, token_delay=0.0, _issued=0)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def token_calls(self) -> list[Asked]:
        return [a for a in self.asked if a.path == "/oauth2/token"]

    @property
    def calls(self) -> list[Asked]:
        return [a for a in self.asked if a.path != "/oauth2/token"]

    def says(self, status: int, data: Any = b"", **more: Any) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.replies.append(Said(status, body, **more))

    def handle(self, out: BaseHTTPRequestHandler, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)
            said = self._token() if asked.path == "/oauth2/token" else self.replies.pop(0)
        time.sleep(said.delay)
        if said.drop:
            out.close_connection = True
            return
        out.send_response(said.status)
        for name, value in said.headers.items():
            out.send_header(name, value)
        out.send_header("Content-Length", str(len(said.body)))
        out.end_headers()
        out.wfile.write(said.body)

    def _token(self) -> Said:
        if self.token_replies:
            return self.token_replies.pop(0)
        self._issued += 1
        data = {"access_token": f"token-{self._issued}", "token_type": "Bearer", "expires_in": self.token_life}
        return Said(200, json.dumps({k: v for k, v in data.items() if v is not None}).encode(), delay=self.token_delay)


def error(cause: str, explanation: str = "", **more: str) -> dict[str, Any]:
    return {"error": {"cause": cause, "explanation": explanation, **more}, "result": "ERROR"}


INVALID_TOKEN = {"WWW-Authenticate": 'Bearer realm="x", error="invalid_token", error_description="expired"'}
CREATED = {
    "id": ORDER_NO, "status": "INITIATED", "merchant": MERCHANT, "result": "SUCCESS",
    "session": {"id": "SESSION0002580462196G6604316I00", "updateStatus": "SUCCESS", "version": "f1d1ae3901"},
    "successIndicator": "4a0f35687c204nfb", "checkout_url": "https://pay.example.com/c/SESSION0002580462196G6604316I00",
}  # fmt: skip


def record(kind: str, result: str, when: str) -> dict[str, Any]:
    """One entry of an order's `transaction` list."""
    return {"result": result, "timeOfRecord": when, "transaction": {"type": kind}}


def order_json(**changes: Any) -> dict[str, Any]:
    """A captured order as Retrieve Order gives it; None removes a field."""
    data = {
        "id": ORDER_NO, "merchant": MERCHANT, "result": "SUCCESS", "status": "CAPTURED", "amount": 123.45,
        "currency": "CNY", "totalAuthorizedAmount": 123.45, "totalCapturedAmount": 123.45, "totalRefundedAmount": 0,
        "creationTime": "2026-11-21T06:23:33.149Z", "lastUpdatedTime": "2026-11-23T00:00:00.000Z",
        "sourceOfFunds": {"provided": {"card": {"number": "512345xxxxxx0008", "fundingMethod": "CREDIT"}}},
        "transaction": [
            record("AUTHENTICATION", "SUCCESS", "2026-11-21T06:23:50.000Z"),
            record("PAYMENT", "FAILURE", "2026-11-21T06:24:00.000Z"),
            record("PAYMENT", "SUCCESS", "2026-11-21T06:24:32.156Z"),
        ],
    }  # fmt: skip
    return {k: v for k, v in (data | changes).items() if v is not None}
