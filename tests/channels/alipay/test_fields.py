"""What a clerk may hand over, and what she is told when it is wrong."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.alipay.provider import AlipayProvider
from channels.base import keys
from channels.base.config import MASK, clean_config, masked_config
from paycenter.errors import ChannelConfigInvalid
from tests.channels.alipay.conftest import NOW


def problems(raw: dict[str, Any]) -> dict[str, Any]:
    with pytest.raises(ChannelConfigInvalid) as caught:
        clean_config(AlipayProvider, raw, NOW)
    return {name: found[0] for name, found in caught.value.problems.items()}


def test_production_is_the_default(raw_config: dict[str, Any]) -> None:
    config = clean_config(AlipayProvider, {**raw_config, "gateway_url": ""}, NOW)
    assert config["gateway_url"] == "https://openapi.alipay.com/gateway.do"
    assert config["oauth_url"] == "https://openauth.alipay.com/oauth2/publicAppAuthorize.htm"
    assert (config["connect_timeout"], config["read_timeout"], config["key_mode"]) == (3, 8, "key")


def test_keys_may_be_pasted_without_headers(
    raw_config: dict[str, Any], app_key: RSAPrivateKey, alipay_key: RSAPrivateKey
) -> None:
    pkcs1 = app_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )  # fmt: skip
    public = "".join(raw_config["alipay_public_key"].splitlines()[1:-1])
    raw = {**raw_config, "app_private_key": base64.b64encode(pkcs1).decode(), "alipay_public_key": public}
    config = clean_config(AlipayProvider, raw, NOW)
    assert config["app_private_key"] == keys.private_key_pem(app_key)
    assert config["alipay_public_key"] == keys.public_key_pem(alipay_key.public_key())


@pytest.mark.parametrize(
    ("field", "value", "zh"),
    [
        ("app_id", "202100000000001", "15"),
        ("app_id", "20210000000000011", "17"),
        ("app_id", "2021A00000000001", "16 位数字"),
        ("app_id", "２０２１００００００００００００", "16 位数字"),
        ("app_id", "", "必填"),
        ("seller_id", "3088000000000001", "2088"),
        ("seller_id", "merchant@example", "2088"),
        ("app_private_key", "", "必填"),
        ("app_private_key", "MIIB", "私钥"),
        ("alipay_public_key", "", "必填"),
        ("alipay_public_key", "hello", "公钥"),
        ("key_mode", "secret", "可选"),
        ("gateway_url", "ftp://x", "http"),
        ("gateway_url", "https://user:pw@openapi.alipay.com/gateway.do", "http"),
        ("gateway_url", "https://openapi alipay.com/", "http"),
        ("connect_timeout", "0", "1 到 10"),
        ("read_timeout", "99", "1 到 10"),
        ("read_timeout", "soon", "整数"),
        ("colour", "red", "未知"),
    ],
)
def test_each_mistake_is_named(raw_config: dict[str, Any], field: str, value: str, zh: str) -> None:
    found = problems({**raw_config, field: value})
    assert list(found) == [field]
    assert zh in found[field].zh
    assert found[field].en


def test_own_public_key_in_alipays_place(raw_config: dict[str, Any], app_key: RSAPrivateKey) -> None:
    found = problems({**raw_config, "alipay_public_key": keys.public_key_pem(app_key.public_key())})
    assert "应用公钥" in found["alipay_public_key"].zh
    assert "own public key" in found["alipay_public_key"].en


def test_keys_in_each_others_place(raw_config: dict[str, Any]) -> None:
    swapped = {
        **raw_config,
        "app_private_key": raw_config["alipay_public_key"],
        "alipay_public_key": raw_config["app_private_key"],
    }
    found = problems(swapped)
    assert "这是公钥" in found["app_private_key"].zh
    assert "这是私钥" in found["alipay_public_key"].zh


def test_short_keys(raw_config: dict[str, Any]) -> None:
    short = rsa.generate_private_key(65537, 1024)
    assert "2048" in problems({**raw_config, "app_private_key": keys.private_key_pem(short)})["app_private_key"].zh


def test_private_key_is_never_shown(raw_config: dict[str, Any]) -> None:
    config = clean_config(AlipayProvider, raw_config, NOW)
    shown = masked_config(AlipayProvider, config)
    assert shown["app_private_key"] == MASK
    assert shown["app_id"] == config["app_id"]
    assert not any("PRIVATE" in str(value) for value in shown.values())


def test_no_problem_repeats_what_was_pasted(raw_config: dict[str, Any]) -> None:
    pasted = raw_config["app_private_key"][:-200]
    found = problems({**raw_config, "app_private_key": pasted, "alipay_public_key": pasted})
    for label in found.values():
        assert pasted[100:140] not in label.zh + label.en


def test_every_field_speaks_both_languages() -> None:
    for field in AlipayProvider.fields:
        for label in (field.label, field.help):
            assert label.zh, field.name
            assert label.en, field.name
            assert label.zh.isascii() is False
            assert label.en.isascii() or "→" in label.en


def test_what_names_the_merchant_never_changes() -> None:
    assert {f.name for f in AlipayProvider.fields if f.identity} == {"app_id", "seller_id"}
