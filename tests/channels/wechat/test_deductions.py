"""Deductions on the wire: sent, asked for, closed and told of in API v2, and never in v3."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import CloseOutcome, Initiated, NoAction, Notice, NoticeKind, PaymentState, PayOrder, Refused
from channels.wechat.deductions import SLOWEST
from channels.wechat.provider import WeChatPay
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound, UnknownOutcome
from paycenter.money import Money
from tests.channels.wechat.conftest import ORDER_NO
from tests.channels.wechat.standin import APP_ID, MCH_ID, Reply
from tests.channels.wechat.wire_v2 import (
    API_V2_KEY,
    CONTRACT_ID,
    CONTRACT_NO,
    OPENID,
    PLAN_ID,
    SUCCESS,
    answer,
    fields_of,
    message,
    posted,
    refusal,
    sign,
    xml,
)

TRADE_NO = "4200001234202611210000000001"
MONEY = {
    "transaction_id": TRADE_NO, "total_fee": "12345", "fee_type": "CNY", "time_end": "20261121103456",
    "openid": OPENID, "bank_type": "CMB_DEBIT",
}  # fmt: skip
NOTICE = {
    **SUCCESS, **MONEY, "appid": APP_ID, "out_trade_no": ORDER_NO, "contract_id": CONTRACT_ID, "trade_state": "SUCCESS",
}  # fmt: skip
NO_ORDER = refusal("ORDERNOTEXIST", "订单不存在")
NOT_A_DEDUCTION = refusal("INVALID_REQUEST", "订单不是委托代扣场景")


@pytest.fixture
def deducting(make_provider: Any) -> WeChatPay:
    return make_provider(api_v2_key=API_V2_KEY, papay_plan_id=PLAN_ID)


@pytest.fixture
def deduction(order: PayOrder) -> PayOrder:
    return replace(order, contract_no=CONTRACT_ID, memo={"contract_no": CONTRACT_NO})


def order_state(word: str, **changes: Any) -> bytes:
    money = MONEY if word in ("SUCCESS", "REFUND") else {}
    return answer(**{"out_trade_no": ORDER_NO, "trade_state": word, "trade_state_desc": "说明", **money, **changes})


def says(channel: Any, *bodies: bytes) -> None:
    channel.replies += [Reply(200, body) for body in bodies]


def test_a_deduction_is_asked_for_and_initiated(deducting, channel, deduction):
    says(channel, answer())
    assert deducting.pay("wechat_deduct", deduction) == Initiated(instruction=NoAction())
    (request,) = channel.requests
    sent = fields_of(request.body)
    assert (request.method, request.target, sent["sign"]) == ("POST", "/pay/pappayapply", sign(sent))
    expected = {
        "appid": APP_ID, "mch_id": MCH_ID, "out_trade_no": ORDER_NO, "total_fee": "12345", "fee_type": "CNY",
        "trade_type": "PAP", "contract_id": CONTRACT_ID, "notify_url": deduction.notify_url,
        "body": deduction.subject, "spbill_create_ip": "127.0.0.1",
    }  # fmt: skip
    assert expected.items() <= sent.items()


@pytest.mark.parametrize("word", ["CONTRACT_NOT_EXIST", "CONTRACTERROR", "RULELIMIT", "INVALID_REQUEST", "ORDERCLOSED"])
def test_a_refused_deduction_is_final_for_the_trade(deducting, channel, deduction, word):
    says(channel, refusal(word, "不行"))
    assert deducting.pay("wechat_deduct", deduction) == Refused(code=word, message="不行", final_for_trade=True)


@pytest.mark.parametrize(
    "body",
    [
        refusal("SYSTEMERROR"), refusal("ORDERPAID"), refusal("ORDER_ACCEPTED"), refusal("FREQUENCY_LIMITED"),
        refusal("SOMETHING_NEW"), answer(return_code="FAIL", return_msg="签名错误"),
        xml({**SUCCESS, "result_code": "FAIL", "err_code": "RULELIMIT"}),
    ],
)  # fmt: skip
def test_a_deduction_that_may_have_happened_is_unknown(deducting, channel, deduction, body):
    says(channel, body)
    with pytest.raises(UnknownOutcome):
        deducting.pay("wechat_deduct", deduction)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("SUCCESS", PaymentState.PAID), ("REFUND", PaymentState.PAID), ("ACCEPT", PaymentState.UNPAID),
        ("NOTPAY", PaymentState.UNPAID), ("PAY_FAIL", PaymentState.FAILED), ("PAYERROR", PaymentState.FAILED),
        ("CLOSED", PaymentState.CLOSED),
    ],
)  # fmt: skip
def test_words_of_a_query(deducting, channel, deduction, word, state):
    says(channel, order_state(word))
    found = deducting.query(deduction)
    assert (found.state, found.order_no, found.channel_state) == (state, ORDER_NO, word)
    assert [r.target for r in channel.requests] == ["/pay/paporderquery"]
    assert fields_of(channel.requests[0].body)["out_trade_no"] == ORDER_NO
    if state is PaymentState.PAID:
        assert (found.amount, found.channel_trade_no, found.payer_id) == (Money(12345), TRADE_NO, OPENID)
        assert found.paid_at is not None
        assert found.paid_at.isoformat() == "2026-11-21T10:34:56+08:00"


@pytest.mark.parametrize(
    "body",
    [
        order_state("WHO_KNOWS"), order_state("SUCCESS", out_trade_no="ANOTHER"), order_state("SUCCESS", mch_id="1"),
        order_state("SUCCESS", total_fee=None), order_state("SUCCESS", total_fee="1.00"),
        order_state("SUCCESS", total_fee="-1"), order_state("SUCCESS", transaction_id=None),
        order_state("SUCCESS", fee_type="¥"), order_state("SUCCESS", appid="wx0000000000000000"),
    ],
)  # fmt: skip
def test_an_answer_that_proves_nothing_is_unknown(deducting, channel, deduction, body):
    says(channel, body)
    with pytest.raises(UnknownOutcome):
        deducting.query(deduction)


def test_one_that_was_closed_is_found_among_all_orders(deducting, channel, deduction):
    says(channel, NOT_A_DEDUCTION, order_state("CLOSED"))
    assert deducting.query(deduction).state is PaymentState.CLOSED
    assert [r.target for r in channel.requests] == ["/pay/paporderquery", "/pay/orderquery"]


@pytest.mark.parametrize("first", [NO_ORDER, refusal("NOAUTH")])
def test_one_that_nobody_knows_may_be_sent_again(deducting, channel, deduction, first):
    says(channel, first, NO_ORDER)
    assert deducting.query(deduction).state is PaymentState.NOT_FOUND


@pytest.mark.parametrize(
    "bodies", [(refusal("SYSTEMERROR"), NO_ORDER), (NOT_A_DEDUCTION, NO_ORDER), (NO_ORDER, refusal("SYSTEMERROR"))]
)
def test_contradicting_words_are_unknown(deducting, channel, deduction, bodies):
    says(channel, *bodies)
    with pytest.raises(UnknownOutcome):
        deducting.query(deduction)


def test_an_order_that_is_made_a_day_later_is_not_given_up_at_its_expiry(deducting, channel, deduction):
    """WeChat Pay may take the money up to a day after it was asked to, and knows no order until then."""
    sent = datetime.now(UTC) - timedelta(hours=3)
    expired = replace(deduction, sent_at=sent, expire_at=sent + timedelta(minutes=30))
    says(channel, NO_ORDER, NO_ORDER, NO_ORDER)
    with pytest.raises(UnknownOutcome):
        deducting.query(expired)
    with pytest.raises(UnknownOutcome):
        deducting.close(expired)
    late = replace(expired, sent_at=sent - SLOWEST)
    says(channel, NO_ORDER, NO_ORDER, NO_ORDER)
    assert deducting.query(late).state is PaymentState.NOT_FOUND
    assert deducting.close(late).outcome is CloseOutcome.NOT_FOUND


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (answer(), CloseOutcome.CLOSED), (refusal("ORDERCLOSED"), CloseOutcome.CLOSED),
        (refusal("ORDERPAID"), CloseOutcome.REFUSED), (NO_ORDER, CloseOutcome.NOT_FOUND),
    ],
)  # fmt: skip
def test_closing(deducting, channel, deduction, body, outcome):
    says(channel, body)
    assert deducting.close(deduction).outcome is outcome
    assert channel.requests[-1].target == "/pay/closeorder"


def test_closing_too_soon_is_unknown(deducting, channel, deduction):
    says(channel, refusal("SYSTEMERROR"))
    with pytest.raises(UnknownOutcome):
        deducting.close(deduction)


@pytest.mark.parametrize("left_out", [{}, {"trade_state": None}, {"fee_type": None}])
def test_a_notice_of_money(deducting, left_out):
    notice = deducting.parse_notify(posted(message({**NOTICE, **left_out})))
    assert (notice.kind, notice.state, notice.order_no) == (NoticeKind.PAYMENT, PaymentState.PAID, ORDER_NO)
    assert (notice.amount, notice.channel_trade_no) == (Money(12345), TRADE_NO)


@pytest.mark.parametrize(
    "changes",
    [
        {"result_code": "FAIL", "err_code": "NOTENOUGH"}, {"trade_state": "PAY_FAIL"}, {"trade_state": "SOMETHING_NEW"},
        {"transaction_id": None}, {"transaction_id": None, "trade_state": None},
        {"result_code": "FAIL", "err_code": "0", "trade_state": None},
    ],
)  # fmt: skip
def test_a_notice_of_anything_else_only_makes_a_query_due(deducting, changes):
    notice = deducting.parse_notify(posted(message({**NOTICE, **changes})))
    assert (notice.kind, notice.state, notice.order_no) == (NoticeKind.HINT, None, ORDER_NO)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (message(NOTICE, "0" * 32), BadSignature), (xml(NOTICE), BadSignature),
        (message({**NOTICE, "mch_id": "1900000000"}), IdentityMismatch),
        (message({**NOTICE, "appid": "wx0000000000000000"}), IdentityMismatch),
        (message({**NOTICE, "out_trade_no": None}), MalformedInbound),
        (message({**NOTICE, "contract_id": None}), MalformedInbound),
        (message({**NOTICE, "total_fee": "1e3"}), MalformedInbound),
    ],
)  # fmt: skip
def test_false_notices(deducting, channel, body, error):
    with pytest.raises(error):
        deducting.parse_notify(posted(body))
    assert channel.requests == []


def test_each_protocol_is_acknowledged_in_its_own_way(deducting):
    told = deducting.parse_notify(posted(message(NOTICE)))
    of_contract = Notice(kind=NoticeKind.IGNORED, order_no=CONTRACT_NO)
    for notice in (told, of_contract):
        reply = deducting.ack(notice)
        assert (reply.status, b"\n" in reply.body) == (200, False)
        assert fields_of(reply.body) == {"return_code": "SUCCESS", "return_msg": "OK"}
    v3 = deducting.ack(replace(told, notice_id="EV-2018022511223320873"))
    assert (v3.status, v3.body) == (204, b"")
    assert deducting.nack("bad signature").status == 500


def test_an_order_without_a_contract_stays_with_api_v3(deducting, channel, order):
    channel.replies.append(Reply(404, b'{"code": "ORDER_NOT_EXIST", "message": "x"}'))
    assert deducting.query(order).state is PaymentState.NOT_FOUND
    assert channel.requests[-1].target.startswith("/v3/pay/transactions/out-trade-no/")
