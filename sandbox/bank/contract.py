"""Signing a contract with the bank: how long its order numbers are, and the keys of both sides."""

from __future__ import annotations

from sandbox import keys
from sandbox.book import random_digits
from sandbox.channel import Contract

MODES = ("ten_digits", "six_digits")
BRANCH_DIGITS, MERCHANT_DIGITS = 4, 6


def account_key(branch_id: str, co_no: str) -> str:
    """The branch and the merchant number together name a merchant."""
    return branch_id + co_no


def sign_contract(*, mode: str, base_url: str) -> Contract:
    branch_id, co_no = random_digits(BRANCH_DIGITS), random_digits(MERCHANT_DIGITS)
    merchant_key, bank_key = keys.new_rsa(), keys.new_rsa()
    config = {
        "branch_id": branch_id,
        "co_no": co_no,
        "order_no_digits": "6" if mode == "six_digits" else "10",
        "merchant_private_key": keys.private_pem(merchant_key),
        "bank_public_key": keys.public_pem(bank_key),
        "gateway_url": f"{base_url}/bank",
    }
    secrets = {"private_key": keys.private_pem(bank_key), "merchant_public_key": keys.public_pem(merchant_key)}
    return Contract(account_key(branch_id, co_no), config, secrets)
