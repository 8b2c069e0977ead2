"""Placing an order: what the channel is told, and how its words are taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Refused
from channels.wechat.ordering import description
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.money import Money
from tests.channels.wechat.standin import Signer

URL = {"code_url": "weixin://wxpay/bizpayurl?pr=1"}


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("2026年11月物业管理费", "2026年11月物业管理费"),
        ("停车费🚗11月", "停车费11月"),
        ("第一行\n第二行\t尾", "第一行 第二行 尾"),
        ("物" * 60, "物" * 42),  # 42 × 3 bytes = 126; a 43rd would be cut in two
        ("a" * 200, "a" * 127),
        ("🚗🚗", "ORDER1"),
        ("费\ud800用", "费用"),
    ],
)
def test_the_payer_reads_a_description_the_channel_accepts(subject, shown):
    assert description(subject, "ORDER1") == shown


@given(st.text(max_size=300))
def test_no_subject_makes_a_description_the_channel_refuses(subject):
    made = description(subject, "ORDER1")
    assert 1 <= len(made.encode()) <= 127
    assert all(c <= "\uffff" for c in made)
    assert "\n" not in made


def test_an_order_about_to_expire_still_gets_the_minute_the_channel_insists_on(
    provider, make_order, channel, says
):
    sent_at = datetime.now(UTC)
    says(200, URL)
    provider.pay("wechat_native", make_order(sent_at=sent_at, expire_at=sent_at + timedelta(seconds=40)))
    expire = datetime.fromisoformat(channel.requests[0].json["time_expire"])
    assert expire.utcoffset() == timedelta(hours=8)
    assert timedelta(seconds=60) <= expire - sent_at <= timedelta(seconds=66)


def test_sending_again_repeats_every_parameter(provider, order, channel, says):
    """Another body under the same number would be refused as OUT_TRADE_NO_USED."""
    says(500, {"code": "SYSTEM_ERROR", "message": "系统异常"})
    says(200, URL)
    with pytest.raises(UnknownOutcome):
        provider.pay("wechat_native", order)
    provider.pay("wechat_native", order)
    first, second = channel.requests
    assert first.body == second.body


def test_profit_sharing_is_asked_for_only_when_wanted(provider, make_order, channel, says):
    says(200, URL)
    says(200, URL)
    provider.pay("wechat_native", make_order(profit_sharing=True))
    provider.pay("wechat_native", make_order())
    assert channel.requests[0].json["settle_info"] == {"profit_sharing": True}
    assert "settle_info" not in channel.requests[1].json


def test_another_currency_is_never_sent_as_fen(provider, make_order, channel, says):
    says(400, {"code": "PARAM_ERROR", "message": "currency"})
    provider.pay("wechat_native", make_order(amount=Money(500, "USD")))
    assert channel.requests[0].json["amount"] == {"total": 500, "currency": "USD"}


def test_a_notify_address_with_a_query_is_refused_here_with_clear_words(provider, make_order, channel):
    result = provider.pay("wechat_native", make_order(notify_url="https://pay.example.com/notify?a=1"))
    assert isinstance(result, Refused)
    assert "notify_url" in result.message
    assert channel.requests == []


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "PARAM_ERROR"), (400, "INVALID_REQUEST"), (400, "APPID_MCHID_NOT_MATCH"),
        (400, "MCH_NOT_EXISTS"), (400, "ORDER_CLOSED"), (401, "SIGN_ERROR"), (403, "NO_AUTH"),
        (403, "OUT_TRADE_NO_USED"), (403, "RULE_LIMIT"), (403, "TRADE_ERROR"),
    ],
)  # fmt: skip
def test_words_that_are_final_refuse_the_attempt(status, code, provider, order, says):
    says(status, {"code": code, "message": "原因"})
    assert provider.pay("wechat_native", order) == Refused(code=code, message="原因")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"code": "SYSTEM_ERROR", "message": "系统异常，请稍后重试"}),
        (500, {"code": "PARAM_ERROR", "message": "words of a refusal, but with a 5xx"}),
        (502, b"<html>bad gateway</html>"),
        (503, b""),
        (429, {"code": "FREQUENCY_LIMITED", "message": "频率超限"}),
        (429, {"code": "PARAM_ERROR", "message": ""}),
        (404, b""),
        (405, b""),
        (400, {"code": "SOMETHING_NEW", "message": "a word nobody has seen"}),
        (400, {"message": "no code"}),
        (400, b"[]"),
        (301, b""),
    ],
)
def test_anything_else_leaves_the_outcome_unknown(status, body, provider, order, says):
    says(status, body)
    with pytest.raises(UnknownOutcome):
        provider.pay("wechat_native", order)


def test_accepted_is_not_done(provider, order, says):
    says(202, URL)
    with pytest.raises(UnknownOutcome):
        provider.pay("wechat_native", order)


def test_an_unsigned_success_is_not_believed(provider, order, says):
    says(200, URL, sign=None)
    with pytest.raises(UnknownOutcome):
        provider.pay("wechat_native", order)


def test_a_success_signed_by_a_stranger_is_not_believed(provider, order, says, wx_keys):
    says(200, URL, sign=Signer(wx_keys.stranger, wx_keys.by_public_key.serial))
    with pytest.raises(UnknownOutcome):
        provider.pay("wechat_native", order)


@pytest.mark.parametrize("data", [{}, {"code_url": ""}, {"code_url": 7}, {"code_url": "weixin://物"}])
def test_a_signed_success_without_the_code_is_unknown(data, provider, order, says):
    says(200, data)
    with pytest.raises(UnknownOutcome):
        provider.pay("wechat_native", order)


def test_a_connection_that_breaks_after_sending_is_unknown(provider, order, says, channel):
    says(400, {}, then_break=True)
    with pytest.raises(UnknownOutcome):
        provider.pay("wechat_native", order)
    assert len(channel.requests) == 1


def test_the_configured_time_limit_ends_the_wait_as_unknown(make_provider, order, says):
    patient, hurried = make_provider(), make_provider(connect_timeout=1, read_timeout=1)
    says(200, URL, delay=2.5)
    with pytest.raises(UnknownOutcome, match="no answer within 2 s"):
        hurried.pay("wechat_native", order)
    says(200, URL, delay=2.5)
    assert patient.pay("wechat_native", order).instruction.content == URL["code_url"]


def test_no_connection_means_nothing_was_sent(make_provider, order):
    with pytest.raises(NotSent):
        make_provider(base_url="http://127.0.0.1:1").pay("wechat_native", order)
