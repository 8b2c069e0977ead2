"""How WeChat Pay API v3 is spoken: the Authorization header, signed answers, unsigned errors.

https://pay.weixin.qq.com/doc/v3/merchant/4012365342 (requests), .../4013053420 (answers)
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox import keys
from sandbox.context import Context
from sandbox.faults import Call, Signature, serve
from sandbox.records import Account

SCHEME = "WECHATPAY2-SHA256-RSA2048"
WINDOW_SECONDS = 300
_FORMAT = "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"
_SIGN_INFO = "签名信息错误，验签失败"
_PAIR = re.compile(r'(\w+)="([^"]*)"')
_HEADER = re.compile(r'(?:\w+="[^"]*")(?:,\w+="[^"]*")*')
_FIELDS = {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}


class Problem(Exception):
    """An error answer: HTTP status, WeChat's code, WeChat's words. Never signed."""

    def __init__(self, status: int, code: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.detail = status, code, message, detail

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        return body | {"detail": dict(self.detail)} if self.detail else body


def parameter_error(field: str, issue: str, location: str = "body") -> Problem:
    """The documented shape of a refused parameter."""
    detail = {"location": location, "field": f"/{location}/{field}", "issue": issue}
    return Problem(400, "PARAM_ERROR", "参数错误", detail)


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` None is an empty answer; without an account it goes out unsigned."""

    status: int
    body: Mapping[str, Any] | None
    account: Account | None = None
    asked_serial: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose signature is right."""

    account: Account
    request: web.Request
    data: Mapping[str, Any]


Handler = Callable[[Asked], Reply]


async def exchange(
    context: Context, request: web.Request, call: Call, handler: Handler, *, wordy: bool
) -> web.StreamResponse:
    """One signed call. `wordy` picks which of two texts a bad Authorization header gets: it differs
    by interface (orders; everything else)."""
    body = await request.read()

    def act() -> Reply:
        try:
            account = authenticate(context, request, body, wordy=wordy)
            asked_serial = _asked_serial(request, account)
            reply = handler(Asked(account, request, _json(request, body)))
            return Reply(reply.status, reply.body, account, asked_serial)
        except Problem as problem:
            return Reply(problem.status, problem.body())

    return await serve(context, request, call, act, lambda reply, sig: render(context, reply, sig))


def authenticate(context: Context, request: web.Request, body: bytes, *, wordy: bool) -> Account:
    """The merchant of a request, checked in the vendor's order: format, time, signature."""
    if not request.headers.get("User-Agent") or not request.headers.get("Accept"):
        raise Problem(400, "INVALID_REQUEST", "Http头缺少Accept或User-Agent")
    fields = _authorization(request, _FORMAT if wordy else _SIGN_INFO)
    try:
        stamp = int(fields["timestamp"])
    except ValueError:
        raise Problem(401, "SIGN_ERROR", _FORMAT) from None
    if abs(context.clock() - stamp) > WINDOW_SECONDS:
        raise Problem(401, "SIGN_ERROR", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
    account = context.store.account("wechat", fields["mchid"])
    if account is None:
        raise Problem(401, "SIGN_ERROR", "商户号不存在，请检查mchid")
    if fields["serial_no"] != account.secrets["merchant_serial"]:
        raise Problem(401, "SIGN_ERROR", "商户证书序列号有误。请使用签名私钥匹配的证书序列号")
    text = f"{request.method}\n{request.raw_path}\n{fields['timestamp']}\n{fields['nonce_str']}\n"
    if not keys.verify(account.secrets["merchant_public_key"], fields["signature"],
                       text.encode() + body + b"\n"):  # fmt: skip
        raise Problem(401, "SIGN_ERROR", "签名错误，请检查后再试")
    return account


def _authorization(request: web.Request, complaint: str) -> dict[str, str]:
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    pairs = _PAIR.findall(rest)
    fields = dict(pairs)
    well_formed = _HEADER.fullmatch(rest) and len(pairs) == len(fields) and set(fields) == _FIELDS
    if scheme != SCHEME or not well_formed or not 0 < len(fields["nonce_str"]) <= 32:
        raise Problem(401, "SIGN_ERROR", complaint)
    return fields


def _json(request: web.Request, body: bytes) -> dict[str, Any]:
    if request.method == "GET":
        return {}
    if request.content_type != "application/json":
        raise Problem(400, "PARAM_ERROR", "Http头Content-Type应为application/json")
    try:
        data = json.loads(body)
        json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Problem(400, "PARAM_ERROR", "请求体不是合法的JSON对象")
    return data


# -- answers


def signer(account: Account, asked: str = "") -> tuple[str, str]:
    """(serial, private key) that this contract's answers and notifications are signed with."""
    held = signers(account)
    if asked in held:
        return asked, held[asked]
    # A merchant in the middle of a switch sees either, at random.
    serial = secrets.choice(sorted(held))
    return serial, held[serial]


def signers(account: Account) -> dict[str, str]:
    held = {}
    if "platform_cert" in account.secrets:
        held[keys.serial_hex(account.secrets["platform_cert"])] = account.secrets["platform_key"]
    if "public_key_id" in account.secrets:
        held[account.secrets["public_key_id"]] = account.secrets["public_key_private"]
    return held


def _asked_serial(request: web.Request, account: Account) -> str:
    asked = request.headers.get("Wechatpay-Serial", "")
    if asked and asked not in signers(account):
        raise Problem(400, "PARAM_ERROR", "平台证书序列号Wechatpay-Serial错误")
    return asked


def render(context: Context, reply: Reply, signature: Signature) -> web.Response:
    text = b"" if reply.body is None else json.dumps(reply.body, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"Request-ID": secrets.token_hex(16).upper()}
    if reply.body is not None:
        headers["Content-Type"] = "application/json; charset=utf-8"
    if reply.account is not None and signature is not Signature.MISSING:
        serial, pem = signer(reply.account, reply.asked_serial)
        pem = context.forger if signature is Signature.BROKEN else pem
        headers |= signature_headers(context, serial, pem, text)
    return web.Response(status=reply.status, body=text, headers=headers)


def signature_headers(context: Context, serial: str, pem: str, body: bytes) -> dict[str, str]:
    """The `Wechatpay-*` headers of an answer or a notification, over the bytes that are sent."""
    stamp, nonce = str(int(context.clock())), secrets.token_hex(16)
    return {
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature": keys.sign(pem, f"{stamp}\n{nonce}\n".encode() + body + b"\n"),
        "Wechatpay-Signature-Type": SCHEME,
        "Wechatpay-Timestamp": stamp,
        "Wechatpay-Nonce": nonce,
    }


def seal(api_v3_key: str, plain: bytes, associated_data: str) -> dict[str, str]:
    """AEAD_AES_256_GCM as in notifications and certificates."""
    nonce = secrets.token_hex(6)
    sealed = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), plain, associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM", "nonce": nonce, "associated_data": associated_data,
        "ciphertext": base64.b64encode(sealed).decode(),
    }  # fmt: skip
