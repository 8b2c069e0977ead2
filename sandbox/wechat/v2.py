"""How API v2 is spoken: flat XML, one shared key that signs both ways.

https://pay.weixin.qq.com/doc/v2/merchant/4011986811 (messages), .../4011985891 (signatures)
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from aiohttp import web

from sandbox.claims import Signing
from sandbox.context import Context
from sandbox.faults import Call, Signature, serve
from sandbox.records import Account

Fields = Mapping[str, str]
HEADERS = {"Content-Type": "text/xml"}
_LONGEST_BODY = 64 * 1024


class RefusedV2(Exception):
    """A signed refusal: WeChat's code and words."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.code, self.words = code, words


class TurnedAway(Exception):
    """Refused at the door: unsigned, without a code."""


@dataclass(frozen=True, slots=True)
class ReplyV2:
    """`account` None is a caller who was turned away: the answer goes out unsigned."""

    fields: Fields
    account: Account | None = field(default=None, repr=False)


HandlerV2 = Callable[[Account, Fields], Fields]


def read(body: bytes) -> dict[str, str]:
    """ValueError for anything but flat XML without a document type."""
    if len(body) > _LONGEST_BODY or b"<!" in body.replace(b"<![CDATA[", b""):
        raise ValueError("too long, or with a document type")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as exc:
        raise ValueError("not XML") from exc
    found = {child.tag: (child.text or "").strip() for child in root}
    if root.tag != "xml" or len(found) != len(root) or any(len(child) for child in root):
        raise ValueError("not flat")
    return found


def write(fields: Fields) -> bytes:
    """As WeChat writes it: every value in CDATA, a field per line."""
    lines = "".join(f"<{name}><![CDATA[{value}]]></{name}>\n" for name, value in fields.items())
    return f"<xml>{lines}</xml>".encode()


def sign(fields: Fields, key: str, kind: str = "MD5") -> str:
    """Upper hex over `a=1&b=2&key=…`, names sorted, empty values and the signature left out."""
    pairs = [f"{name}={fields[name]}" for name in sorted(fields) if name != "sign" and fields[name] != ""]
    text = "&".join([*pairs, f"key={key}"]).encode()
    made = hmac.new(key.encode(), text, "sha256") if kind == "HMAC-SHA256" else hashlib.md5(text)
    return made.hexdigest().upper()


def stamped(fields: Fields, key: str, signing: Signing) -> dict[str, str]:
    """A message with its signature: genuine, of a key that is nobody's, or none."""
    if signing is Signing.NONE:
        return dict(fields)
    return {**fields, "sign": sign(fields, secrets.token_hex(16) if signing is Signing.FORGED else key)}


def authenticate(context: Context, fields: Fields) -> Account:
    """The merchant of a request. Raises TurnedAway."""
    account = context.store.account("wechat", fields.get("mch_id", ""))
    key = account.config.get("api_v2_key") if account else None
    if account is None or not key:
        raise TurnedAway("mch_id参数错误")
    if fields.get("appid") != account.config["app_id"]:
        raise TurnedAway("appid与mch_id不匹配")
    kind = fields.get("sign_type", "MD5")
    if kind not in ("MD5", "HMAC-SHA256") or not hmac.compare_digest(
        sign(fields, key, kind).encode(), fields.get("sign", "").encode()
    ):
        raise TurnedAway("签名错误")
    return account


async def exchange(context: Context, request: web.Request, call: Call, handler: HandlerV2) -> web.StreamResponse:
    """One signed call and its signed answer."""
    body = await request.read()

    def act() -> ReplyV2:
        try:
            fields = read(body)
        except ValueError:
            return _turned_away("XML格式错误")
        try:
            account = authenticate(context, fields)
        except TurnedAway as turned:
            return _turned_away(str(turned))
        try:
            found: Fields = {"result_code": "SUCCESS", **handler(account, fields)}
        except RefusedV2 as refused:
            found = {"result_code": "FAIL", "err_code": refused.code, "err_code_des": refused.words}
        named = {"appid": account.config["app_id"], "mch_id": account.key, "nonce_str": secrets.token_hex(16)}
        return ReplyV2({"return_code": "SUCCESS", "return_msg": "OK", **named, **found}, account)

    return await serve(context, request, call, act, _render)


def _turned_away(words: str) -> ReplyV2:
    return ReplyV2({"return_code": "FAIL", "return_msg": words})


def _render(reply: ReplyV2, signature: Signature) -> web.Response:
    fields = dict(reply.fields)
    if reply.account is not None:
        signing = {Signature.MISSING: Signing.NONE, Signature.BROKEN: Signing.FORGED}.get(signature, Signing.GENUINE)
        fields = stamped(fields, reply.account.config["api_v2_key"], signing)
    return web.Response(body=write(fields), headers=HEADERS)


def acknowledged(status: int, body: bytes) -> bool:
    """Only this very word stops the retries, and only without line ends."""
    try:
        found = read(body)
    except ValueError:
        return False
    return 200 <= status < 300 and b"\n" not in body and found.get("return_code") == "SUCCESS"
