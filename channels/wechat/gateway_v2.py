"""The wire of API v2, which deduction still speaks: XML, signed both ways with the merchant's API v2 key.

Signing: https://pay.weixin.qq.com/doc/v2/merchant/4011985891
Which call is signed how: https://github.com/wechatpay-apiv3/wechatpay-skills/tree/main/wechatpay-deduction-service
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from channels.wechat.fields import time_limits
from channels.wechat.gateway import UnverifiedAnswer
from channels.wechat.xml import read_xml, write_xml
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound, NotSent, UnknownOutcome
from paycenter.http import HttpClient, one_time_limit

# Every call that is made here is signed so unless it names another way; signing pages take nothing else.
MD5, HMAC_SHA256 = "MD5", "HMAC-SHA256"
NO_ORDER = frozenset({"ORDERNOTEXIST", "ORDER_NOT_EXIST"})


def signature(fields: Mapping[str, str], key: str, sign_type: str = MD5) -> str:
    """Over the fields that are not empty, by name, raw values; `sign` itself left out."""
    text = "".join(f"{name}={value}&" for name, value in sorted(fields.items()) if value and name != "sign")
    data = f"{text}key={key}".encode()
    if sign_type == HMAC_SHA256:
        return hmac.new(key.encode(), data, hashlib.sha256).hexdigest().upper()
    return hashlib.md5(data).hexdigest().upper()  # noqa: S324 - the only way the vendor takes


@dataclass(frozen=True, slots=True)
class AnswerV2:
    """A verified answer of this merchant: done (`ok`), or a refusal in the channel's words."""

    fields: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return self.fields.get("result_code") == "SUCCESS"

    @property
    def code(self) -> str:
        return self.fields.get("err_code", "")

    @property
    def message(self) -> str:
        return self.fields.get("err_code_des", "")[:256]

    def text(self, name: str) -> str:
        return self.fields.get(name, "")

    def unknown(self) -> UnknownOutcome:
        """The error for an answer whose words decide nothing."""
        return UnknownOutcome(f"WeChat Pay answered {self.code} {self.message}".rstrip())


class GatewayV2:
    """One account's connection. Without an API v2 key nothing is sent and nothing received is understood."""

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient) -> None:
        self._base = str(config["base_url"]).rstrip("/")
        self._identity = {"appid": str(config["app_id"]), "mch_id": str(config["mch_id"])}
        self._key = str(config.get("api_v2_key") or "")
        self._limits = time_limits(config)
        self._http = http

    def call(self, path: str, fields: Mapping[str, str], *, operation: str, nonce: bool = True) -> AnswerV2:
        """One call; contract calls take no `nonce`.

        Raises NotSent, or UnknownOutcome for everything but a signed answer to this merchant: what is
        refused at the door (`return_code`) comes unsigned and in words for people.
        """
        extra = {"nonce_str": secrets.token_hex(16)} if nonce else {}
        response = self._http.request(
            "POST", self._base + path, headers={"Content-Type": "text/xml; charset=utf-8", "User-Agent": "paycenter"},
            body=write_xml(self._signed({**fields, **extra})), limits=self._limits, operation=operation,
        )  # fmt: skip
        if response.status != 200:
            raise UnknownOutcome(f"WeChat Pay answered HTTP {response.status}")
        try:
            found = self.verified(response.body)
            self.must_be_ours(found)
        except (BadSignature, MalformedInbound, IdentityMismatch) as exc:
            raise UnverifiedAnswer(f"the answer is not credible: {exc}") from exc
        return AnswerV2(found)

    def together(self) -> AbstractContextManager[None]:
        """Several calls that take no longer than one may."""
        return one_time_limit(self._limits)

    def page_url(self, path: str, fields: Mapping[str, str]) -> str:
        """Where a payer's browser is sent. Raises NotSent without a key."""
        return f"{self._base}{path}?{urlencode(self._signed(fields), quote_via=quote, safe='')}"

    def verified(self, body: bytes) -> dict[str, str]:
        """The fields of a genuine message. Makes no outbound call. Raises MalformedInbound or BadSignature."""
        if not self._key:
            raise MalformedInbound("the account has no API v2 key")
        try:
            found = read_xml(body)
        except ValueError as exc:
            raise MalformedInbound(f"not a message of API v2: {exc}") from exc
        if found.get("return_code") != "SUCCESS":
            raise MalformedInbound(f"it states no success: {found.get('return_msg', '')[:128]}")
        if "req_info" in found and "sign" not in found:
            raise MalformedInbound("a refund's notification, which API v2 seals and does not sign")
        sign_type = found.get("sign_type") or MD5
        if sign_type not in (MD5, HMAC_SHA256):
            raise BadSignature("an unknown kind of signature")
        right = signature(found, self._key, sign_type)
        if not hmac.compare_digest(right.encode(), found.get("sign", "").upper().encode()):
            raise BadSignature("the signature is missing or wrong")
        return found

    def must_be_ours(self, found: Mapping[str, str]) -> None:
        """Raises IdentityMismatch. Contract notifications name no app id."""
        if found.get("mch_id") != self._identity["mch_id"]:
            raise IdentityMismatch("it names another merchant number")
        if found.get("appid", self._identity["appid"]) != self._identity["appid"]:
            raise IdentityMismatch("it names another app id")

    def _signed(self, fields: Mapping[str, str]) -> dict[str, str]:
        if not self._key:
            raise NotSent("the account has no API v2 key")
        ours = {**self._identity, **fields}
        return {**ours, "sign": signature(ours, self._key)}
