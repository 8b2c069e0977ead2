"""Signing a contract with WeChat Pay: merchant certificate, API v3 and v2 keys, a deduction plan, and
the channel's own key as a platform certificate, as a public key, or (during a switch) as both."""

from __future__ import annotations

import secrets
import string

from sandbox import keys
from sandbox.book import random_digits
from sandbox.channel import Contract

MODES = ("platform_certificate", "public_key", "switching")
_TENPAY = keys.x509_name("Tenpay.com Root CA", "Tenpay.com", "Tenpay.com CA Center")


def sign_contract(*, name: str, mode: str, base_url: str) -> Contract:
    """`switching` is a merchant halfway from certificate to public key: both sign for a while."""
    mch_id = "16" + random_digits(8)
    merchant_key = keys.new_rsa()
    root = keys.authority(_TENPAY)
    merchant_cert = keys.leaf(keys.x509_name(mch_id, "微信商户系统", name[:60]), merchant_key, root)
    merchant_pem = keys.certificate_pem(merchant_cert)
    config = {
        "base_url": base_url,
        "mch_id": mch_id,
        "app_id": "wx" + secrets.token_hex(8),
        "app_secret": secrets.token_hex(16),
        "merchant_private_key": keys.private_pem(merchant_key),
        "merchant_cert": merchant_pem,
        "api_v3_key": _key(),
        "api_v2_key": _key(),
        "papay_plan_id": "1" + random_digits(5),
        "verify_mode": "platform_certificate" if mode == "platform_certificate" else "public_key",
        "oauth_authorize_url": f"{base_url}/connect/oauth2/authorize",
        "oauth_token_url": f"{base_url}/sns/oauth2/access_token",
    }
    kept = {"merchant_public_key": keys.public_pem(merchant_key), "merchant_serial": keys.serial_hex(merchant_pem)}
    if mode != "public_key":
        kept |= _platform_certificate(root)
    if mode != "platform_certificate":
        kept |= _public_key(config)
    return Contract(mch_id, config, kept)


def _key() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))


def _platform_certificate(root: keys.Authority) -> dict[str, str]:
    key = keys.new_rsa()
    made = keys.leaf(keys.x509_name("Tenpay.com sign", "Tenpay.com", "Tenpay.com CA Center"), key, root)
    return {"platform_key": keys.private_pem(key), "platform_cert": keys.certificate_pem(made)}


def _public_key(config: dict[str, str]) -> dict[str, str]:
    key = keys.new_rsa()
    config["wechatpay_public_key_id"] = "PUB_KEY_ID_0" + config["mch_id"] + random_digits(20)
    config["wechatpay_public_key"] = keys.public_pem(key)
    return {"public_key_id": config["wechatpay_public_key_id"], "public_key_private": keys.private_pem(key)}
