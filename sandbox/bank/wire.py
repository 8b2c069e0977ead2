"""The bank's messages: reading a form strictly, whose it is, and signing what the bank says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, quote_plus

from aiohttp import web

from sandbox import keys
from sandbox.bank.contract import account_key
from sandbox.claims import Signing
from sandbox.clock import BEIJING, beijing
from sandbox.context import Context
from sandbox.faults import Signature
from sandbox.records import Account

Fields = Mapping[str, str]
TIMESTAMP_WINDOW_SECONDS = 15 * 60
FORM = "application/x-www-form-urlencoded"
_NAME = re.compile(r"[A-Za-z]{1,32}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Refused(Exception):
    """The bank says no, with its code. Unsigned where it does not know who asks."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def wrong(field: str) -> Refused:
    return Refused("PAR0001", f"{field} 缺失或格式错误")


def parse(raw: str) -> dict[str, str]:
    """Fields of a form. Raises Refused for what the bank does not take as one."""
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise Refused("PAR0001", "报文不是表单") from None
    return checked(pairs)


def checked(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """A value that held `&` could hide or invent a field in the signed text."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if not _NAME.fullmatch(name) or name in found or not value or "&" in value or _CONTROL.search(value):
            raise wrong(name[:32] or "报文")
        found[name] = value
    return found


def text_to_sign(fields: Fields) -> bytes:
    names = sorted(set(fields) - {"Signature"})
    return "&".join(f"{name}={fields[name]}" for name in names).encode()


def known_account(context: Context, fields: Fields) -> Account:
    key = account_key(fields.get("BranchID", ""), fields.get("CoNo", ""))
    found = context.store.account("bank", key)
    # Joined, 075 + 5123456 would read as 0755 + 123456.
    if found is None or found.config["branch_id"] != fields.get("BranchID"):
        raise Refused("AUT0001", "商户不存在")
    return found


def authenticate(account: Account, fields: Fields, kind: str) -> None:
    if fields.get("SignType") != "RSA2":
        raise Refused("AUT0002", "签名类型不支持")
    if not keys.verify(account.secrets["merchant_public_key"], fields.get("Signature", ""), text_to_sign(fields)):
        raise Refused("AUT0002", "签名错误")
    if fields.get("Version") != "1.0":
        raise wrong("Version")
    if fields.get("MsgType") != kind:
        raise wrong("MsgType")


def check_timestamp(context: Context, fields: Fields) -> None:
    when = moment(fields, "Timestamp")
    if abs(context.clock() - when) > TIMESTAMP_WINDOW_SECONDS:
        raise Refused("AUT0003", "时间戳超出允许范围")


def moment(fields: Fields, name: str) -> float:
    """Unix seconds of a `YYYYMMDDhhmmss`. Raises Refused."""
    return _parsed(fields, name, r"\d{14}", "%Y%m%d%H%M%S")


def day(fields: Fields, name: str) -> float:
    """When the `YYYYMMDD` began in Beijing, in Unix seconds. Raises Refused."""
    return _parsed(fields, name, r"\d{8}", "%Y%m%d")


def _parsed(fields: Fields, name: str, pattern: str, layout: str) -> float:
    text = fields.get(name, "")
    try:
        if re.fullmatch(pattern, text, re.ASCII):
            return datetime.strptime(text, layout).replace(tzinfo=BEIJING).timestamp()
    except ValueError:
        pass
    raise wrong(name)


def stamp(when: float) -> str:
    return beijing(when).strftime("%Y%m%d%H%M%S")


def signed(context: Context, account: Account, fields: Fields, signing: Signing) -> dict[str, str]:
    """With everything a message of the bank has; `fields` may name another merchant."""
    made = {
        "Version": "1.0", "BranchID": account.config["branch_id"], "CoNo": account.config["co_no"],
        "SignType": "RSA2", **fields,
    }  # fmt: skip
    if signing is not Signing.NONE:
        pem = context.forger if signing is Signing.FORGED else account.secrets["private_key"]
        made["Signature"] = keys.sign(pem, text_to_sign(made))
    return made


def encoded(fields: Fields) -> str:
    return "&".join(f"{name}={quote_plus(value)}" for name, value in fields.items())


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to a server call; without an account it cannot be signed."""

    fields: Fields
    account: Account | None


_SIGNING = {
    Signature.GENUINE: Signing.GENUINE, Signature.BROKEN: Signing.FORGED, Signature.MISSING: Signing.NONE,
}  # fmt: skip


def render(context: Context, answer: Answer, signature: Signature) -> web.Response:
    fields = answer.fields
    if answer.account is not None:
        fields = signed(context, answer.account, fields, _SIGNING[signature])
    return web.Response(body=encoded(fields).encode("ascii"), headers={"Content-Type": f"{FORM}; charset=UTF-8"})
