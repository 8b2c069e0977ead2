"""Refunds and refund queries against a gateway that really answers, in the words of recorded answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.alipay.provider import AlipayProvider
from channels.base import NoticeKind, OrderRef, RefundOrder, RefundState
from paycenter.errors import UnknownOutcome
from paycenter.http import recording
from paycenter.money import Money
from tests.channels.alipay.conftest import NOW
from tests.channels.alipay.test_notify import posted
from tests.channels.alipay.test_provider import UNKNOWN
from tests.channels.alipay.wire import GatewayServer, answer, notice_fields, signed_form

NUMBER, TRADE_NO, REFUND_NO = "A0000000000000001", "2026112022001400000000000001", "R20261120000000001"
Values = dict[str, Any]
MOVED: Values = {
    "code": "10000", "msg": "Success", "buyer_logon_id": "159****5620", "buyer_user_id": "2088101117955611",
    "fund_change": "Y", "gmt_refund_pay": "2026-11-21 02:31:00", "out_trade_no": NUMBER, "refund_fee": "3.45",
    "send_back_fee": "2.34", "trade_no": TRADE_NO,
}  # fmt: skip
FOUND: Values = {
    "code": "10000", "msg": "Success", "gmt_refund_pay": "2026-11-21 02:31:00", "out_request_no": REFUND_NO,
    "out_trade_no": NUMBER, "refund_amount": "2.34", "refund_reason": "", "refund_status": "REFUND_SUCCESS",
    "total_amount": "12.34", "trade_no": TRADE_NO,
}  # fmt: skip
NOTHING: Values = {"code": "10000", "msg": "Success"}
OVERLOADED: Values = {"code": "20000", "sub_code": "isp.unknow-error"}


def failed(sub_code: str) -> Values:
    return {"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "退款失败"}


@pytest.fixture
def refund(order: OrderRef) -> RefundOrder:
    paid = OrderRef(
        order_no=order.order_no, amount=order.amount, sent_at=order.sent_at, expire_at=order.expire_at,
        channel_trade_no=TRADE_NO,
    )  # fmt: skip
    return RefundOrder(
        order=paid, refund_no=REFUND_NO, amount=Money(234), sent_at=NOW, reason="错收\r\n“水费” 🏠",
        notify_url=f"https://pay.example.com/notify/refund/{REFUND_NO}",
    )  # fmt: skip


Says = Callable[..., None]


@pytest.fixture
def says(gateway: GatewayServer, alipay_key: RSAPrivateKey) -> Says:
    """What the gateway answers to a refund, and to the query that may follow it."""

    def prepare(refund: Values, query: Values = OVERLOADED, *, signed: bool = True) -> None:
        def reply(parameters: dict[str, str]) -> bytes:
            values = refund if parameters["method"] == "alipay.trade.refund" else query
            return answer(parameters["method"], json.dumps(values, ensure_ascii=False), alipay_key if signed else None)

        gateway.reply = reply

    return prepare


class TestRefund:
    def test_moved_in_the_call(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, gateway: GatewayServer
    ) -> None:
        says(MOVED)
        with recording() as calls:
            found = provider.refund(refund)
        assert (found.state, found.refund_no) == (RefundState.SUCCEEDED, REFUND_NO)
        assert found.amount == Money(234), "this refund, not the 3.45 given back so far"
        assert found.finished_at == datetime(2026, 11, 20, 18, 31, tzinfo=UTC)
        assert [(call.operation, call.status) for call in calls] == [("refund", 200)]
        assert gateway.received[0]["method"] == "alipay.trade.refund"
        assert gateway.content() == {
            "out_trade_no": NUMBER, "refund_amount": "2.34", "out_request_no": REFUND_NO,
            "refund_reason": "错收 “水费” 🏠",
        }  # fmt: skip
        assert "208810" not in repr(found)
        assert "159****" not in repr(found)

    def test_the_same_order_gives_the_same_request(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, gateway: GatewayServer
    ) -> None:
        says(MOVED)
        provider.refund(refund)
        provider.refund(replace(refund, channel_refund_no="x", memo={"a": 1}))
        assert gateway.content(0) == gateway.content(1)

    def test_no_reason_is_not_sent(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, gateway: GatewayServer
    ) -> None:
        says(MOVED)
        provider.refund(replace(refund, reason="\n"))
        assert "refund_reason" not in gateway.content()

    @pytest.mark.parametrize(
        ("query", "state"),
        [(FOUND, RefundState.SUCCEEDED), (NOTHING, RefundState.PROCESSING)],
        ids=["done before", "not yet"],
    )
    @pytest.mark.parametrize("change", ["N", None, "y"])
    def test_nothing_moved_in_this_call_is_asked_about(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, change: str | None, query: Values,
        state: RefundState,
    ) -> None:  # fmt: skip
        says({**MOVED, "fund_change": change}, query)
        found = provider.refund(refund)
        assert (found.state, found.resendable) == (state, False)
        assert found.amount == (Money(234) if state is RefundState.SUCCEEDED else None)

    def test_nothing_moved_and_no_answer_is_unknown(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says
    ) -> None:
        says({**MOVED, "fund_change": "N"}, OVERLOADED)
        with pytest.raises(UnknownOutcome):
            provider.refund(refund)

    @pytest.mark.parametrize(
        "sub_code",
        [
            "ACQ.REASON_TRADE_REFUND_FEE_ERR", "ACQ.REFUND_FEE_ERROR", "ACQ.TRADE_HAS_CLOSE", "ACQ.TRADE_STATUS_ERROR",
            "ACQ.TRADE_HAS_FINISHED", "ACQ.TRADE_NOT_ALLOW_REFUND", "ACQ.NOT_ALLOW_PARTIAL_REFUND",
            "ACQ.TRADE_NOT_EXIST", "ACQ.INVALID_PARAMETER", "ACQ.REASON_TRADE_BEEN_FREEZEN", "ACQ.BUYER_ERROR",
        ],
    )
    def test_refused_for_good(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, sub_code: str
    ) -> None:
        says(failed(sub_code), failed(sub_code) if sub_code == "ACQ.TRADE_NOT_EXIST" else NOTHING)
        found = provider.refund(refund)
        assert (found.state, found.resendable, found.amount) == (RefundState.FAILED, False, None)
        assert (found.code, found.message) == (sub_code, "退款失败")

    def test_short_of_money_may_be_sent_again(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says
    ) -> None:
        says(failed("ACQ.SELLER_BALANCE_NOT_ENOUGH"), NOTHING)
        found = provider.refund(refund)
        assert (found.state, found.resendable) == (RefundState.FAILED, True)

    def test_a_refusal_because_it_was_done_before_is_a_success(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says
    ) -> None:
        says(failed("ACQ.TRADE_HAS_CLOSE"), FOUND)
        assert provider.refund(refund).state is RefundState.SUCCEEDED

    def test_a_refusal_that_cannot_be_asked_about_is_unknown(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says
    ) -> None:
        says(failed("ACQ.TRADE_HAS_CLOSE"), OVERLOADED)
        with pytest.raises(UnknownOutcome):
            provider.refund(refund)

    def test_turned_away_at_the_door(self, provider: AlipayProvider, refund: RefundOrder, says: Says) -> None:
        says({"code": "40006", "sub_code": "isv.insufficient-isv-permissions", "sub_msg": "ISV权限不足"})
        found = provider.refund(refund)
        assert (found.state, found.code) == (RefundState.FAILED, "isv.insufficient-isv-permissions")

    @pytest.mark.parametrize(
        "values",
        [
            failed("ACQ.TRADE_HAS_CLOSE"), failed("ACQ.SELLER_BALANCE_NOT_ENOUGH"),
            {"code": "40006", "sub_code": "isv.insufficient-isv-permissions"}, MOVED,
        ],
        ids=str,
    )  # fmt: skip
    def test_nothing_unsigned_counts(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, values: Values
    ) -> None:
        says(values, NOTHING, signed=False)
        with pytest.raises(UnknownOutcome):
            provider.refund(refund)

    @pytest.mark.parametrize(
        "values",
        [v for v in UNKNOWN if v.get("sub_code") != "isv.invalid-signature"] + [
            failed("ACQ.DISCORDANT_REPEAT_REQUEST"), failed("ACQ.TRADE_HAS_SUCCESS"),
            {"code": "40005", "sub_code": "isv.app-call-limited"}, {"code": "40002", "sub_code": "isv.call-limited"},
        ],
        ids=str,
    )  # fmt: skip
    def test_everything_inexplicit_is_unknown(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, values: Values
    ) -> None:
        says(values, NOTHING)
        with pytest.raises(UnknownOutcome):
            provider.refund(refund)

    @pytest.mark.parametrize(
        "changes",
        [
            {"out_trade_no": "A0000000000000002"}, {"out_trade_no": None}, {"trade_no": "1" + TRADE_NO[1:]},
            {"trade_no": None}, {"refund_fee": "2.33"}, {"refund_fee": None}, {"refund_fee": "x"},
            {"out_trade_no": "A0000000000000002", "fund_change": "N"},
        ],
        ids=str,
    )  # fmt: skip
    def test_genuine_answer_that_cannot_be_about_this_refund(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, changes: Values
    ) -> None:
        says({**MOVED, **changes}, FOUND)
        with pytest.raises(UnknownOutcome):
            provider.refund(refund)


class TestQueryRefund:
    def test_done(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, gateway: GatewayServer
    ) -> None:
        says({}, FOUND)
        found = provider.query_refund(refund)
        assert (found.state, found.refund_no, found.amount) == (RefundState.SUCCEEDED, REFUND_NO, Money(234))
        assert found.finished_at == datetime(2026, 11, 20, 18, 31, tzinfo=UTC)
        assert found.channel_state == "REFUND_SUCCESS"
        assert gateway.received[0]["method"] == "alipay.trade.fastpay.refund.query"
        assert gateway.content() == {
            "out_trade_no": NUMBER, "out_request_no": REFUND_NO, "query_options": ["gmt_refund_pay"],
        }  # fmt: skip

    @pytest.mark.parametrize(
        "values",
        [
            NOTHING, {**NOTHING, "out_trade_no": NUMBER, "trade_no": TRADE_NO, "out_request_no": REFUND_NO},
            {**NOTHING, "refund_status": ""}, failed("ACQ.TRADE_NOT_EXIST"),
        ],
        ids=str,
    )  # fmt: skip
    def test_not_there(self, provider: AlipayProvider, refund: RefundOrder, says: Says, values: Values) -> None:
        says({}, values)
        found = provider.query_refund(refund)
        assert (found.state, found.amount, found.resendable) == (RefundState.NOT_FOUND, None, True)

    def test_that_says_nothing_for_ten_seconds(self, provider: AlipayProvider) -> None:
        assert (provider.can_refund, provider.refund_settling_seconds) == (True, 10)

    @pytest.mark.parametrize("values", UNKNOWN[:-2], ids=str)
    def test_everything_inexplicit_is_unknown(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, values: Values
    ) -> None:
        if values.get("sub_code") == "ACQ.TRADE_NOT_EXIST":
            values = {**values, "sub_code": "ACQ.SYSTEM_ERROR"}
        says({}, values)
        with pytest.raises(UnknownOutcome):
            provider.query_refund(refund)

    @pytest.mark.parametrize("values", [FOUND, NOTHING, failed("ACQ.TRADE_NOT_EXIST")], ids=str)
    def test_nothing_unsigned_counts(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, values: Values
    ) -> None:
        says({}, values, signed=False)
        with pytest.raises(UnknownOutcome):
            provider.query_refund(refund)

    @pytest.mark.parametrize(
        "changes",
        [
            {"out_trade_no": "A0000000000000002"}, {"out_trade_no": None}, {"trade_no": None}, {"trade_no": "1"},
            {"out_request_no": "R20261120000000002"}, {"out_request_no": None}, {"refund_amount": "2.35"},
            {"refund_amount": None}, {"refund_amount": "2.340"}, {"total_amount": "12.35"}, {"total_amount": "x"},
            {"refund_status": "REFUND_FAIL"}, {"refund_status": "refund_success"},
            {"refund_status": None, "out_request_no": "R20261120000000002"},
            {"refund_status": None, "out_trade_no": "A0000000000000002"},
        ],
        ids=str,
    )  # fmt: skip
    def test_genuine_answer_that_cannot_be_about_this_refund(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says, changes: Values
    ) -> None:
        says({}, {**FOUND, **changes})
        with pytest.raises(UnknownOutcome):
            provider.query_refund(refund)

    def test_a_time_that_cannot_be_read_hides_no_refund(
        self, provider: AlipayProvider, refund: RefundOrder, says: Says
    ) -> None:
        says({}, {**FOUND, "gmt_refund_pay": "yesterday"})
        found = provider.query_refund(refund)
        assert (found.state, found.finished_at) == (RefundState.SUCCEEDED, None)


def test_a_notice_states_a_sum_and_decides_nothing(provider: AlipayProvider, alipay_key: RSAPrivateKey) -> None:
    fields = notice_fields(refund_fee="3.45", gmt_refund="2026-11-20 11:00:00.1", out_biz_no=REFUND_NO)
    notice = provider.parse_notify(posted(signed_form(fields, alipay_key)))
    assert (notice.kind, notice.refund_no, notice.order_no) == (NoticeKind.REFUND, REFUND_NO, NUMBER)
    assert (notice.refund_state, notice.amount, notice.channel_refund_no) == (None, None, None)
