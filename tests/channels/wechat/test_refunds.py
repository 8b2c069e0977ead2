"""Refunds, refund queries and refund notifications, in the words of recorded answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base import Notice, NoticeKind, OrderRef, RefundOrder, RefundState
from paycenter.errors import MalformedInbound, UnknownOutcome
from paycenter.money import Money
from tests.channels.wechat.conftest import ORDER_NO
from tests.channels.wechat.test_notify import REFUND

REFUND_NO, TRADE_NO = "R20261121000000001", "4200001234202611210000000001"
REFUND_ID = "50000000382019052709732678859"
PATH = "/v3/refund/domestic/refunds"
NONE = {"code": "RESOURCE_NOT_EXISTS", "message": "退款单不存在"}


@pytest.fixture
def refund(order):
    paid = OrderRef(
        order_no=order.order_no, amount=order.amount, sent_at=order.sent_at, expire_at=order.expire_at,
        channel_trade_no=TRADE_NO,
    )  # fmt: skip
    return RefundOrder(
        order=paid, refund_no=REFUND_NO, amount=Money(2345), sent_at=order.sent_at, reason="错收",
        notify_url=f"https://pay.example.com/notify/refund/{REFUND_NO}",
    )  # fmt: skip


def body(**changes: Any) -> dict[str, Any]:
    """An accepted refund as the call and the query answer it; None removes a field."""
    data = {
        "refund_id": REFUND_ID, "out_refund_no": REFUND_NO, "transaction_id": TRADE_NO, "out_trade_no": ORDER_NO,
        "channel": "ORIGINAL", "user_received_account": "招商银行信用卡0403", "status": "PROCESSING",
        "create_time": "2026-11-22T07:00:00+08:00", "funds_account": "UNSETTLED", "promotion_detail": [],
        "amount": {
            "total": 12345, "refund": 2345, "payer_total": 12000, "payer_refund": 2280, "settlement_refund": 2280,
            "settlement_total": 12000, "discount_refund": 65, "currency": "CNY", "from": [],
        },
    }  # fmt: skip
    return {k: v for k, v in (data | changes).items() if v is not None}


def amounts(**changes: Any) -> dict[str, Any]:
    return {"amount": {"total": 12345, "refund": 2345, "currency": "CNY"} | changes}


def test_it_is_accepted_and_not_done(provider, refund, channel, says):
    says(200, body())
    found = provider.refund(refund)
    assert (found.state, found.refund_no) == (RefundState.PROCESSING, REFUND_NO)
    assert (found.channel_refund_no, found.channel_state) == (REFUND_ID, "PROCESSING")
    assert "0403" not in repr(found)
    (request,) = channel.requests
    assert (request.method, request.target) == ("POST", PATH)
    assert request.json == {
        "out_trade_no": ORDER_NO, "out_refund_no": REFUND_NO, "reason": "错收",
        "notify_url": f"https://pay.example.com/notify/refund/{REFUND_NO}",
        "amount": {"refund": 2345, "total": 12345, "currency": "CNY"},
    }  # fmt: skip


def test_the_same_order_gives_the_same_request(provider, refund, channel, says):
    says(200, body())
    says(200, body())
    provider.refund(refund)
    provider.refund(replace(refund, channel_refund_no=REFUND_ID, memo={"a": 1}))
    assert channel.requests[0].body == channel.requests[1].body


@pytest.mark.parametrize(
    ("reason", "sent"),
    [("", None), ("\n\t", None), ("水" * 27, "水" * 26), ("x" * 81, "x" * 80), ("a\nb 🏠c", "a b c")],
)
def test_a_reason_is_cut_at_80_bytes(reason, sent, provider, refund, channel, says):
    says(200, body())
    provider.refund(replace(refund, reason=reason))
    assert channel.requests[0].json.get("reason") == sent


@pytest.mark.parametrize("url", ["https://pay.example.com/n?a=1", "https://pay.example.com/" + "n" * 250])
def test_an_address_that_cannot_be_is_not_sent(url, provider, refund, channel):
    found = provider.refund(replace(refund, notify_url=url))
    assert (found.state, found.code, channel.requests) == (RefundState.FAILED, "PARAM_ERROR", [])


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PROCESSING", RefundState.PROCESSING),
        ("SUCCESS", RefundState.SUCCEEDED),
        ("CLOSED", RefundState.FAILED),
        ("ABNORMAL", RefundState.ATTENTION),
    ],
)
@pytest.mark.parametrize("operation", ["refund", "query_refund"])
def test_each_word_of_the_channel(operation, word, state, provider, refund, says):
    says(200, body(status=word, success_time="2026-11-22T08:00:00+08:00" if word == "SUCCESS" else None))
    found = getattr(provider, operation)(refund)
    assert (found.state, found.channel_state, found.resendable) == (state, word, False)
    assert found.amount == Money(2345)
    done = datetime(2026, 11, 22, tzinfo=UTC)
    assert found.finished_at == (done if state is RefundState.SUCCEEDED else None)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "PARAM_ERROR"), (400, "INVALID_REQUEST"), (400, "MCH_NOT_EXISTS"), (404, "MCH_NOT_EXISTS"),
        (403, "USER_ACCOUNT_ABNORMAL"), (403, "NO_AUTH"), (404, "RESOURCE_NOT_EXISTS"), (400, "TRADE_OVERDUE"),
    ],
)  # fmt: skip
def test_refused_for_good(status, code, provider, refund, channel, says):
    says(status, {"code": code, "message": "申请退款金额大于订单可退金额"})
    says(404, NONE)
    found = provider.refund(refund)
    assert (found.state, found.code, found.resendable) == (RefundState.FAILED, code, False)
    assert found.message == "申请退款金额大于订单可退金额"
    assert channel.requests[1].target == f"{PATH}/{REFUND_NO}"


def test_short_of_money_may_be_sent_again(provider, refund, says):
    says(403, {"code": "NOT_ENOUGH", "message": "基本账户余额不足，请充值后重新发起"})
    says(404, NONE)
    found = provider.refund(refund)
    assert (found.state, found.code, found.resendable) == (RefundState.FAILED, "NOT_ENOUGH", True)


def test_a_refusal_because_it_was_accepted_before_is_no_refusal(provider, refund, says):
    says(400, {"code": "INVALID_REQUEST", "message": "订单已全额退款"})
    says(200, body(status="SUCCESS"))
    assert provider.refund(refund).state is RefundState.SUCCEEDED


def test_a_refusal_that_cannot_be_asked_about_is_unknown(provider, refund, says):
    says(403, {"code": "NOT_ENOUGH", "message": ""})
    says(500, {"code": "SYSTEM_ERROR", "message": ""})
    with pytest.raises(UnknownOutcome):
        provider.refund(refund)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (202, b""), (204, b""), (400, b""), (400, {"code": "SOMETHING_NEW", "message": ""}),
        (401, {"code": "SIGN_ERROR", "message": "签名错误"}), (403, {"code": "RULE_LIMIT", "message": ""}),
        (429, {"code": "FREQUENCY_LIMITED", "message": ""}), (429, {"code": "INVALID_REQUEST", "message": ""}),
        (500, {"code": "SYSTEM_ERROR", "message": ""}), (500, {"code": "NOT_ENOUGH", "message": ""}),
        (502, b"<html>"), (200, b"garbage"), (200, b"[]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("operation", ["refund", "query_refund"])
def test_other_answers_decide_nothing(operation, status, answer, provider, refund, says):
    says(status, answer)
    with pytest.raises(UnknownOutcome):
        getattr(provider, operation)(refund)


@pytest.mark.parametrize(
    "options", [{"sign": None}, {"at": 0.0}, {"change": lambda h: h.update({"Wechatpay-Signature": "AAAA"})}],
    ids=["by nobody", "long ago", "another signature"],
)  # fmt: skip
@pytest.mark.parametrize("operation", ["refund", "query_refund"])
def test_a_success_that_is_not_signed_is_not_believed(operation, options, provider, refund, says):
    says(200, body(status="SUCCESS"), **options)
    with pytest.raises(UnknownOutcome):
        getattr(provider, operation)(refund)


@pytest.mark.parametrize(
    "changes",
    [
        {"out_refund_no": "R20261121000000002"}, {"out_refund_no": None}, {"out_trade_no": "OTHER"},
        {"out_trade_no": None}, {"transaction_id": "4200001234202611210000000002"}, {"transaction_id": None},
        {"refund_id": None}, {"refund_id": 5}, {"status": None}, {"status": "SOMETHING_NEW"}, {"status": "success"},
        {"amount": None}, amounts(refund=2346), amounts(refund="2345"), amounts(refund=2345.0), amounts(total=12346),
        amounts(total=None), amounts(currency="USD"), amounts(currency="???"),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("operation", ["refund", "query_refund"])
def test_a_signed_answer_that_is_not_clearly_about_this_refund_is_unknown(operation, changes, provider, refund, says):
    says(200, body(**{"status": "SUCCESS"} | changes))
    with pytest.raises(UnknownOutcome):
        getattr(provider, operation)(refund)


def test_another_number_of_theirs_is_another_refund(provider, refund, says):
    says(200, body(status="SUCCESS"))
    with pytest.raises(UnknownOutcome):
        provider.query_refund(replace(refund, channel_refund_no="50000000382019052709732678860"))


def test_a_query_names_the_refund_in_its_path(provider, refund, channel, says):
    says(404, NONE)
    found = provider.query_refund(replace(refund, refund_no="R|1@*"))
    assert (found.state, found.resendable, found.amount) == (RefundState.NOT_FOUND, True, None)
    (request,) = channel.requests
    assert (request.method, request.target, request.body) == ("GET", f"{PATH}/R%7C1%40%2A", b"")


@pytest.mark.parametrize(("status", "code"), [(400, "RESOURCE_NOT_EXISTS"), (404, "ORDER_NOT_EXIST"), (404, "")])
def test_only_its_own_words_say_that_there_is_none(status, code, provider, refund, says):
    says(status, {"code": code, "message": ""})
    with pytest.raises(UnknownOutcome):
        provider.query_refund(refund)


# -- notifications


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("SUCCESS", RefundState.SUCCEEDED),
        ("ABNORMAL", RefundState.ATTENTION),
        ("CLOSED", RefundState.FAILED),
        ("A_WORD_OF_TOMORROW", None),
    ],
)
def test_a_notice_says_how_this_refund_ended(word, state, provider, notifies):
    request = notifies(REFUND | {"refund_status": word}, event=f"REFUND.{word}")
    assert provider.parse_notify(request) == Notice(
        kind=NoticeKind.REFUND, order_no=ORDER_NO, refund_no=REFUND_NO, amount=Money(2345), channel_trade_no=TRADE_NO,
        channel_refund_no=REFUND_ID, refund_state=state, channel_state=word, notice_id="EV-2018022511223320873",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["out_trade_no", "out_refund_no", "refund_status", "amount"])
def test_a_notice_that_lacks_what_makes_it_one_is_refused(name, provider, notifies):
    with pytest.raises(MalformedInbound):
        provider.parse_notify(notifies({k: v for k, v in REFUND.items() if k != name}, event="REFUND.SUCCESS"))
