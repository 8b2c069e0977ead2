"""Refunds between the provider and the project's own UnionPay stand-in, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from channels.base import NoticeKind, PaymentState, RefundState
from paycenter.errors import UnknownOutcome
from paycenter.http import time_limit
from paycenter.money import Money
from tests.channels.till import FAULTS, UNDONE, Till, limit, running
from tests.contract.desk import Contracts


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contracts]:
    with running(tmp_path_factory.mktemp("unionpay-refunds")) as sandbox:
        yield Contracts(sandbox)


@pytest.fixture
def till(contracts: Contracts) -> Iterator[Till]:
    made = Till(contracts, contracts._sandbox, "unionpay_app", "production")
    yield made
    made.close()


@pytest.mark.parametrize("method", ["unionpay_pc", "unionpay_wap", "unionpay_app", "unionpay_qr"])
@pytest.mark.parametrize("mode", ["production", "test"])
def test_every_scene_is_given_back_in_parts(contracts: Contracts, method: str, mode: str) -> None:
    till = Till(contracts, contracts._sandbox, method, mode)
    order = till.paid(1234)
    for minor in (234, 1000):
        refund = till.refund(order, minor)
        first = till.provider.refund(refund)
        assert (first.state, first.refund_no) == (RefundState.PROCESSING, refund.refund_no)
        found = till.ended(refund)
        assert (found.state, found.amount) == (RefundState.SUCCEEDED, Money(minor))
        assert found.channel_refund_no == first.channel_refund_no

        notice = till.heard(urlsplit(refund.notify_url).path)
        assert (notice.kind, notice.refund_state) == (NoticeKind.REFUND, RefundState.SUCCEEDED)
        assert notice.amount == Money(minor)
        assert (notice.refund_no, notice.channel_refund_no) == (refund.refund_no, first.channel_refund_no)
        assert (notice.order_no, notice.channel_trade_no) == ("", order.channel_trade_no)
        assert notice.refund_sent_at == refund.sent_at.replace(microsecond=0)
    assert till.given_back(order) == [234, 1000]
    assert till.provider.query(order).state is PaymentState.PAID
    till.close()


@pytest.mark.parametrize("outcome", ["success", "pending", "fail"])
def test_the_same_again_moves_money_once(till: Till, outcome: str) -> None:
    order = till.paid(1234)
    refund = till.refund(order, 1234)
    till.ends_as(refund, outcome)
    till.provider.refund(refund)
    assert till.provider.refund(refund).state is RefundState.PROCESSING
    if outcome != "pending":
        wanted = RefundState.SUCCEEDED if outcome == "success" else RefundState.FAILED
        assert till.ended(refund).state is till.provider.refund(refund).state is wanted
    assert till.given_back(order) == ([] if outcome == "fail" else [1234])


def test_too_much_is_refused_in_words(till: Till) -> None:
    order = till.paid(1234)
    till.provider.refund(till.refund(order, 1000))
    refund = till.refund(order, 235)
    found = till.provider.refund(refund)
    assert (found.state, found.code) == (RefundState.FAILED, "36")
    assert "金额" in found.message
    assert till.provider.query_refund(refund).state is RefundState.NOT_FOUND
    assert till.given_back(order) == [1000]


def test_a_payment_that_is_none_is_refused_in_words(till: Till) -> None:
    order = replace(till.paid(1234), channel_trade_no="9" * 21)
    found = till.provider.refund(till.refund(order, 1))
    assert (found.state, found.code) == (RefundState.FAILED, "35")


def test_a_late_first_send_is_stale_and_moves_nothing(till: Till) -> None:
    order = till.paid(1234)
    found = till.provider.refund(till.refund(order, 1, sent_at=datetime.now(UTC) - timedelta(hours=1)))
    assert (found.state, found.code) == (RefundState.FAILED, "10")
    assert till.given_back(order) == []


def test_the_number_of_another_refund_is_left_open(till: Till) -> None:
    order = till.paid(1234)
    refund = till.refund(order, 1000)
    till.provider.refund(refund)
    with pytest.raises(UnknownOutcome):
        till.provider.refund(replace(refund, amount=Money(234)))
    assert till.given_back(order) == [1000]


def test_another_time_is_another_refund(till: Till) -> None:
    refund = till.refund(till.paid(1234), 1)
    till.provider.refund(refund)
    other = replace(refund, sent_at=refund.sent_at + timedelta(seconds=1))
    assert till.provider.query_refund(other).state is RefundState.NOT_FOUND


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_on_sending_leaves_it_open_and_a_query_tells(till: Till, fault: str) -> None:
    order = till.paid(1234)
    refund = till.refund(order, 1234)
    till.fault("refund", fault)
    with time_limit(limit(fault)), pytest.raises(UnknownOutcome):
        till.provider.refund(refund)
    assert till.end_faults() == 1, "it is not sent twice by itself"
    if fault in UNDONE:
        assert till.provider.query_refund(refund).state is RefundState.NOT_FOUND
        till.provider.refund(refund)
    assert till.ended(refund).state is RefundState.SUCCEEDED
    till.wait_out(fault)
    assert till.given_back(order) == [1234], "the same number moves money once"


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_on_asking_leaves_it_open(till: Till, fault: str) -> None:
    refund = till.refund(till.paid(1234), 1234)
    till.provider.refund(refund)
    till.ended(refund)
    till.fault("query_refund", fault)
    with time_limit(limit(fault)), pytest.raises(UnknownOutcome):
        till.provider.query_refund(refund)
    assert till.end_faults() == 1
    assert till.provider.query_refund(refund).state is RefundState.SUCCEEDED


def test_a_query_of_the_payment_is_none_of_its_refund(till: Till) -> None:
    order = till.paid(1234)
    till.provider.refund(till.refund(order, 1))
    till.fault("query_refund", "http500")
    assert till.provider.query(order).state is PaymentState.PAID
    assert till.end_faults() == 0
