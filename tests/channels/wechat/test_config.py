"""What a clerk may enter, and what is said about mistakes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization

from channels.base.config import clean_config, masked_config
from channels.wechat.provider import WeChatPay
from paycenter.errors import ChannelConfigInvalid
from tests.channels.wechat.standin import new_certificate, pem

NOW = datetime.now(UTC)


def problems(raw, now=NOW):
    with pytest.raises(ChannelConfigInvalid) as caught:
        clean_config(WeChatPay, {k: v for k, v in raw.items() if v is not None}, now)
    return {name: [str(r) for r in reasons] for name, reasons in caught.value.problems.items()}


def test_addresses_and_time_limits_have_the_real_channels_values(raw_config):
    for name in ("base_url", "oauth_authorize_url", "oauth_token_url", "app_secret"):
        raw_config.pop(name)
    config = clean_config(WeChatPay, raw_config, NOW)
    assert config["base_url"] == "https://api.mch.weixin.qq.com"
    assert config["oauth_authorize_url"] == "https://open.weixin.qq.com/connect/oauth2/authorize"
    assert config["oauth_token_url"] == "https://api.weixin.qq.com/sns/oauth2/access_token"
    assert (config["connect_timeout"], config["read_timeout"]) == (3, 8)
    assert "app_secret" not in config


def test_keys_are_taken_in_the_forms_merchants_have(raw_config, wx_keys):
    pkcs1 = wx_keys.merchant.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()  # fmt: skip
    bare = "".join(pem(wx_keys.public.public_key()).splitlines()[1:-1])
    der = wx_keys.merchant_certificate.public_bytes(serialization.Encoding.DER)
    config = clean_config(
        WeChatPay,
        raw_config | {"merchant_private_key": pkcs1, "wechatpay_public_key": bare, "merchant_cert": der},
        NOW,
    )
    assert config == clean_config(WeChatPay, raw_config, NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mch_id", "1234567"), ("mch_id", "12345678901"), ("mch_id", "19000072x1"), ("mch_id", None),
        ("app_id", "2021000000000000"), ("app_id", None),
        ("api_v2_key", "a" * 31), ("api_v2_key", "a b" * 11), ("papay_plan_id", "plan"),
        ("api_v3_key", "a" * 16), ("api_v3_key", "a" * 31), ("api_v3_key", "密" * 32), ("api_v3_key", None),
        ("merchant_private_key", "hello"), ("merchant_private_key", None),
        ("merchant_cert", "hello"), ("merchant_cert", None),
        ("wechatpay_public_key_id", "0114232134912410000000000000"),
        ("wechatpay_public_key_id", None), ("wechatpay_public_key", None), ("wechatpay_public_key", "x"),
        ("platform_certificates", "x"), ("verify_mode", "both"),
        ("base_url", "ftp://example.com"), ("connect_timeout", 0), ("read_timeout", "soon"),
        ("surprise", "1"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_at_its_field(field, value, raw_config):
    assert set(problems(raw_config | {field: value})) == {field}


def test_a_certificate_of_another_key_is_named(raw_config, wx_keys):
    found = problems(raw_config | {"merchant_cert": pem(new_certificate(wx_keys.stranger))})
    assert set(found) == {"merchant_cert"}
    assert "private key" in found["merchant_cert"][0]


def test_an_expired_merchant_certificate_is_named_with_its_day(raw_config, wx_keys):
    later = NOW + timedelta(days=500)
    day = wx_keys.merchant_certificate.not_valid_after_utc.date().isoformat()
    assert day in problems(raw_config, later)["merchant_cert"][0]


def test_the_merchants_own_public_key_is_not_wechat_pays(raw_config, wx_keys):
    found = problems(raw_config | {"wechatpay_public_key": pem(wx_keys.merchant.public_key())})
    assert "own" in found["wechatpay_public_key"][0]


def test_platform_certificates_need_no_public_key_but_half_of_one_is_a_mistake(raw_config):
    raw = raw_config | {"verify_mode": "platform_certificate"}
    assert set(problems(raw | {"wechatpay_public_key": None})) == {"wechatpay_public_key"}
    assert set(problems(raw | {"wechatpay_public_key_id": None})) == {"wechatpay_public_key_id"}
    without = {k: v for k, v in raw.items() if not k.startswith("wechatpay_")}
    assert clean_config(WeChatPay, without, NOW)["verify_mode"] == "platform_certificate"


def test_secrets_are_never_shown(raw_config):
    config = clean_config(WeChatPay, raw_config, NOW)
    shown = str(masked_config(WeChatPay, config))
    for name in ("app_secret", "api_v3_key", "merchant_private_key"):
        assert config[name] not in shown
    assert config["mch_id"] in shown


def test_what_names_the_merchant_is_marked_so_that_it_never_changes():
    assert {f.name for f in WeChatPay.fields if f.identity} == {"mch_id", "app_id"}


def test_every_field_speaks_both_languages():
    for field in WeChatPay.fields:
        assert field.label.zh
        assert field.label.en
        assert bool(field.help.zh) == bool(field.help.en)
        assert field.pattern is None or (field.pattern_hint.zh and field.pattern_hint.en)
