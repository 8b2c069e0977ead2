"""Which keys WeChat Pay signs with: platform certificates and the WeChat Pay public key, by serial.

While a merchant is switched from certificates to the public key (days), either may sign, so one map
holds both: https://pay.weixin.qq.com/doc/v3/merchant/4012154180
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from channels.base import keys
from channels.base.fields import Label
from channels.wechat.fields import PUBLIC_KEY

_REQUIRED = Label("使用微信支付公钥时必填", "required with the WeChat Pay public key")
_NOT_A_PAIR = Label("与商户 API 私钥不是一对", "does not belong to the merchant API private key")
_OWN_KEY = Label("这是商户自己的公钥，此处需要微信支付公钥",
                 "this is the merchant's own public key; WeChat Pay's is wanted here")  # fmt: skip
_NOT_RSA = Label("不是 RSA 证书", "not an RSA certificate")


class PlatformCertificate(NamedTuple):
    """A certificate WeChat Pay signs with; `serial` in upper hex, `expires_at` aware."""

    serial: str
    pem: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key that may sign; `valid_from` and `valid_until` are None for a public key without expiry."""

    public_key: RSAPublicKey
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def usable(self, now: datetime) -> bool:
        started = self.valid_from is None or self.valid_from <= now
        return started and (self.valid_until is None or now < self.valid_until)


def serial_of(certificate: x509.Certificate) -> str:
    """Serial number in upper hex, whole bytes, as the merchant platform shows it."""
    text = f"{certificate.serial_number:X}"
    return text.zfill(len(text) + len(text) % 2)


def lookup_serial(serial: str) -> str:
    """One spelling for both kinds: hex serials lose case and leading zeros, key ids stay as they are."""
    return serial.upper().lstrip("0") if re.fullmatch(r"[0-9A-Fa-f]+", serial) else serial


def certificate_keys(certificates: Iterable[x509.Certificate]) -> dict[str, VerifyingKey]:
    """Verifying keys by serial. Certificates that hold no RSA key are left out."""
    found: dict[str, VerifyingKey] = {}
    for certificate in certificates:
        key = keys.rsa_key_in(certificate)
        if key is not None:
            found[lookup_serial(serial_of(certificate))] = VerifyingKey(
                key, certificate.not_valid_before_utc, certificate.not_valid_after_utc
            )
    return found


def configured_keys(config: Mapping[str, Any]) -> dict[str, VerifyingKey]:
    """Every key the account knows, of both kinds, whichever mode it asks WeChat Pay to use."""
    chain = config.get("platform_certificates")
    found = certificate_keys(keys.parse_certificates(chain)) if chain else {}
    key_id, pem = config.get("wechatpay_public_key_id"), config.get("wechatpay_public_key")
    if key_id and pem:
        found[lookup_serial(key_id)] = VerifyingKey(keys.parse_public_key(pem))
    return found


def describe(certificate: x509.Certificate) -> PlatformCertificate:
    pem = keys.certificates_pem([certificate])
    return PlatformCertificate(serial_of(certificate), pem, certificate.not_valid_after_utc)


def encrypted_certificates(body: bytes) -> list[Mapping[str, Any]]:
    """The `encrypt_certificate` objects of an answer of GET /v3/certificates.

    Raises ValueError when the answer has another shape. Nothing in it is trusted yet.
    """
    try:
        rows = json.loads(body)["data"]
        found = [row["encrypt_certificate"] for row in rows]
    except (KeyError, TypeError, RecursionError) as exc:
        raise ValueError("not a list of certificates") from exc
    if not found or not all(isinstance(row, dict) for row in found):
        raise ValueError("not a list of certificates")
    return found


def config_problems(config: Mapping[str, Any]) -> dict[str, list[Label]]:
    """What only shows when fields are seen together, by field name."""
    problems: dict[str, list[Label]] = {}
    private = keys.load_private_key(config["merchant_private_key"])
    own = keys.rsa_key_in(keys.parse_certificates(config["merchant_cert"])[0])
    if own is None:
        problems["merchant_cert"] = [_NOT_RSA]
    elif not keys.is_pair(private, own):
        problems["merchant_cert"] = [_NOT_A_PAIR]
    pem = config.get("wechatpay_public_key")
    if pem and keys.is_pair(private, keys.parse_public_key(pem)):
        problems["wechatpay_public_key"] = [_OWN_KEY]
    chain = config.get("platform_certificates")
    certificates = keys.parse_certificates(chain) if chain else []
    if len(certificate_keys(certificates)) < len(certificates):
        problems["platform_certificates"] = [_NOT_RSA]
    for name, other in (
        ("wechatpay_public_key_id", "wechatpay_public_key"),
        ("wechatpay_public_key", "wechatpay_public_key_id"),
    ):
        if not config.get(name) and (config["verify_mode"] == PUBLIC_KEY or config.get(other)):
            problems[name] = [_REQUIRED]
    return problems
