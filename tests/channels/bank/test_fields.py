"""What a clerk may type into the account form."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.bank.provider import BankProvider
from channels.base import keys
from channels.base.config import MASK, clean_config, masked_config
from paycenter.errors import ChannelConfigInvalid
from tests.channels.bank.conftest import NOW


def test_a_complete_form_passes_with_defaults(raw_config: dict[str, Any]) -> None:
    config = clean_config(BankProvider, raw_config, NOW)
    assert (config["order_no_digits"], config["connect_timeout"], config["read_timeout"]) == ("10", 3, 8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("branch_id", "755"), ("branch_id", "07555"), ("branch_id", "075a"), ("branch_id", "٠٧٥٥"), ("co_no", "00123"),
        ("co_no", "0000123"), ("order_no_digits", "8"), ("order_no_digits", "06"), ("gateway_url", "ftp://bank.example"),
        ("gateway_url", "https://bank.example/pay?x=1"), ("gateway_url", ""), ("merchant_private_key", "x"),
        ("bank_public_key", ""), ("read_timeout", "60"),
    ],
)  # fmt: skip
def test_wrong_values_are_named(raw_config: dict[str, Any], name: str, value: str) -> None:
    with pytest.raises(ChannelConfigInvalid) as caught:
        clean_config(BankProvider, {**raw_config, name: value}, NOW)
    assert set(caught.value.problems) == {name}


def test_the_merchants_own_public_key_is_recognised(raw_config: dict[str, Any], merchant_key: RSAPrivateKey) -> None:
    raw = {**raw_config, "bank_public_key": keys.public_key_pem(merchant_key.public_key())}
    with pytest.raises(ChannelConfigInvalid) as caught:
        clean_config(BankProvider, raw, NOW)
    assert "商户自己的公钥" in caught.value.problems["bank_public_key"][0].zh


def test_identity_and_secrets_are_declared(raw_config: dict[str, Any]) -> None:
    assert {f.name for f in BankProvider.fields if f.identity} == {"branch_id", "co_no"}
    shown = masked_config(BankProvider, clean_config(BankProvider, raw_config, NOW))
    assert shown["merchant_private_key"] == MASK
    assert "PRIVATE" not in str(shown)
