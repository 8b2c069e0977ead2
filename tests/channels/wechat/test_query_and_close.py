from __future__ import annotations

from datetime import UTC, datetime

import pytest

from channels.base import CloseOutcome, PaymentState
from paycenter.errors import UnknownOutcome
from paycenter.money import Money
from tests.channels.wechat.conftest import ORDER_NO, transaction


def test_a_paid_order_is_read_in_full(provider, order, channel, says):
    says(200, transaction())
    result = provider.query(order)
    assert result.state is PaymentState.PAID
    assert result.order_no == ORDER_NO
    assert result.amount == Money(12345)  # the order's total, not the 12000 paid after a coupon
    assert result.channel_trade_no == "4200001234202611210000000001"
    assert result.paid_at == datetime(2026, 11, 21, 2, 34, 56, tzinfo=UTC)
    assert result.payer_id == "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
    assert (result.funding, result.channel_state, result.message) == ("CMB_DEBIT", "SUCCESS", "支付成功")
    (request,) = channel.requests
    assert (request.method, request.body) == ("GET", b"")
    assert request.target == f"/v3/pay/transactions/out-trade-no/{ORDER_NO}?mchid=1900007291"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("SUCCESS", PaymentState.PAID),
        ("REFUND", PaymentState.PAID),  # also after a refund of one fen of it
        ("NOTPAY", PaymentState.UNPAID),
        ("USERPAYING", PaymentState.UNPAID),
        ("CLOSED", PaymentState.CLOSED),
        ("REVOKED", PaymentState.CLOSED),
        ("PAYERROR", PaymentState.FAILED),
    ],
)
def test_each_word_of_the_channel(word, state, provider, order, says):
    says(200, transaction(trade_state=word))
    result = provider.query(order)
    assert (result.state, result.channel_state) == (state, word)
    assert (result.amount is not None) is (state is PaymentState.PAID)


def test_an_unpaid_order_has_neither_number_nor_amount(provider, order, says):
    says(200, transaction(
        trade_state="NOTPAY", transaction_id=None, amount=None, payer=None, success_time=None, bank_type=None
    ))  # fmt: skip
    result = provider.query(order)
    assert (result.state, result.amount, result.channel_trade_no, result.paid_at) == (
        PaymentState.UNPAID, None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("code", ["ORDER_NOT_EXIST", "ORDERNOTEXIST"])
def test_an_order_the_channel_does_not_know_is_not_a_failed_one(code, provider, order, says):
    says(404, {"code": code, "message": "订单不存在"})
    result = provider.query(order)
    assert (result.state, result.order_no, result.message) == (PaymentState.NOT_FOUND, ORDER_NO, "订单不存在")


@pytest.mark.parametrize(
    "changes",
    [
        {"out_trade_no": "20261121A0000000000000000002"},
        {"out_trade_no": None},
        {"mchid": "1900007292"},
        {"appid": "wx0000000000000000"},
        {"trade_state": "SOMETHING_NEW"},
        {"trade_state": None},
        {"amount": None},
        {"amount": {"total": "12345", "currency": "CNY"}},
        {"amount": {"total": 123.45, "currency": "CNY"}},
        {"amount": {"total": True, "currency": "CNY"}},
        {"amount": {"payer_total": 12345, "currency": "CNY"}},
        {"amount": {"total": 12345, "currency": "???"}},
        {"amount": {"total": 12345, "currency": ["CNY"]}},
        {"amount": 12345},
        {"transaction_id": None},
        {"transaction_id": 42},
    ],
)
def test_a_signed_answer_that_is_not_clearly_about_this_order_is_unknown(changes, provider, order, says):
    says(200, transaction(**changes))
    with pytest.raises(UnknownOutcome):
        provider.query(order)


def test_another_currency_is_reported_as_it_is(provider, order, says):
    says(200, transaction(amount={"total": 12345, "currency": "JPY"}))
    assert provider.query(order).amount == Money(12345, "JPY")


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01T00:00:00+08:00"])
def test_a_time_that_cannot_be_read_does_not_hide_a_payment(text, provider, order, says):
    says(200, transaction(success_time=text))
    result = provider.query(order)
    assert (result.state, result.paid_at) == (PaymentState.PAID, None)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (404, {"code": "RESOURCE_NOT_EXISTS", "message": "a wrong address, not a missing order"}),
        (400, {"code": "ORDER_NOT_EXIST", "message": "with a status of something else"}),
        (400, {"code": "PARAM_ERROR", "message": "商户号和订单信息不匹配"}),
        (401, {"code": "SIGN_ERROR", "message": "签名错误"}),
        (429, {"code": "FREQUENCY_LIMITED", "message": ""}),
        (500, {"code": "ORDER_NOT_EXIST", "message": ""}),
        (204, b""),
    ],
)
def test_a_query_that_says_nothing_about_the_order_is_unknown(status, body, provider, order, says):
    says(status, body)
    with pytest.raises(UnknownOutcome):
        provider.query(order)


def test_an_unsigned_paid_answer_is_not_believed(provider, order, says):
    says(200, transaction(), sign=None)
    with pytest.raises(UnknownOutcome):
        provider.query(order)


def test_closing_names_the_merchant_in_the_body_and_believes_a_signed_204(provider, order, channel, says):
    says(204)
    assert provider.close(order).outcome is CloseOutcome.CLOSED
    (request,) = channel.requests
    assert (request.method, request.json) == ("POST", {"mchid": "1900007291"})
    assert request.target == f"/v3/pay/transactions/out-trade-no/{ORDER_NO}/close"


def test_an_unsigned_204_does_not_close(provider, order, says):
    says(204, sign=None)
    with pytest.raises(UnknownOutcome):
        provider.close(order)


@pytest.mark.parametrize(
    "code", ["ORDERPAID", "ORDER_PAID", "TRADE_ERROR", "RULE_LIMIT", "ORDER_CLOSED", "USERPAYING"]
)
def test_an_order_that_cannot_be_closed_now_is_refused_so_that_it_is_queried(code, provider, order, says):
    says(403, {"code": code, "message": "该订单已支付"})
    result = provider.close(order)
    assert (result.outcome, result.code, result.message) == (CloseOutcome.REFUSED, code, "该订单已支付")


def test_nothing_to_close(provider, order, says):
    says(404, {"code": "ORDER_NOT_EXIST", "message": "订单不存在"})
    assert provider.close(order).outcome is CloseOutcome.NOT_FOUND


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (202, b""),
        (400, {"code": "PARAM_ERROR", "message": "参数错误"}),
        (400, {"code": "INVALID_REQUEST", "message": ""}),
        (401, {"code": "SIGN_ERROR", "message": "签名错误"}),
        (403, {"code": "SOMETHING_NEW", "message": ""}),
        (404, b""),
        (429, {"code": "FREQUENCY_LIMITED", "message": ""}),
        (500, {"code": "SYSTEM_ERROR", "message": ""}),
        (500, {"code": "ORDERPAID", "message": ""}),
    ],
)
def test_other_answers_to_a_close_decide_nothing(status, body, provider, order, says):
    says(status, body)
    with pytest.raises(UnknownOutcome):
        provider.close(order)
