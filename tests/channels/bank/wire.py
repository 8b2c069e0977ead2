"""The bank's side of the wire, written apart from the product: checks requests, signs answers and notices."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

BRANCH, CO_NO = "0755", "000123"
SERIAL = "2026112055000000000000000001"


def text_of(fields: dict[str, str]) -> bytes:
    return "&".join(f"{k}={fields[k]}" for k in sorted(fields) if k != "Signature").encode()


def request_is_signed_by(key: RSAPublicKey, fields: dict[str, str]) -> bool:
    try:
        key.verify(base64.b64decode(fields["Signature"]), text_of(fields), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, KeyError):
        return False
    return True


def signed(
    fields: dict[str, str | None], key: RSAPrivateKey, algorithm: hashes.HashAlgorithm | None = None
) -> dict[str, str]:
    """A message of the bank; a field of None is left out."""
    whole = {"Version": "1.0", "BranchID": BRANCH, "CoNo": CO_NO, "SignType": "RSA2"} | fields
    sent = {k: v for k, v in whole.items() if v is not None}
    signature = key.sign(text_of(sent), padding.PKCS1v15(), algorithm or hashes.SHA256())
    return sent | {"Signature": base64.b64encode(signature).decode()}


def form(fields: dict[str, str]) -> str:
    return "&".join(f"{k}={quote_plus(v)}" for k, v in fields.items())


def notice_fields(**changes: str | None) -> dict[str, str | None]:
    return {
        "MsgType": "notice.payment", "NoticeNo": "n-1", "BillNo": "0000000001", "Date": "20261121",
        "Amount": "12.34", "OrderStatus": "PAID", "BankSerialNo": SERIAL, "PaidTime": "20261121023107",
        "CardType": "CREDIT", "PayerAccount": "622588******1234",
    } | changes  # fmt: skip


Reply = bytes | tuple[int, bytes]


class BankServer:
    """A local bank that answers what the test's `reply` makes of the path and the fields."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str]]] = []
        self.reply: Callable[[str, dict[str, str]], Reply] = lambda _path, _fields: (404, b"")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                fields = dict(parse_qsl(raw, keep_blank_values=True, strict_parsing=True))
                outer.received.append((self.path, fields))
                reply = outer.reply(self.path, fields)
                status, content = reply if isinstance(reply, tuple) else (200, reply)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/netpay"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
