"""Alipay's request checks and answer envelope.

Every parameter but `sign` is signed: sorted, joined as `k=v` with `&`, in the request's charset. The
answer's signature covers the exact source text of the inner object.
Protocol: https://opendocs.alipay.com/open/200/106120 , errors: https://opendocs.alipay.com/common/02km9f
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox import keys
from sandbox.clock import parse_wall_clock
from sandbox.context import Context
from sandbox.faults import Signature
from sandbox.records import Account

# Not documented; generous enough for any honest clock.
TIMESTAMP_WINDOW_SECONDS = 15 * 60
_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "gbk": "gbk", "gb2312": "gb2312", "gb18030": "gb18030"}
_MESSAGES = {
    "20000": "Service Currently Unavailable", "40001": "Missing Required Arguments",
    "40002": "Invalid Arguments", "40004": "Business Failed", "40006": "Insufficient Permissions",
}  # fmt: skip
Params = Mapping[str, str]


class Refused(Exception):
    """Alipay says no. `code` 40004 is a business failure (signed), others are the gateway's."""

    def __init__(self, code: str, sub_code: str, sub_msg: str) -> None:
        super().__init__(f"{sub_code}: {sub_msg}")
        self.code, self.sub_code, self.sub_msg = code, sub_code, sub_msg

    def body(self) -> dict[str, str]:
        return {"code": self.code, "msg": _MESSAGES[self.code], "sub_code": self.sub_code, "sub_msg": self.sub_msg}


def business(sub_code: str, sub_msg: str) -> Refused:
    return Refused("40004", f"ACQ.{sub_code}", sub_msg)


async def read_params(request: web.Request) -> dict[str, str]:
    """Query and urlencoded body merged, decoded once with the request's charset."""
    body = (await request.read()).decode("latin-1")
    is_form = request.content_type in ("application/x-www-form-urlencoded", "application/octet-stream")
    return parse_params(request.rel_url.raw_query_string, body if is_form else "")


def parse_params(query: str, body: str = "") -> dict[str, str]:
    asked = dict(parse_qsl(body, keep_blank_values=True)) | dict(parse_qsl(query, keep_blank_values=True))
    charset = _CHARSETS.get(asked.get("charset", "").lower(), "utf-8")
    pairs: dict[str, str] = {}
    for part in (query, body):
        pairs |= dict(parse_qsl(part, keep_blank_values=True, encoding=charset, errors="replace"))
    return pairs


def signing_text(params: Params, *, with_empty: bool = True, drop: tuple[str, ...] = ("sign",)) -> str:
    names = sorted(name for name in params if name not in drop and (with_empty or params[name] != ""))
    return "&".join(f"{name}={params[name]}" for name in names)


def authenticate(context: Context, params: Params, *, server_call: bool) -> Account:
    """The account of a request whose signature is right; raises Refused in Alipay's words.

    Addresses that a payer opens later (`server_call` False) carry the time they were made at, so
    their timestamp is not checked.
    """
    if not params.get("method"):
        raise Refused("40001", "isv.missing-method", "缺少方法名参数")
    if not params.get("app_id"):
        raise Refused("40001", "isv.missing-app-id", "缺少AppID参数")
    account = context.store.account("alipay", params["app_id"])
    if account is None:
        raise Refused("40002", "isv.invalid-app-id", "无效的AppID参数")
    _check_form(params)
    if server_call:
        _check_timestamp(context, params["timestamp"])
    if "app_cert_sn" in account.secrets:
        _check_certificates(account, params)
    _check_signature(account, params)
    return account


def _check_form(params: Params) -> None:
    for name, label in (("sign", "signature"), ("sign_type", "signature-type"), ("timestamp", "timestamp"),
                        ("version", "version")):  # fmt: skip
        if not params.get(name):
            raise Refused("40001", f"isv.missing-{label}", f"缺少{name}参数")
    if params.get("charset", "").lower() not in _CHARSETS:
        raise Refused("40002", "isv.invalid-charset", "字符集错误")
    if params["sign_type"] != "RSA2":
        raise Refused("40002", "isv.invalid-signature-type", "无效签名类型")
    if params["version"] != "1.0":
        raise Refused("40002", "isv.invalid-version", "无效的版本参数")
    if params.get("format", "JSON").upper() != "JSON":
        raise Refused("40002", "isv.invalid-format", "无效的数据格式")


def _check_timestamp(context: Context, text: str) -> None:
    try:
        when = parse_wall_clock(text)
    except ValueError:
        when = 0.0
    if abs(context.clock() - when) > TIMESTAMP_WINDOW_SECONDS:
        raise Refused("40002", "isv.invalid-timestamp", "非法的时间戳参数")


def _check_certificates(account: Account, params: Params) -> None:
    if not params.get("app_cert_sn"):
        raise Refused("40001", "isv.missing-app-cert-sn", "缺少应用公钥证书SN")
    if not params.get("alipay_root_cert_sn"):
        raise Refused("40001", "isv.missing-root-cert-sn", "缺少支付宝根证书SN")
    if params["app_cert_sn"] != account.secrets["app_cert_sn"]:
        raise Refused("40002", "isv.invalid-app-cert-sn", "应用公钥证书SN不匹配")
    if params["alipay_root_cert_sn"] != account.secrets["root_cert_sn"]:
        raise Refused("40002", "isv.invalid-root-cert-sn", "支付宝根证书SN不匹配")


def _check_signature(account: Account, params: Params) -> None:
    charset = _CHARSETS[params["charset"].lower()]
    key = account.secrets["app_public_key"]
    # Vendors' own SDKs disagree on whether a parameter sent empty is part of the text.
    for with_empty in (True, False):
        text = signing_text(params, with_empty=with_empty).encode(charset, "replace")
        if keys.verify(key, params["sign"], text):
            return
    raise Refused("40002", "isv.invalid-signature", "无效签名")


def biz_content(params: Params) -> dict[str, Any]:
    try:
        content = json.loads(params.get("biz_content") or "{}")
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Refused("40002", "isv.invalid-parameter", "参数无效：biz_content不是合法的JSON")
    return content


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes into the envelope; without an account it is the gateway's unsigned error."""

    method: str
    body: Mapping[str, Any]
    account: Account | None
    charset: str = "utf-8"


def render(context: Context, answer: Answer, signature: Signature) -> web.Response:
    """The envelope, put together as text so that what is signed is what is sent."""
    inner = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
    if answer.account is None:
        return _response('{"error_response":' + inner + "}", answer.charset)
    account = answer.account
    parts = [f'"{answer.method.replace(".", "_")}_response":{inner}']
    if "alipay_cert_sn" in account.secrets:
        parts.append(f'"alipay_cert_sn":"{account.secrets["alipay_cert_sn"]}"')
    if signature is not Signature.MISSING:
        pem = context.forger if signature is Signature.BROKEN else account.secrets["private_key"]
        parts.append(f'"sign":"{keys.sign(pem, inner.encode(answer.charset, "replace"))}"')
    return _response("{" + ",".join(parts) + "}", answer.charset)


def _response(text: str, charset: str) -> web.Response:
    return web.Response(body=text.encode(charset, "replace"),
                        headers={"Content-Type": f"text/html;charset={charset}"})  # fmt: skip


def charset_of(params: Params) -> str:
    return _CHARSETS.get(params.get("charset", "").lower(), "utf-8")
