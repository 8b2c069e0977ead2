"""UnionPay's gateway on the wire, version 5.1.0 with RSA certificates (signMethod 01). Knows no trade.

Signing and parsing follow UnionPay's own development kit ("acp_sdk"), which signs the lower-case
hexadecimal text of the SHA-256 digest, once more with SHA-256:
https://open.unionpay.com/tjweb/acproduct/list?apiservId=448
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from channels.base import keys
from channels.base.answers import Answer
from channels.base.beijing import beijing_digits
from channels.base.limits import time_limits
from channels.base.provider import Clock
from channels.unionpay.certificates import Chain, Untrusted
from channels.unionpay.codes import SUCCESS
from channels.unionpay.fields import FILE_URL
from paycenter.errors import BadSignature, MalformedInbound, UnknownOutcome
from paycenter.http import FILE_LIMITS, HttpClient

VERSION, RSA_CERTIFICATE = "5.1.0", "01"
_MAX_FIELDS = 100
# An answer with a file in it, packed: some hundred thousand rows.
_MAX_STATEMENT_BYTES = 64 * 1024 * 1024
_FORM = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
# A value may hold groups in braces or brackets, within which `&` and `=` separate nothing.
_FIELD = re.compile(r"([^&=]++)=((?:[^&{\[]++|\{[^}]*+\}|\[[^\]]*+\])*+)(?:&|\Z)")


class Gateway:
    """One merchant's signer and verifier at one gateway; keys and certificates are parsed once, here."""

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._url: str = config["base_url"].rstrip("/")
        self._file_url: str = config.get("file_url") or FILE_URL
        self._limits = time_limits(config)
        self._key = keys.load_private_key(config["sign_private_key"])
        self._mer_id: str = config["mer_id"]
        self._cert_id = str(keys.parse_certificates(config["sign_cert"])[0].serial_number)
        self._chain = Chain(
            keys.parse_certificates(config["root_cert"]), keys.parse_certificates(config["middle_cert"]),
            check_name=config["check_cn"],
        )  # fmt: skip

    def address(self, action: str) -> str:
        """Where a transaction is posted, `action` being the last part of the path."""
        return f"{self._url}/{action}"

    def signed(self, fields: Mapping[str, str]) -> dict[str, str]:
        """All fields of a request, signature included. Empty ones are neither signed nor sent."""
        found = {
            "version": VERSION, "encoding": "UTF-8", "signMethod": RSA_CERTIFICATE, "certId": self._cert_id,
            "accessType": "0", "merId": self._mer_id, **fields,
        }  # fmt: skip
        found = {name: value for name, value in found.items() if value}
        found["signature"] = keys.sign_sha256(self._key, signing_digest(found))
        return found

    def call(self, action: str, fields: Mapping[str, str], *, operation: str) -> Answer[str]:
        """Ask UnionPay about one order. Raises NotSent, or UnknownOutcome for a status other than 200, an
        answer that is unreadable or not provably UnionPay's, and one about another merchant or order."""
        parameters = self.signed(fields)
        response = self._http.request(
            "POST", self.address(action), headers=_FORM, body=_form(parameters), limits=self._limits,
            operation=operation,
        )  # fmt: skip
        return self._answer(response.status, response.body, parameters, ("merId", "orderId", "txnTime"))

    def statement(self, fields: Mapping[str, str]) -> Answer[str]:
        """Ask for a file, which is a field of the answer: signed, and so read, as a whole. Raises as `call`."""
        parameters = self.signed(fields)
        response = self._http.request(
            "POST", self._file_url, headers=_FORM, body=_form(parameters), operation="bill", limits=FILE_LIMITS,
            max_bytes=_MAX_STATEMENT_BYTES, record_body=False,
        )  # fmt: skip
        return self._answer(response.status, response.body, parameters, ("merId", "settleDate"))

    def _answer(self, status: int, body: bytes, asked: Mapping[str, str], names: Sequence[str]) -> Answer[str]:
        """What UnionPay says about exactly what was asked, `names` being what says so."""
        if status != 200:
            raise UnknownOutcome(f"UnionPay answered HTTP {status}")
        found = _answer_fields(body)
        code, message = found.get("respCode", ""), found.get("respMsg", "")
        try:
            self._verify(found)
        except Untrusted as exc:
            raise UnknownOutcome(f"UnionPay's answer cannot be trusted ({exc}): {code} {message}") from exc
        for name in names:
            # A refusal need not repeat which file it was asked for; a file must be the one that was.
            if found.get(name) != asked[name] and (name != "settleDate" or name in found or code in SUCCESS):
                raise UnknownOutcome(f"UnionPay's answer is about another order ({name}): {code} {message}")
        return Answer(code, message, found)

    def retrieve(self, number: str, sent_at: datetime, *, operation: str) -> Answer[str]:
        """Ask for the transaction sent under this number at this moment; raises as `call`.

        https://open.unionpay.com/tjweb/acproduct/APIList?acpAPIId=757&apiservId=448&version=V2.2&bussType=0
        """
        return self.call("queryTrans.do", {
            "txnType": "00", "txnSubType": "00", "bizType": "000000", "orderId": number,
            "txnTime": beijing_digits(sent_at),
        }, operation=operation)  # fmt: skip

    def verify_inbound(self, body: bytes) -> dict[str, str]:
        """Fields of a notification or return, once proved to be UnionPay's.

        Raises MalformedInbound, or BadSignature for anything but a valid SHA-256 signature by a
        certificate of UnionPay's.
        """
        fields = decode_form(body)
        try:
            self._verify(fields)
        except Untrusted as exc:
            raise BadSignature(str(exc)) from exc
        return fields

    def _verify(self, fields: Mapping[str, str]) -> None:
        signature, certificate = fields.get("signature"), fields.get("signPubKeyCert")
        if not signature or not certificate:
            raise Untrusted("not signed")
        # Other versions and methods sign with SHA-1 or a shared key; accepting them would be a way down.
        if (fields.get("version"), fields.get("signMethod")) != (VERSION, RSA_CERTIFICATE):
            raise Untrusted("only version 5.1.0 with signMethod 01 is accepted")
        key = self._chain.signer(certificate, self._clock())
        if not keys.verify_sha256(key, signature, signing_digest(fields)):
            raise Untrusted("the signature is wrong")


def signing_text(fields: Mapping[str, str]) -> str:
    """Every field that is not empty except `signature`, sorted by name, raw values joined as `k=v&k=v`."""
    kept = sorted(name for name, value in fields.items() if value and name != "signature")
    return "&".join(f"{name}={fields[name]}" for name in kept)


def signing_digest(fields: Mapping[str, str]) -> bytes:
    """What is signed: the lower-case hexadecimal SHA-256 of that text, as text and not as 32 bytes."""
    return hashlib.sha256(signing_text(fields).encode("utf-8")).hexdigest().encode("ascii")


def _form(parameters: Mapping[str, str]) -> bytes:
    return urlencode(parameters, quote_via=quote_plus).encode("ascii")


def parse_answer(text: str) -> dict[str, str]:
    """Fields of a synchronous answer, which is joined as `k=v&k=v` and not encoded at all.

    Values keep every byte (`+`, `=`, CRLF). Raises ValueError for anything else, and for a field that
    comes twice.
    """
    fields: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _FIELD.match(text, at)
        if match is None or match[1] in fields or len(fields) >= _MAX_FIELDS:
            raise ValueError("not fields of an answer")
        fields[match[1]] = match[2]
        at = match.end()
    return fields


def _answer_fields(body: bytes) -> dict[str, str]:
    try:
        return parse_answer(body.decode("utf-8"))
    except ValueError as exc:
        raise UnknownOutcome("UnionPay's answer is not readable") from exc


def decode_form(body: bytes) -> dict[str, str]:
    """Fields of a form body, decoded once. Raises MalformedInbound, also for a field that comes twice."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError as exc:
        raise MalformedInbound("not a form") from exc
    fields = dict(pairs)
    if not fields or len(fields) != len(pairs):
        raise MalformedInbound("not a form, or a field comes twice")
    return fields
