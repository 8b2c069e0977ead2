"""A merchant's side of the bank's protocol, written from docs/channels/bank.md and nothing of the sandbox's."""

from __future__ import annotations

import itertools
import secrets
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.sandbox.clients import BEIJING, rsa_sign, rsa_verifies
from tests.sandbox.running import Answer, Running, Told

_HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
_NUMBERS = itertools.count(1)


def now() -> datetime:
    return datetime.now(BEIJING)


def stamp(when: datetime) -> str:
    return when.strftime("%Y%m%d%H%M%S")


def signing_text(fields: dict[str, str]) -> bytes:
    return "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k != "Signature").encode()


class BankMerchant:
    def __init__(self, sandbox: Running, config: dict[str, str], notices: str) -> None:
        self.sandbox, self.config, self.notices = sandbox, config, notices
        self.base = urlsplit(config["gateway_url"]).path

    def fields(self, kind: str, **more: str | None) -> dict[str, str]:
        """A signed message; None removes a field, `Signature` replaces the signature."""
        whole: dict[str, str | None] = {
            "Version": "1.0", "MsgType": kind, "BranchID": self.config["branch_id"], "CoNo": self.config["co_no"],
            "SignType": "RSA2", "Timestamp": stamp(now()),
        } | more  # fmt: skip
        found = {k: v for k, v in whole.items() if v is not None}
        found.setdefault("Signature", rsa_sign(self.config["merchant_private_key"], signing_text(found)))
        return found

    def post(self, path: str, body: str) -> Answer:
        return self.sandbox.request("POST", f"{self.base}{path}", body, _HEADERS)

    def call(self, path: str, kind: str, **more: str | None) -> dict[str, str]:
        """A server call whose answer is verified; the one of an unknown merchant cannot be."""
        answer = self.post(path, urlencode(self.fields(kind, **more)))
        assert answer.status == 200
        fields = dict(parse_qsl(answer.text, keep_blank_values=True, strict_parsing=True))
        if fields["RspCode"] != "AUT0001":
            assert self.verifies(fields), "the answer's signature is wrong"
            assert fields["MsgType"] == f"{kind}.answer"
        return fields

    def verifies(self, fields: dict[str, str]) -> bool:
        return rsa_verifies(self.config["bank_public_key"], fields.get("Signature", ""), signing_text(fields))

    def name(self, number: str | None = None, date: str | None = None) -> dict[str, str]:
        digits = int(self.config["order_no_digits"])
        return {"BillNo": number or f"{next(_NUMBERS):0{digits}d}", "Date": date or now().strftime("%Y%m%d")}

    def order(self, name: dict[str, str], **more: str | None) -> dict[str, str]:
        """A signed order; the last part of its notice address is what the controls call it."""
        return self.fields("pay", **({
            **name, "Timestamp": None, "Amount": "12.34", "ExpireTime": stamp(now() + timedelta(minutes=30)),
            "Subject": "物业费", "Scene": "PC", "NoticeUrl": f"{self.notices}/n/A{secrets.token_hex(8)}",
            "ReturnUrl": "http://127.0.0.1:9/r?a=b",
        } | more))  # fmt: skip

    def open(self, order: dict[str, str]) -> Answer:
        return self.post("/pay", urlencode(order))

    def paid(self, name: dict[str, str], **more: str | None) -> str:
        """An order opened and paid; its name for the controls."""
        order = self.order(name, **more)
        assert self.open(order).status == 303
        answer = self.sandbox.control("POST", "/pay", {"attempt_no": attempt_no(order)})
        assert answer.status == 200, answer.text
        return attempt_no(order)

    def query(self, name: dict[str, str]) -> dict[str, str]:
        return self.call("/query", "query", **name)

    def notice(self, told: Told) -> dict[str, str]:
        fields = dict(parse_qsl(told.body.decode(), keep_blank_values=True, strict_parsing=True))
        assert self.verifies(fields), "the notice's signature is wrong"
        return fields


def attempt_no(order: dict[str, Any]) -> str:
    return str(order["NoticeUrl"]).rsplit("/", 1)[1]
