"""UnionPay's side of the wire, written apart from the product: certificates, signing, checking requests."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509.oid import NameOID

MER_ID = "777290058110097"
REAL_NAME = "041@8310000000083040@中国银联股份有限公司@00016495"
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)


@dataclass
class Party:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: RSAPrivateKey = field(repr=False)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def crlf(self) -> str:
        """As UnionPay sends it: lines ended by CRLF, none after the last."""
        return self.pem.strip().replace("\n", "\r\n")


def party(
    name: str, issuer: Party | None = None, *, authority: bool = False, since: datetime = SINCE,
    until: datetime = UNTIL, signer: RSAPrivateKey | None = None,
) -> Party:  # fmt: skip
    """`signer` instead of the issuer's own key makes a certificate that only claims its issuer."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )  # fmt: skip
    signing = signer or (issuer.key if issuer else key)
    return Party(builder.sign(signing, hashes.SHA256()), key)


def signing_text(fields: dict[str, str]) -> bytes:
    kept = {k: v for k, v in fields.items() if k != "signature" and v != ""}
    return "&".join(f"{k}={kept[k]}" for k in sorted(kept)).encode()


def rsa_sign(key: RSAPrivateKey, data: bytes, algorithm: hashes.HashAlgorithm) -> str:
    return base64.b64encode(key.sign(data, padding.PKCS1v15(), algorithm)).decode()


def signed(fields: dict[str, str], by: Party, **changes: Any) -> dict[str, str]:
    """As UnionPay signs: the hexadecimal digest, once more with SHA-256."""
    found = {**fields, "signPubKeyCert": by.crlf, **changes}
    digest = hashlib.sha256(signing_text(found)).hexdigest().encode()
    return {**found, "signature": rsa_sign(by.key, digest, hashes.SHA256())}


def raw(fields: dict[str, str]) -> bytes:
    """A synchronous answer: joined, not encoded."""
    return "&".join(f"{k}={v}" for k, v in fields.items()).encode()


def form(fields: dict[str, str]) -> bytes:
    return urlencode(fields).encode()


def request_is_signed_by(key: RSAPublicKey, received: dict[str, str]) -> bool:
    digest = hashlib.sha256(signing_text(received)).hexdigest().encode()
    try:
        key.verify(base64.b64decode(received["signature"]), digest, padding.PKCS1v15(), hashes.SHA256())
    except Exception:
        return False
    return True


def notice(**changes: str | None) -> dict[str, str]:
    """Fields of a payment notice, before signing."""
    fields: dict[str, str | None] = {
        "accNo": "ORRSXWY1kMr8UJNx+/pA==", "accessType": "0", "bizType": "000201", "currencyCode": "156",
        "encoding": "UTF-8", "exchangeRate": "0", "merId": MER_ID, "orderId": "A0000000000000001",
        "queryId": "782611201830050674028", "respCode": "00", "respMsg": "成功[0000000]", "settleAmt": "1234",
        "settleCurrencyCode": "156", "settleDate": "1121", "signMethod": "01", "traceNo": "067402",
        "traceTime": "1121023005", "txnAmt": "1234", "txnSubType": "01", "txnTime": "20261121023005",
        "txnType": "01", "version": "5.1.0",
    }  # fmt: skip
    fields.update(changes)
    return {k: v for k, v in fields.items() if v is not None}


Reply = bytes | tuple[int, bytes]


class GatewayServer:
    """A local gateway that answers what the test's `reply` makes of the request's fields."""

    def __init__(self) -> None:
        self.received: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.reply: Callable[[dict[str, str]], Reply] = lambda _fields: (404, b"")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                outer.paths.append(self.path)
                outer.received.append(dict(parse_qsl(body, keep_blank_values=True)))
                reply = outer.reply(outer.received[-1])
                status, content = reply if isinstance(reply, tuple) else (200, reply)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/gateway/api"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
