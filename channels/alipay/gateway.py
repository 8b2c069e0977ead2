"""Alipay on the wire: signed parameters out, verified source text back. Knows no trade.

https://opendocs.alipay.com/common/057k53 (signing), https://opendocs.alipay.com/common/02mse7 (verifying)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from channels.alipay import certificates
from channels.base import keys
from channels.base.beijing import BEIJING
from channels.base.limits import time_limits
from channels.base.provider import Clock
from channels.base.reading import exact
from paycenter.errors import BadSignature, MalformedInbound, UnknownOutcome
from paycenter.http import HttpClient

SUCCESS = "10000"
_TIME = "%Y-%m-%d %H:%M:%S"
_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "gbk": "gb18030", "gb2312": "gb18030", "gb18030": "gb18030"}
_MAX_FIELDS = 200
_DECODER = json.JSONDecoder(parse_float=exact)
_BLANK = " \t\r\n"


def beijing(moment: datetime) -> str:
    """An aware moment as Alipay writes it: `yyyy-MM-dd HH:mm:ss` in Beijing."""
    return moment.astimezone(BEIJING).strftime(_TIME)


def from_beijing(text: str) -> datetime | None:
    """The aware moment of Alipay's wall-clock text; None where it is empty or no time."""
    try:
        return datetime.strptime(text[:19], _TIME).replace(tzinfo=BEIJING)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """A gateway answer. `signed` says whether it carried a signature, which then was valid.

    Only errors may come unsigned: `signed` is True for every success.
    """

    code: str
    sub_code: str
    message: str
    data: Mapping[str, Any]
    signed: bool

    @property
    def ok(self) -> bool:
        """The call itself succeeded, which says nothing about the trade."""
        return self.code == SUCCESS

    def text(self, name: str) -> str:
        """A value of the answer as text, empty where it is absent."""
        value = self.data.get(name)
        return "" if value is None else str(value)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.code, self.sub_code, self.message)))


class Gateway:
    """One app's signer and verifier at one gateway address; keys are parsed once, here."""

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._url: str = config["gateway_url"]
        self._app_id: str = config["app_id"]
        self._limits = time_limits(config)
        self._key = keys.load_private_key(config["app_private_key"])
        self._certificate_names: dict[str, str] = {}
        self._alipay_cert_sn = ""
        if config["key_mode"] == "certificate":
            self._alipay_key = self._load_certificates(config)
        else:
            self._alipay_key = keys.parse_public_key(config["alipay_public_key"])

    def _load_certificates(self, config: Mapping[str, Any]) -> RSAPublicKey:
        app = keys.parse_certificates(config["app_cert"])[0]
        alipay = keys.parse_certificates(config["alipay_cert"])[0]
        roots = keys.parse_certificates(config["alipay_root_cert"])
        self._certificate_names = {
            "app_cert_sn": certificates.certificate_sn(app),
            "alipay_root_cert_sn": certificates.root_sn(roots),
        }
        self._alipay_cert_sn = certificates.certificate_sn(alipay)
        return certificates.rsa_key(alipay)

    def signed(
        self,
        method: str,
        content: Mapping[str, Any] | None,
        *,
        extra: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """All parameters of a request, signature included. Empty ones are neither signed nor sent."""
        parameters = {
            "app_id": self._app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": beijing(self._clock()),
            "version": "1.0",
            **self._certificate_names,
            **(extra or {}),
        }
        if content is not None:
            parameters["biz_content"] = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        parameters = {name: value for name, value in parameters.items() if value}
        parameters["sign"] = keys.sign_sha256(self._key, signing_text(parameters).encode("utf-8"))
        return parameters

    @property
    def form_action(self) -> str:
        """Where a browser posts signed parameters; the charset has to be in the address."""
        return self._address({"charset": "utf-8"})

    def page_url(self, parameters: Mapping[str, str]) -> str:
        """The address that takes a browser to Alipay's own cashier."""
        return self._address(parameters)

    def _address(self, parameters: Mapping[str, str]) -> str:
        return f"{self._url}{'&' if '?' in self._url else '?'}{encoded(parameters)}"

    def call(
        self,
        method: str,
        content: Mapping[str, Any] | None,
        *,
        operation: str,
        extra: Mapping[str, str] | None = None,
        business: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask the gateway. `business` are parameters that are no `biz_content` (authorisation codes).

        Raises NotSent, or UnknownOutcome for a status other than 200, an unreadable answer, a signature
        that is wrong, and a success that has none.
        """
        parameters = self.signed(method, content, extra={**(extra or {}), **(business or {})})
        in_body = {"biz_content", *(business or {})}
        body = encoded({k: v for k, v in parameters.items() if k in in_body})
        response = self._http.request(
            "POST", self._address({k: v for k, v in parameters.items() if k not in in_body}),
            headers={"content-type": "application/x-www-form-urlencoded;charset=utf-8"},
            body=body.encode("ascii"), limits=self._limits, operation=operation,
        )  # fmt: skip
        if response.status != 200:
            raise UnknownOutcome(f"Alipay answered HTTP {response.status}")
        return self._verified(method, response.body)

    def download(self, url: str, into: Path) -> None:
        """A file at an address that Alipay named, which is unsigned and its own credential.

        Raises NotSent or UnknownOutcome.
        """
        response = self._http.download("GET", url, into, operation="bill_file")
        if response.status != 200:
            raise UnknownOutcome(f"Alipay's files answered HTTP {response.status}")

    def _verified(self, method: str, body: bytes) -> Answer:
        try:
            members = members_of(body.decode("utf-8"))
        except (ValueError, RecursionError) as exc:
            raise UnknownOutcome("Alipay's answer is not readable") from exc
        name = method.replace(".", "_") + "_response"
        source, value = members.get(name) or members.get("error_response") or ("", None)
        if not isinstance(value, dict):
            raise UnknownOutcome("Alipay's answer holds no result")
        code = str(value.get("code") or "")
        signed = self._check_signature(members, source)
        if not signed and code in ("", SUCCESS):
            raise UnknownOutcome("Alipay's answer is not signed")
        message = str(value.get("sub_msg") or value.get("msg") or "")
        return Answer(code, str(value.get("sub_code") or ""), message, value, signed)

    def _check_signature(self, members: Mapping[str, tuple[str, Any]], source: str) -> bool:
        _text, signature = members.get("sign", ("", None))
        if not signature:
            return False
        _text, name = members.get("alipay_cert_sn", ("", None))
        if name and self._alipay_cert_sn and name != self._alipay_cert_sn:
            raise UnknownOutcome("Alipay signed with another certificate than the configured one")
        if not keys.verify_sha256(self._alipay_key, str(signature), source.encode("utf-8")):
            raise UnknownOutcome("the signature of Alipay's answer is wrong")
        return True

    def verify_inbound(self, raw: str) -> dict[str, str]:
        """Fields of a notification or return, once its signature was found right.

        Every field counts as received, unknown and empty ones too, except `sign` and `sign_type`.
        Raises MalformedInbound, or BadSignature for anything but a valid RSA2 signature.
        """
        fields, charset = decode_form(raw)
        signature = fields.get("sign", "")
        if not signature:
            raise BadSignature("not signed")
        if fields.get("sign_type", "RSA2") != "RSA2":
            raise BadSignature("only RSA2 signatures are accepted")
        text = signing_text({k: v for k, v in fields.items() if k != "sign_type"})
        if not keys.verify_sha256(self._alipay_key, signature, text.encode(charset)):
            raise BadSignature("the signature is wrong")
        return fields


def signing_text(parameters: Mapping[str, str]) -> str:
    """Everything except `sign`, sorted by name, raw values joined as `k=v&k=v`."""
    return "&".join(f"{name}={parameters[name]}" for name in sorted(parameters) if name != "sign")


def encoded(parameters: Mapping[str, str]) -> str:
    """As a query string, a form body, or the order string of the phone SDK."""
    return urlencode(parameters, quote_via=quote, safe="")


def decode_form(raw: str) -> tuple[dict[str, str], str]:
    """Fields of a form body or query string, decoded once by its own `charset` field, and that codec.

    Raises MalformedInbound for an unknown charset, undecodable bytes and a field that comes twice.
    """
    try:
        ascii_pairs = parse_qsl(raw, keep_blank_values=True, encoding="latin-1", max_num_fields=_MAX_FIELDS)
        codec = _CHARSETS.get(dict(ascii_pairs).get("charset", "utf-8").lower())
        if codec is None:
            raise MalformedInbound("unknown charset")
        pairs = parse_qsl(
            raw, keep_blank_values=True, encoding=codec, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError as exc:
        raise MalformedInbound("not a form") from exc
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedInbound("a field comes twice")
    return fields, codec


def members_of(text: str) -> dict[str, tuple[str, Any]]:
    """Members of a JSON object: name to (exact source text of the value, parsed value).

    Signatures cover the source text byte for byte, so it is cut out, never written anew. Raises
    ValueError for anything but one object with distinct names.
    """
    members: dict[str, tuple[str, Any]] = {}
    at = _expect(text, 0, "{")
    while True:
        name, at = _DECODER.raw_decode(text, at)
        if not isinstance(name, str) or name in members:
            raise ValueError("not a distinct member name")
        at = _expect(text, at, ":")
        value, end = _DECODER.raw_decode(text, at)
        members[name] = (text[at:end], value)
        at = _skip(text, end)
        if text[at : at + 1] == "}":
            break
        at = _expect(text, at, ",")
    if _skip(text, at + 1) != len(text):
        raise ValueError("text after the object")
    return members


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _expect(text: str, at: int, mark: str) -> int:
    """Position of the next token after `mark`."""
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"{mark} expected")
    return _skip(text, at + 1)
