"""The platform certificates and the connection check."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from channels.base import NoticeKind
from channels.wechat.gateway import UnverifiedAnswer
from paycenter.errors import BadSignature, ChannelConfigInvalid, NotSent, UnknownOutcome
from tests.channels.wechat.conftest import transaction
from tests.channels.wechat.standin import Signer, hex_serial, new_certificate, pem, seal

NONE = {"code": "RESOURCE_NOT_EXISTS", "message": "无可用的平台证书，请在商户平台申请使用微信支付公钥"}


def listing(*certificates, key=None) -> dict:
    rows = []
    for certificate in certificates:
        sealed = seal(pem(certificate).encode(), "certificate", *([key] if key else []))
        rows.append({
            "serial_no": hex_serial(certificate), "effective_time": "2026-01-01T00:00:00+08:00",
            "expire_time": "2031-01-01T00:00:00+08:00", "encrypt_certificate": sealed,
        })  # fmt: skip
    return {"data": rows}


@pytest.fixture
def fresh(make_provider):
    """A merchant with platform certificates, none of which is stored yet."""
    return make_provider(
        verify_mode="platform_certificate", wechatpay_public_key_id=None, wechatpay_public_key=None
    )


def test_the_first_certificates_are_fetched_and_prove_themselves(
    fresh, make_provider, notifies, wx_keys, says, channel
):
    says(200, listing(wx_keys.platform_certificate), sign=wx_keys.by_certificate)
    (found,) = fresh.refresh_certificates()
    assert channel.requests[0].target == "/v3/certificates"
    assert found.serial == hex_serial(wx_keys.platform_certificate)
    assert found.expires_at == wx_keys.platform_certificate.not_valid_after_utc
    # Stored with the account, they verify what arrives next; before that, nothing does.
    request = notifies(transaction(), sign=wx_keys.by_certificate)
    with pytest.raises(BadSignature):
        fresh.parse_notify(request)
    stored = make_provider(
        verify_mode="platform_certificate", wechatpay_public_key_id=None, wechatpay_public_key=None,
        platform_certificates=found.pem,
    )  # fmt: skip
    assert stored.parse_notify(request).kind is NoticeKind.PAYMENT


def test_several_certificates_are_all_returned_and_expired_ones_are_not(fresh, wx_keys, says):
    newer, expired = new_certificate(wx_keys.public), new_certificate(wx_keys.stranger, days=-30)
    answer = listing(wx_keys.platform_certificate, newer, expired)
    says(200, answer, sign=wx_keys.by_certificate)
    found = fresh.refresh_certificates()
    assert [c.serial for c in found] == [hex_serial(wx_keys.platform_certificate), hex_serial(newer)]
    assert all(c.expires_at > datetime.now(UTC) for c in found)


def test_a_list_signed_by_a_key_it_does_not_hold_is_not_believed(fresh, wx_keys, says):
    stranger = Signer(wx_keys.stranger, hex_serial(wx_keys.platform_certificate))
    says(200, listing(wx_keys.platform_certificate), sign=stranger)
    with pytest.raises(UnverifiedAnswer):
        fresh.refresh_certificates()


def test_a_list_of_somebody_without_our_apiv3_key_is_not_believed(fresh, wx_keys, says):
    """A perfect signature by a certificate of the forger's own proves nothing."""
    forged = new_certificate(wx_keys.stranger)
    says(200, listing(forged, key="Z" * 32), sign=Signer(wx_keys.stranger, hex_serial(forged)))
    with pytest.raises(ChannelConfigInvalid) as caught:
        fresh.refresh_certificates()
    assert set(caught.value.problems) == {"api_v3_key"}


@pytest.mark.parametrize("body", [{}, {"data": []}, {"data": [{"serial_no": "1"}]}, b"<html/>"])
def test_an_answer_without_certificates_is_unknown(body, fresh, says, wx_keys):
    says(200, body, sign=wx_keys.by_certificate)
    with pytest.raises(UnknownOutcome):
        fresh.refresh_certificates()


def test_a_sealed_thing_that_is_no_certificate_is_unknown(fresh, says, wx_keys):
    says(200, {"data": [{"encrypt_certificate": seal(b"hello", "certificate")}]}, sign=wx_keys.by_certificate)
    with pytest.raises(UnknownOutcome):
        fresh.refresh_certificates()


def test_a_merchant_without_certificates_keeps_those_it_had(provider, make_provider, says, wx_keys):
    says(404, NONE)
    assert provider.refresh_certificates() == []
    says(404, NONE)
    expired = new_certificate(wx_keys.stranger, days=-30)
    had = make_provider(platform_certificates=pem(wx_keys.platform_certificate) + pem(expired))
    assert [c.serial for c in had.refresh_certificates()] == [hex_serial(wx_keys.platform_certificate)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"code": "SYSTEM_ERROR"}), (429, {"code": "FREQUENCY_LIMITED"}), (404, b""),
        (403, {"code": "NO_AUTH"}),
    ],
)  # fmt: skip
def test_no_clear_answer_changes_no_certificate(status, body, certificate_provider, says):
    says(status, body)
    with pytest.raises(UnknownOutcome):
        certificate_provider.refresh_certificates()


def test_the_check_proves_everything_for_platform_certificates(fresh, says, wx_keys):
    says(200, listing(wx_keys.platform_certificate), sign=wx_keys.by_certificate)
    result = fresh.check()
    assert result.ok
    assert "APIv3" in result.message.zh


def test_the_check_tells_a_merchant_to_change_to_the_public_key(certificate_provider, says):
    says(404, NONE)
    result = certificate_provider.check()
    assert not result.ok
    assert "微信支付公钥" in result.message.zh


@pytest.mark.parametrize(("status", "body"), [(404, NONE), (500, {"code": "SYSTEM_ERROR", "message": ""})])
def test_the_check_of_a_public_key_says_what_it_could_not_prove(status, body, provider, says, channel):
    says(status, body)
    says(404, {"code": "ORDER_NOT_EXIST", "message": "订单不存在"})
    result = provider.check()
    assert result.ok
    assert "首次收款" in result.message.zh
    assert [r.method for r in channel.requests] == ["GET", "GET"]


def test_the_check_of_a_public_key_proves_it_where_certificates_are_still_served(provider, says, wx_keys):
    says(200, listing(wx_keys.platform_certificate))
    result = provider.check()
    assert result.ok
    assert "首次收款" not in result.message.zh


def test_the_check_finds_a_wrong_public_key(make_provider, says, wx_keys):
    wrong = make_provider(wechatpay_public_key=pem(wx_keys.stranger.public_key()))
    says(200, listing(wx_keys.platform_certificate))
    result = wrong.check()
    assert not result.ok
    assert "公钥" in result.message.zh


@pytest.mark.parametrize("mode", ["public_key", "platform_certificate"])
def test_the_check_finds_a_certificate_that_is_not_the_merchants(mode, make_provider, wx_keys):
    other = make_provider(verify_mode=mode, merchant_cert=pem(new_certificate(wx_keys.merchant)))
    result = other.check()
    assert not result.ok
    assert "签名" in result.message.zh


def test_the_check_finds_a_wrong_apiv3_key(make_provider, says, wx_keys):
    says(200, listing(wx_keys.platform_certificate), sign=wx_keys.by_certificate)
    result = make_provider(verify_mode="platform_certificate", api_v3_key="Z" * 32).check()
    assert not result.ok
    assert "APIv3" in result.message.zh


def test_the_check_finds_a_wrong_clock(make_provider):
    result = make_provider(clock=lambda: datetime.now(UTC) + timedelta(hours=8)).check()
    assert not result.ok
    assert "时间" in result.message.zh


def test_the_check_finds_nobody_there(make_provider):
    provider = make_provider(base_url="http://127.0.0.1:1")
    result = provider.check()
    assert not result.ok
    assert "连接不上" in result.message.zh
    with pytest.raises(NotSent):
        provider.refresh_certificates()


def test_the_check_repeats_words_it_does_not_know(provider, says):
    says(404, NONE)
    says(400, {"code": "PARAM_ERROR", "message": "平台证书序列号Wechatpay-Serial错误"})
    result = provider.check()
    assert not result.ok
    assert "Wechatpay-Serial" in result.message.zh
