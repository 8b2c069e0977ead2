"""The bank on the wire: signed forms out, verified forms back. Knows no order.

Specified in docs/channels/bank.md; numbers and dates follow China Merchants Bank's older gateway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from channels.base import answers, keys
from channels.base.beijing import beijing_digits
from channels.base.limits import time_limits
from channels.base.provider import Clock
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound, UnknownOutcome
from paycenter.http import FILE_LIMITS, HttpClient

SUCCESS = "SUC0000"
_MAX_FIELDS = 100
# An answer with a statement in it: some hundred thousand rows.
_MAX_STATEMENT_BYTES = 64 * 1024 * 1024
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_FORBIDDEN = re.compile(r"[&\x00-\x1f\x7f-\x9f]")


def beijing_day(moment: datetime) -> str:
    """The `YYYYMMDD` that, with the number, names an order made at this moment."""
    return beijing_digits(moment)[:8]


@dataclass(frozen=True, slots=True)
class Answer(answers.Answer[str]):
    """`signed` is False only for an error, never for a success."""

    signed: bool

    @property
    def ok(self) -> bool:
        """The call itself succeeded, which says nothing about the order."""
        return self.code == SUCCESS


class Gateway:
    """One merchant's signer and verifier at one gateway address; keys are parsed once, here."""

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._url: str = config["gateway_url"].rstrip("/")
        self._identity = {"BranchID": config["branch_id"], "CoNo": config["co_no"]}
        self._limits = time_limits(config)
        self._key = keys.load_private_key(config["merchant_private_key"])
        self._bank_key = keys.parse_public_key(config["bank_public_key"])

    def address(self, path: str) -> str:
        """Where a call goes, or a browser posts its form."""
        return f"{self._url}{path}"

    def signed(self, kind: str, content: Mapping[str, str]) -> dict[str, str]:
        """All fields of a message, signature included; the same content always gives the same."""
        fields = {"Version": "1.0", "MsgType": kind, "SignType": "RSA2", **self._identity, **content}
        fields["Signature"] = keys.sign_sha256(self._key, signing_text(fields).encode("utf-8"))
        return fields

    def call(self, path: str, kind: str, content: Mapping[str, str], *, operation: str) -> Answer:
        """Ask the bank. Raises NotSent, or UnknownOutcome for a status other than 200, an unreadable
        answer, a wrong signature, a success without one, and words about another merchant."""
        response = self._http.request(
            "POST", self.address(path), headers=_FORM, body=self._body(kind, content), limits=self._limits,
            operation=operation,
        )  # fmt: skip
        return self._read(kind, response.status, response.body)

    def statement(self, day: str) -> Answer:
        """Ask for a day's statement, which is a field of the answer: signed, and so read, as a whole. Raises as
        `call`, also for words about another day."""
        response = self._http.request(
            "POST", self.address("/statement"), headers=_FORM,
            body=self._body("statement", {"StatementDate": day}), operation="bill", limits=FILE_LIMITS,
            max_bytes=_MAX_STATEMENT_BYTES, record_body=False,
        )  # fmt: skip
        answer = self._read("statement", response.status, response.body)
        if not answer.signed or answer.data.get("StatementDate") != day:
            raise UnknownOutcome(f"the bank's words are unsigned or about another day: {answer}")
        return answer

    def _body(self, kind: str, content: Mapping[str, str]) -> bytes:
        fields = self.signed(kind, {**content, "Timestamp": beijing_digits(self._clock())})
        return urlencode(fields, quote_via=quote, safe="").encode("ascii")

    def _read(self, kind: str, status: int, body: bytes) -> Answer:
        if status != 200:
            raise UnknownOutcome(f"the bank answered HTTP {status}")
        try:
            return self._answer(kind, decode_form(body))
        except MalformedInbound as exc:
            raise UnknownOutcome("the bank's answer is not readable") from exc

    def _answer(self, kind: str, fields: Mapping[str, str]) -> Answer:
        code, message = fields.get("RspCode", ""), fields.get("RspMsg", "")
        if not fields.get("Signature"):
            if code in ("", SUCCESS):
                raise UnknownOutcome("the bank's answer is not signed")
            return Answer(code, message, fields, signed=False)
        try:
            self._check(fields, {f"{kind}.answer"})
        except (BadSignature, IdentityMismatch) as exc:
            raise UnknownOutcome(f"the bank's answer cannot be trusted: {exc}") from exc
        return Answer(code, message, fields, signed=True)

    def verify_inbound(self, raw: bytes, kinds: set[str]) -> dict[str, str]:
        """Fields of a genuine notice or return of one of these kinds, for this very merchant.

        Raises MalformedInbound, BadSignature or IdentityMismatch.
        """
        fields = decode_form(raw)
        self._check(fields, kinds)
        return fields

    def _check(self, fields: Mapping[str, str], kinds: set[str]) -> None:
        """The signature first: what an unknown sender says is not looked at."""
        if fields.get("SignType") != "RSA2":
            raise BadSignature("only RSA2 signatures are accepted")
        text = signing_text(fields).encode("utf-8")
        if not keys.verify_sha256(self._bank_key, fields.get("Signature", ""), text):
            raise BadSignature("the signature is absent or wrong")
        if fields.get("MsgType") not in kinds:
            raise BadSignature("signed for another purpose")
        for name, own in self._identity.items():
            if fields.get(name) != own:
                raise IdentityMismatch(f"{name} is not this account's")


def signing_text(fields: Mapping[str, str]) -> str:
    """Everything except `Signature`, sorted by name, raw values joined as `k=v&k=v`."""
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "Signature")


def decode_form(raw: bytes) -> dict[str, str]:
    """Fields of a form body or query string, decoded once.

    Raises MalformedInbound for bytes that are no form, a field that comes twice, and a name or value
    with a character that would let the signed text be read in two ways.
    """
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict",
            max_num_fields=_MAX_FIELDS,
        )  # fmt: skip
    except ValueError as exc:
        raise MalformedInbound("not a form") from exc
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedInbound("a field comes twice")
    if any("=" in name or _FORBIDDEN.search(name + value) or not value for name, value in pairs):
        raise MalformedInbound("a field is empty or holds a forbidden character")
    return fields
