"""Parameters of payment accounts that pass every check and lead nowhere: keys of our own, addresses in `.invalid`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from random import Random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.utils import timezone

from channels.base import keys

_NOWHERE = "https://channel.invalid"


@lru_cache(maxsize=4)
def _key(_name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _private(name: str) -> str:
    return keys.private_key_pem(_key(name))


def _public(name: str) -> str:
    return keys.public_key_pem(_key(name).public_key())


def _certificate(subject: str, issuer: str, *, authority: bool = False) -> str:
    """A certificate of `subject`'s key that `issuer` signed, valid for two years."""
    now = timezone.now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject)).issuer_name(_name(issuer)).public_key(_key(subject).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30)).not_valid_after(now + timedelta(days=700))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )  # fmt: skip
    return keys.certificates_pem([builder.sign(_key(issuer), hashes.SHA256())])


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _digits(random: Random, count: int) -> str:
    return "".join(random.choice("0123456789") for _ in range(count))


def _wechat(random: Random) -> dict[str, Any]:
    return {
        "mch_id": "16" + _digits(random, 8), "app_id": "wx" + _digits(random, 16),
        "merchant_private_key": _private("merchant"), "merchant_cert": _certificate("merchant", "merchant"),
        "api_v3_key": _digits(random, 32), "wechatpay_public_key_id": "PUB_KEY_ID_" + _digits(random, 20),
        "wechatpay_public_key": _public("channel"), "base_url": _NOWHERE,
    }  # fmt: skip


def _alipay(random: Random) -> dict[str, Any]:
    return {
        "app_id": "2021" + _digits(random, 12), "seller_id": "2088" + _digits(random, 12),
        "app_private_key": _private("merchant"), "alipay_public_key": _public("channel"),
        "gateway_url": f"{_NOWHERE}/gateway.do",
    }  # fmt: skip


def _unionpay(random: Random) -> dict[str, Any]:
    return {
        "mer_id": "777" + _digits(random, 12), "sign_private_key": _private("merchant"),
        "sign_cert": _certificate("merchant", "merchant"),
        "middle_cert": _certificate("middle", "root", authority=True),
        "root_cert": _certificate("root", "root", authority=True),
        "base_url": f"{_NOWHERE}/gateway/api", "file_url": f"{_NOWHERE}/",
    }  # fmt: skip


def _mpgs(random: Random) -> dict[str, Any]:
    return {
        "merchant_id": "DEMO" + _digits(random, 8), "merchant_name": "Demo Property", "base_url": f"{_NOWHERE}/v1",
        "token_url": f"{_NOWHERE}/oauth2/token", "client_id": "demo", "client_secret": _digits(random, 24),
        "webhook_secret": _digits(random, 24),
    }  # fmt: skip


CONFIGS: Mapping[str, Callable[[Random], dict[str, Any]]] = {
    "wechat": _wechat, "alipay": _alipay, "unionpay": _unionpay, "mpgs": _mpgs,
}  # fmt: skip
