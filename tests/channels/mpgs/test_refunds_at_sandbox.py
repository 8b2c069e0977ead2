"""Refunds between the provider and the project's own MPGS stand-in, through both doors, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
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
    with running(tmp_path_factory.mktemp("mpgs-refunds")) as sandbox:
        yield Contracts(sandbox)


@pytest.fixture(params=["oauth", "basic"])
def till(request: pytest.FixtureRequest, contracts: Contracts) -> Iterator[Till]:
    made = Till(contracts, contracts._sandbox, "mpgs_checkout", request.param)
    yield made
    made.close()


@pytest.fixture
def voiding(contracts: Contracts) -> Iterator[Till]:
    made = Till(contracts, contracts._sandbox, "mpgs_checkout", "oauth", full_refund_before_settlement="void")
    yield made
    made.close()


@pytest.mark.parametrize("currency", ["CNY", "USD", "JPY", "KWD"])
@pytest.mark.parametrize("mode", ["oauth", "oauth_body", "oauth_short", "basic"])
def test_given_back_in_parts_of_every_currency(contracts: Contracts, mode: str, currency: str) -> None:
    till = Till(contracts, contracts._sandbox, "mpgs_checkout", mode, currency)
    order = till.paid(12345)
    for minor in (2345, 9999, 1):
        refund = till.refund(order, minor)
        found = till.provider.refund(refund)
        assert (found.state, found.amount, found.code) == (RefundState.SUCCEEDED, Money(minor, currency), "APPROVED")
        again = till.provider.query_refund(refund)
        assert (again.state, again.amount) == (found.state, found.amount)
        assert again.channel_refund_no == found.channel_refund_no
    assert till.given_back(order) == [2345, 9999, 1]
    paid = till.provider.query(order)
    assert (paid.state, paid.amount, paid.refunded) == (PaymentState.PAID, *[Money(12345, currency)] * 2)
    till.close()


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("success", RefundState.SUCCEEDED), ("pending", RefundState.PROCESSING), ("fail", RefundState.FAILED)],
)
def test_the_same_again_moves_money_once(till: Till, outcome: str, state: RefundState) -> None:
    order = till.paid(1234)
    refund = till.refund(order, 1234)
    till.ends_as(refund, outcome)
    assert till.provider.refund(refund).state is till.provider.refund(refund).state is state
    assert till.provider.query_refund(refund).state is state
    assert till.given_back(order) == ([] if outcome == "fail" else [1234])
    if outcome == "pending":
        till.ends_as(refund, "success")
        assert till.provider.query_refund(refund).state is till.provider.refund(refund).state is RefundState.SUCCEEDED


def test_too_much_is_refused_in_words(till: Till) -> None:
    order = till.paid(1234)
    till.provider.refund(till.refund(order, 1000))
    refund = till.refund(order, 235)
    found = till.provider.refund(refund)
    assert (found.state, found.code) == (RefundState.FAILED, "REQUEST_REJECTED")
    assert "exceeds" in found.message
    assert till.provider.query_refund(refund).state is RefundState.NOT_FOUND
    assert till.given_back(order) == [1000]


def test_another_currency_is_refused_in_words(till: Till) -> None:
    order = till.paid(1234)
    found = till.provider.refund(till.refund(order, 1, amount=Money(1, "USD")))
    assert (found.state, found.code) == (RefundState.FAILED, "INVALID_REQUEST")
    assert "transaction.currency" in found.message


def test_a_payment_that_is_none_is_refused_in_words(till: Till) -> None:
    order = replace(till.paid(1234), order_no="A0")
    assert till.provider.refund(till.refund(order, 1)).state is RefundState.FAILED


def test_the_number_of_another_refund_is_left_open(till: Till) -> None:
    order = till.paid(1234)
    refund = till.refund(order, 1000)
    till.provider.refund(refund)
    for call in (till.provider.refund, till.provider.query_refund):
        with pytest.raises(UnknownOutcome):
            call(replace(refund, amount=Money(234)))
    assert till.given_back(order) == [1000]


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
    assert till.provider.query_refund(refund).state is RefundState.SUCCEEDED
    till.wait_out(fault)
    assert till.given_back(order) == [1234], "the same number moves money once"


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_on_asking_leaves_it_open(till: Till, fault: str) -> None:
    refund = till.refund(till.paid(1234), 1234)
    till.provider.refund(refund)
    till.fault("query_refund", fault)
    with time_limit(limit(fault)), pytest.raises(UnknownOutcome):
        till.provider.query_refund(refund)
    assert till.end_faults() == 1
    assert till.provider.query_refund(refund).state is RefundState.SUCCEEDED


def test_webhooks_name_the_refund_and_decide_nothing(till: Till) -> None:
    order = till.paid(1234)
    refund = till.refund(order, 234)
    till.provider.refund(refund)
    notice = till.heard(urlsplit(order.notify_url).path)
    assert (notice.kind, notice.order_no, notice.refund_no) == (NoticeKind.HINT, order.order_no, refund.refund_no)
    assert notice.refund_state is None


def test_a_refund_in_the_portal_can_be_asked_for(till: Till) -> None:
    order = till.paid(1234)
    made = till.console_refund(order, 234)
    notice = till.heard(urlsplit(order.notify_url).path)
    assert (notice.kind, notice.refund_no) == (NoticeKind.HINT, made["refund_no"])
    found = till.provider.query_refund(till.refund(order, 234, refund_no=made["refund_no"]))
    assert (found.state, found.amount) == (RefundState.SUCCEEDED, Money(234))


@pytest.mark.parametrize("outcome", ["success", "pending"])
def test_the_whole_payment_is_voided_before_settlement(voiding: Till, outcome: str) -> None:
    order = voiding.paid(1234)
    refund = voiding.refund(order, 1234, sent_at=order.sent_at)
    voiding.ends_as(refund, outcome)
    first, again = voiding.provider.refund(refund), voiding.provider.refund(refund)
    assert (first.state, first.amount) == (again.state, again.amount)
    if outcome == "pending":
        assert first.state is RefundState.PROCESSING
        assert voiding.provider.query(order).refunded == Money(0)
        voiding.ends_as(refund, "success")
    assert voiding.provider.query_refund(refund).state is RefundState.SUCCEEDED
    paid = voiding.provider.query(order)
    assert (paid.state, paid.amount, paid.refunded) == (PaymentState.PAID, Money(1234), Money(1234))
    assert paid.channel_state == "CANCELLED", "it was a void"
    assert voiding.given_back(order) == [1234]


def test_a_voiding_account_refunds_parts_and_older_payments(voiding: Till) -> None:
    order = voiding.paid(1234)
    voiding.provider.refund(voiding.refund(order, 234))
    assert voiding.provider.query(order).channel_state == "PARTIALLY_REFUNDED"
    older = voiding.paid(1234)
    tomorrow = older.sent_at + timedelta(days=1)
    assert voiding.provider.refund(voiding.refund(older, 1234, sent_at=tomorrow)).state is RefundState.SUCCEEDED
    assert voiding.provider.query(older).channel_state == "REFUNDED"


def test_a_void_that_no_longer_can_be_is_refused_in_words(voiding: Till) -> None:
    """Somebody gave a part back in the portal; the account's `full` did not know."""
    order = voiding.paid(1234)
    voiding.console_refund(order, 1)
    found = voiding.provider.refund(voiding.refund(order, 1234, sent_at=order.sent_at))
    assert (found.state, found.code) == (RefundState.FAILED, "REQUEST_REJECTED")
