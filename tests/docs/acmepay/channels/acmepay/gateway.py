"""AcmePay on the wire, as https://docs.acmepay.example/api/signing says. Knows no order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from channels.base import keys
from channels.base.answers import Answer
from channels.base.limits import time_limits
from channels.base.provider import Clock
from channels.base.reading import is_fresh, read_json, text_in
from paycenter.errors import BadSignature, IdentityMismatch, InboundRefused, UnknownOutcome
from paycenter.http import HttpClient


class Gateway:
    """One merchant's signer and verifier at one address; keys are parsed once, here."""

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._url: str = config["gateway_url"].rstrip("/")
        self._merchant_id: str = config["merchant_id"]
        self._limits = time_limits(config)
        self._key = keys.load_private_key(config["merchant_private_key"])
        self._channel_key = keys.parse_public_key(config["channel_public_key"])

    def call(self, path: str, content: Mapping[str, Any], *, operation: str) -> Answer[Any]:
        """Ask AcmePay. Raises NotSent, or UnknownOutcome for a status other than 200 and an answer that is
        unreadable, not provably AcmePay's, or about another order or refund than `content` names."""
        body = json.dumps({"merchant_id": self._merchant_id, **content}).encode("ascii")
        timestamp = str(int(self._clock().timestamp()))
        signature = keys.sign_sha256(self._key, _signed_text(timestamp, path, body))
        headers = {"Content-Type": "application/json", "Acme-Timestamp": timestamp, "Acme-Signature": signature}
        response = self._http.request(
            "POST", self._url + path, headers=headers, body=body, limits=self._limits, operation=operation
        )
        if response.status != 200:
            raise UnknownOutcome(f"AcmePay answered HTTP {response.status}")
        try:
            data = self.verify_inbound(response.body, response.headers, path)
            answer = Answer(text_in(data, "code"), text_in(data, "message")[:256], data)
        except InboundRefused as exc:
            raise UnknownOutcome(f"AcmePay's answer cannot be trusted: {exc}") from exc
        if any(data.get(name) != content[name] for name in ("order_no", "refund_no") if name in content):
            raise UnknownOutcome(f"AcmePay's answer is about something else: {answer}")
        return answer

    def verify_inbound(self, body: bytes, headers: Mapping[str, str], purpose: str = "notice") -> Mapping[str, Any]:
        """Fields of a genuine message. Raises BadSignature, IdentityMismatch or MalformedInbound.

        The signature is checked over the bytes as they came, before anything in them is looked at.
        """
        timestamp, signature = headers.get("acme-timestamp", ""), headers.get("acme-signature", "")
        if not keys.verify_sha256(self._channel_key, signature, _signed_text(timestamp, purpose, body)):
            raise BadSignature("the signature is absent or wrong")
        if not is_fresh(timestamp, self._clock()):
            raise BadSignature("the signature is more than five minutes old")
        data = read_json(body)
        if data.get("merchant_id") != self._merchant_id:
            raise IdentityMismatch("the merchant is not this account's")
        return data


def _signed_text(timestamp: str, purpose: str, body: bytes) -> bytes:
    """`purpose` is the path of a call and of its answer, or `notice`: no message can pass for another kind."""
    return f"{timestamp}\n{purpose}\n".encode(errors="replace") + body
