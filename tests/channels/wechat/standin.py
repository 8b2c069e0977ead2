"""WeChat Pay's side of the wire, written from the protocol alone: verifies as strictly, signs as asked.

Nothing here imports the code under test.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

API_V3_KEY = "a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb"
PUB_KEY_ID = "PUB_KEY_ID_0114232134912410000000000000"
MCH_ID = "1900007291"
APP_ID = "wxd678efh567hg6787"
NONCE_CHARS = re.compile(r"[0-9A-Za-z]{1,32}")
_PAIR = re.compile(r'([a-z_]+)="([^"]*)"')


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def new_certificate(
    key: rsa.RSAPrivateKey, *, serial: int | None = None, days: int = 365
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, MCH_ID)])
    start = datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(min(start, start + timedelta(days=days - 1)))
        .not_valid_after(start + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )  # fmt: skip


def pem(thing: Any) -> str:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM).decode()
    if isinstance(thing, rsa.RSAPublicKey):
        return thing.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
    return thing.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def hex_serial(certificate: x509.Certificate) -> str:
    size = (certificate.serial_number.bit_length() + 7) // 8
    return certificate.serial_number.to_bytes(size, "big").hex().upper()


def seal(plain: bytes, aad: str, key: str = API_V3_KEY) -> dict[str, str]:
    nonce = "fdasflkja484"
    data = AESGCM(key.encode()).encrypt(nonce.encode(), plain, aad.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM", "nonce": nonce, "associated_data": aad,
        "original_type": aad,
        "ciphertext": base64.b64encode(data).decode(),
    }  # fmt: skip


@dataclass
class Signer:
    """One key WeChat Pay signs with, and the serial it names."""

    key: rsa.RSAPrivateKey
    serial: str

    def headers(self, body: bytes, *, at: float | None = None) -> dict[str, str]:
        stamp, nonce = str(int(time.time() if at is None else at)), "c5ac7061fccab6bf3e254dcf98995b8c"
        text = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        signature = self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        return {
            "Wechatpay-Serial": self.serial, "Wechatpay-Timestamp": stamp, "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }  # fmt: skip


@dataclass
class Request:
    """One request as it came over the wire; `target` is the raw path and query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Reply:
    """`sign` is the signer; None leaves the answer unsigned. `change` may spoil the headers."""

    status: int
    body: bytes = b""
    sign: Signer | None = None
    at: float | None = None
    change: Callable[[dict[str, str]], None] | None = None
    then_break: bool = False
    delay: float = 0.0  # seconds


@dataclass
class Standin:
    """Answers each request with the next queued reply, after checking its signature."""

    merchant_certificate: x509.Certificate
    replies: list[Reply] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def start(self) -> None:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                standin.handle(self, Request(self.command, self.path, headers, body))

            do_GET = do_POST = _serve

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()

    def handle(self, out: BaseHTTPRequestHandler, request: Request) -> None:
        self.requests.append(request)
        unsigned = request.target.startswith(("/sns/", "/pay/", "/papay/"))  # or signed in the body, as API v2 is
        problem = "" if unsigned else self.problem_with(request)
        if problem:
            reply = Reply(401, json.dumps({"code": "SIGN_ERROR", "message": problem}).encode())
        else:
            reply = self.replies.pop(0)
        time.sleep(reply.delay)
        if reply.then_break:
            out.close_connection = True
            return
        out.send_response(reply.status)
        headers = reply.sign.headers(reply.body, at=reply.at) if reply.sign else {}
        if reply.change:
            reply.change(headers)
        for name, value in headers.items():
            out.send_header(name, value)
        if reply.status != 204:
            out.send_header("Content-Length", str(len(reply.body)))
        out.end_headers()
        out.wfile.write(reply.body)

    def problem_with(self, request: Request) -> str:
        """What WeChat Pay would say about the Authorization header; empty when it is right."""
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        pairs = dict(_PAIR.findall(rest))
        if scheme != "WECHATPAY2-SHA256-RSA2048" or ", " in rest or len(pairs) != 5:
            return "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"
        if not request.headers.get("user-agent"):
            return "Http头缺少User-Agent"
        if abs(time.time() - int(pairs["timestamp"])) > 300:
            return "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"
        right = pairs["mchid"] == MCH_ID and pairs["serial_no"] == hex_serial(self.merchant_certificate)
        if not right or not NONCE_CHARS.fullmatch(pairs["nonce_str"]):
            return "签名错误"
        parts = (request.method, request.target, pairs["timestamp"], pairs["nonce_str"], "")
        text = "\n".join(parts).encode() + request.body + b"\n"
        key = self.merchant_certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        try:
            key.verify(base64.b64decode(pairs["signature"]), text, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return "签名错误"
        return ""
