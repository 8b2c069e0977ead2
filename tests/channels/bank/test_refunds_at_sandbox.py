"""Refunds between the provider and the project's own bank stand-in, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from channels.base import NoticeKind, PaymentState, PayOrder, RefundState
from paycenter.errors import UnknownOutcome
from paycenter.http import time_limit
from paycenter.money import Money
from tests.channels.till import FAULTS, UNDONE, Till, limit, running
from tests.contract.desk import Contracts


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contracts]:
    with running(tmp_path_factory.mktemp("bank-refunds")) as sandbox:
        yield Contracts(sandbox)


@pytest.fixture(params=["ten_digits", "six_digits"])
def either(request: pytest.FixtureRequest, contracts: Contracts) -> Iterator[Till]:
    made = Till(contracts, contracts._sandbox, "bank_pc", request.param)
    yield made
    made.close()


@pytest.fixture
def till(contracts: Contracts) -> Iterator[Till]:
    made = Till(contracts, contracts._sandbox, "bank_app", "ten_digits")
    yield made
    made.close()


def test_given_back_in_parts_and_told(either: Till) -> None:
    order = either.paid(1234)
    for minor in (234, 1000):
        refund = either.refund(order, minor)
        first = either.provider.refund(refund)
        assert (first.state, first.refund_no) == (RefundState.PROCESSING, refund.refund_no)
        found = either.ended(refund)
        assert (found.state, found.amount) == (RefundState.SUCCEEDED, Money(minor))
        assert found.channel_refund_no == first.channel_refund_no
        assert found.finished_at is not None
        assert found.finished_at + timedelta(seconds=1) > refund.sent_at

        notice = either.heard(urlsplit(refund.notify_url).path)
        assert (notice.kind, notice.refund_state) == (NoticeKind.REFUND, RefundState.SUCCEEDED)
        assert (notice.refund_no, notice.amount) == (refund.refund_no, Money(minor))
        assert (notice.order_no, notice.channel_trade_no) == (order.order_no, order.channel_trade_no)
        assert notice.channel_refund_no == first.channel_refund_no
    assert either.given_back(order) == [234, 1000]
    paid = either.provider.query(order)
    assert (paid.state, paid.refunded) == (PaymentState.PAID, Money(1234))


@pytest.mark.parametrize("outcome", ["success", "pending", "fail"])
def test_the_same_again_moves_money_once(till: Till, outcome: str) -> None:
    order = till.paid(1234)
    refund = till.refund(order, 1234)
    till.ends_as(refund, outcome)
    assert till.provider.refund(refund).state is till.provider.refund(refund).state is RefundState.PROCESSING
    if outcome != "pending":
        wanted = RefundState.SUCCEEDED if outcome == "success" else RefundState.FAILED
        assert till.ended(refund).state is till.provider.refund(refund).state is wanted
        assert till.heard(urlsplit(refund.notify_url).path).refund_state is wanted, "failures are told as well"
    assert till.given_back(order) == ([] if outcome == "fail" else [1234])


def test_too_much_is_refused_in_words(till: Till) -> None:
    order = till.paid(1234)
    till.provider.refund(till.refund(order, 1000))
    refund = till.refund(order, 235)
    found = till.provider.refund(refund)
    assert (found.state, found.code) == (RefundState.FAILED, "REF0001")
    assert "退款金额" in found.message
    assert till.provider.query_refund(refund).state is RefundState.NOT_FOUND
    assert till.given_back(order) == [1000]


def test_a_payment_that_is_none_is_refused_in_words(till: Till) -> None:
    paid = till.paid(1234)
    yesterday = replace(paid, sent_at=paid.sent_at - timedelta(days=1))
    found = till.provider.refund(till.refund(yesterday, 1))
    assert (found.state, found.code) == (RefundState.FAILED, "ORD0001"), "the number of another day is another order"


@pytest.mark.parametrize("change", ["amount", "payment"])
def test_the_number_of_another_refund_is_left_open(till: Till, change: str) -> None:
    order = till.paid(1234)
    refund = till.refund(order, 1000)
    till.provider.refund(refund)
    other: PayOrder = till.paid(1234)
    changed = replace(refund, amount=Money(234)) if change == "amount" else replace(refund, order=other)
    for call in (till.provider.refund, till.provider.query_refund):
        with pytest.raises(UnknownOutcome):
            call(changed)
    assert (till.given_back(order), till.given_back(other)) == ([1000], [])


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


@pytest.mark.parametrize("asked_before", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_on_asking_leaves_it_open(till: Till, fault: str, asked_before: bool) -> None:
    refund = till.refund(till.paid(1234), 1234)
    if asked_before:
        till.provider.refund(refund)
        till.ended(refund)
    till.fault("query_refund", fault)
    with time_limit(limit(fault)), pytest.raises(UnknownOutcome):
        till.provider.query_refund(refund)
    assert till.end_faults() == 1
    wanted = RefundState.SUCCEEDED if asked_before else RefundState.NOT_FOUND
    assert till.provider.query_refund(refund).state is wanted


def test_a_refund_in_the_banks_console_names_itself(till: Till) -> None:
    order = till.paid(8801)
    made = till.console_refund(order, 801)
    notice = till.heard(urlsplit(order.notify_url).path)
    assert (notice.kind, notice.refund_state, notice.amount) == (NoticeKind.REFUND, RefundState.SUCCEEDED, Money(801))
    assert (notice.order_no, notice.refund_no) == (order.order_no, made["refund_no"])
