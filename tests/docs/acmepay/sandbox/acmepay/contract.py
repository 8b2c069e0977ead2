"""Signing a contract with the stand-in for AcmePay: the identity and the keys of both sides."""

from __future__ import annotations

from sandbox import keys
from sandbox.book import random_digits
from sandbox.channel import Contract

MODES = ("standard",)


def sign_contract(*, base_url: str) -> Contract:
    """`config` is what the merchant fills in, by the names of the provider's fields."""
    merchant_id = "M" + random_digits(9)
    merchant_key, channel_key = keys.new_rsa(), keys.new_rsa()
    config = {
        "merchant_id": merchant_id,
        "merchant_private_key": keys.private_pem(merchant_key),
        "channel_public_key": keys.public_pem(channel_key),
        "gateway_url": f"{base_url}/acmepay",
    }
    secrets = {"private_key": keys.private_pem(channel_key), "merchant_public_key": keys.public_pem(merchant_key)}
    return Contract(merchant_id, config, secrets)
