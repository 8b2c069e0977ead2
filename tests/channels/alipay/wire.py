"""Alipay's side of the wire, written apart from the product: checks requests, signs answers and notices."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

APP_ID, SELLER_ID = "2021000000000001", "2088000000000001"


def rsa_sign(key: RSAPrivateKey, data: bytes, algorithm: hashes.HashAlgorithm | None = None) -> str:
    signature = key.sign(data, padding.PKCS1v15(), algorithm or hashes.SHA256())
    return base64.b64encode(signature).decode()


def request_is_signed_by(key: RSAPublicKey, received: dict[str, str]) -> bool:
    """The check Alipay makes: everything but `sign`, `sign_type` included."""
    text = "&".join(f"{k}={received[k]}" for k in sorted(received) if k != "sign")
    try:
        key.verify(base64.b64decode(received["sign"]), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except Exception:
        return False
    return True


def answer(method: str, inner: str, key: RSAPrivateKey | None, **members: str) -> bytes:
    """One JSON text around `inner`, exactly as given; unsigned without a key."""
    parts = [f'"{method.replace(".", "_")}_response":{inner}']
    parts += [f'"{name}":{json.dumps(value)}' for name, value in members.items()]
    if key is not None:
        parts.append(f'"sign":"{rsa_sign(key, inner.encode())}"')
    return ("{" + ",".join(parts) + "}").encode()


def notice_fields(**changes: str | None) -> dict[str, str]:
    """A payment notification as recorded, invented numbers; None removes a field."""
    fields: dict[str, str | None] = {
        "gmt_create": "2026-11-20 10:00:00", "charset": "utf-8", "gmt_payment": "2026-11-20 10:00:07",
        "notify_time": "2026-11-20 10:00:08", "subject": "物业费 1+1 栋", "buyer_id": "2088123412341234",
        "invoice_amount": "12.34", "version": "1.0", "notify_id": "2026112000222100008",
        "fund_bill_list": '[{"amount":"2.34","fundChannel":"COUPON"},'
                          '{"amount":"10.00","fundChannel":"PCREDIT"}]',
        "notify_type": "trade_status_sync", "out_trade_no": "A0000000000000001", "total_amount": "12.34",
        "trade_status": "TRADE_SUCCESS", "trade_no": "2026112022001400000000000001",
        "auth_app_id": APP_ID, "receipt_amount": "12.34", "point_amount": "0.00", "app_id": APP_ID,
        "buyer_pay_amount": "10.00", "seller_id": SELLER_ID, "body": "",
    }  # fmt: skip
    fields.update(changes)
    return {k: v for k, v in fields.items() if v is not None}


def signed_form(
    fields: dict[str, str],
    key: RSAPrivateKey,
    *,
    algorithm: hashes.HashAlgorithm | None = None,
    sign_type: str | None = "RSA2",
    codec: str = "utf-8",
) -> str:
    """Form text, signed over every field (empty ones too) without `sign` and `sign_type`."""
    text = "&".join(f"{k}={fields[k]}" for k in sorted(fields))
    sent = {**fields, "sign": rsa_sign(key, text.encode(codec), algorithm)}
    if sign_type is not None:
        sent["sign_type"] = sign_type
    return "&".join(f"{k}={quote_plus(v.encode(codec))}" for k, v in sent.items())


Reply = bytes | tuple[int, bytes]


class GatewayServer:
    """A local gateway that answers what the test's `reply` makes of the merged parameters."""

    def __init__(self) -> None:
        self.received: list[dict[str, str]] = []
        self.bodies: list[dict[str, str]] = []
        self.reply: Callable[[dict[str, str]], Reply] = lambda _parameters: (404, b"")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                body = dict(parse_qsl(raw, keep_blank_values=True))
                query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
                outer.received.append({**query, **body})
                outer.bodies.append(body)
                reply = outer.reply({**query, **body})
                status, content = reply if isinstance(reply, tuple) else (200, reply)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                with suppress(ConnectionError):  # a caller that waited long enough
                    self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/gateway.do"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def content(self, index: int = -1) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.received[index]["biz_content"])
        return found

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
