"""UnionPay's side of the wire, version 5.1.0, signMethod 01: checking requests, signing messages.

The text signed is every field that is not empty, sorted, `k=v` joined by `&`; signed is the lower-case
hexadecimal SHA-256 of it, with SHA-256 again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox import keys
from sandbox.clock import BEIJING, beijing
from sandbox.context import Context
from sandbox.faults import Signature
from sandbox.records import Account

Params = Mapping[str, str]
OK = ("00", "成功[0000000]")
_REQUIRED = (
    "version", "encoding", "signMethod", "txnType", "txnSubType", "bizType", "accessType", "merId", "certId",
    "orderId", "txnTime", "signature",
)  # fmt: skip
_ECHOED = (
    "accessType", "bizType", "encoding", "merId", "orderId", "reqReserved", "signMethod", "txnSubType",
    "txnTime", "txnType", "version",
)  # fmt: skip


class Refused(Exception):
    """UnionPay says no: `respCode` and `respMsg`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is signed; without an account there is nothing to sign it with."""

    params: Params
    fields: Mapping[str, str]
    account: Account | None


async def read_form(request: web.Request) -> dict[str, str]:
    """A request's fields; empty where it is no form."""
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    try:
        pairs = parse_qsl((await request.read()).decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        return {}
    return dict(pairs)


def authenticate(context: Context, params: Params) -> Account:
    """The merchant whose registered certificate signed the request. Raises Refused."""
    for name in _REQUIRED:
        # A request for a statement file is about no order.
        if not params.get(name) and (name, params.get("txnType")) != ("orderId", "76"):
            raise Refused("13", f"报文交易要素缺失[{name}]")
    account = context.store.account("unionpay", params["merId"])
    if account is None:
        raise Refused("31", "商户状态不正确[9100001]")
    if params["version"] != "5.1.0" or params["encoding"].upper() != "UTF-8" or params["signMethod"] != "01":
        raise Refused("10", "报文格式错误[version, encoding, signMethod]")
    if params["accessType"] != "0":
        raise Refused("10", "报文格式错误[accessType]")
    if params["certId"] != account.secrets["cert_id"]:
        raise Refused("11", "验证签名失败[9100004]")
    if not keys.verify(account.secrets["merchant_cert"], params["signature"], digest(params)):
        raise Refused("11", "验证签名失败[9100004]")
    return account


def digest(fields: Params) -> bytes:
    kept = sorted(name for name, value in fields.items() if value and name != "signature")
    text = "&".join(f"{name}={fields[name]}" for name in kept)
    return hashlib.sha256(text.encode()).hexdigest().encode()


def signed(account: Account, fields: Params, *, private_pem: str = "") -> dict[str, str]:
    """With UnionPay's certificate, whose lines end in CRLF, and a signature over all of it."""
    certificate = account.secrets["certificate"].strip().replace("\r\n", "\n").replace("\n", "\r\n")
    found = {name: value for name, value in fields.items() if value} | {"signPubKeyCert": certificate}
    return found | {"signature": keys.sign(private_pem or account.secrets["private_key"], digest(found))}


def echoed(params: Params) -> dict[str, str]:
    return {name: params[name] for name in _ECHOED if params.get(name)}


def render(context: Context, answer: Answer, signature: Signature) -> web.Response:
    """Fields joined by `&` and not encoded at all, whatever is inside."""
    fields = echoed(answer.params) | dict(answer.fields)
    if answer.account is not None and signature is not Signature.MISSING:
        forger = context.forger if signature is Signature.BROKEN else ""
        fields = signed(answer.account, fields, private_pem=forger)
    text = "&".join(f"{name}={value}" for name, value in fields.items())
    return web.Response(body=text.encode(), content_type="text/html", charset="UTF-8")


def stamp(when: float) -> str:
    """`yyyyMMddHHmmss`, Beijing."""
    return beijing(when).strftime("%Y%m%d%H%M%S")


def parse_stamp(text: str) -> float:
    """Unix seconds; ValueError otherwise."""
    if len(text) != 14 or not text.isdigit():
        raise ValueError("not yyyyMMddHHmmss")
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING).timestamp()


def clearing_day(when: float) -> datetime:
    """UnionPay's day ends at 23:00: what is paid after it belongs to the next one."""
    return beijing(when + 3600)
