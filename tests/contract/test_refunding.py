"""Giving money back: in whole and in parts, once per number, never more than there is, and asked about truly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from channels.base import PaymentState, Provider, RefundOrder, RefundState
from paycenter.errors import UnknownOutcome
from paycenter.http import recording
from paycenter.money import Money
from sandbox.channel import channel_classes
from tests.contract.cases import channels, contracts, each_once
from tests.contract.desk import AMOUNT, Desk
from tests.contract.till import Till

PARTS = (1, 3300, AMOUNT - 3301)
UNDER_WAY = {RefundState.PROCESSING, RefundState.SUCCEEDED}


@pytest.mark.parametrize("case", channels(), ids=str)
def test_it_gives_money_back_or_says_that_it_does_not(desk: Desk) -> None:
    kind = type(desk.provider)
    if desk.provider.can_refund:
        assert kind.refund is not Provider.refund, "can_refund promises `refund`"
        assert kind.query_refund is not Provider.query_refund, "can_refund promises `query_refund`"
        return
    _name, order = desk.order()
    refund = RefundOrder(
        order=order, refund_no="R1", amount=order.amount, sent_at=order.sent_at, reason="", notify_url=order.notify_url
    )
    with recording() as calls:
        for ask in (desk.provider.refund, desk.provider.query_refund):
            with pytest.raises(UnknownOutcome):
                ask(refund)
    assert not calls, "a channel without refunds is asked nothing"


@pytest.mark.parametrize("case", each_once(), ids=str)
def test_the_whole_payment(desk: Desk) -> None:
    till = Till.open(desk)
    refund = till.refund_of()

    found = till.given_back(refund)

    assert till.moved() == AMOUNT
    assert found.finished_at is None or abs(found.finished_at - datetime.now(UTC)) < timedelta(minutes=1)
    asked = till.ask(refund, found)
    assert (asked.state, asked.refund_no, asked.amount) == (RefundState.SUCCEEDED, refund.refund_no, refund.amount)
    paid = desk.provider.query(till.order)
    assert (paid.state, paid.amount) == (PaymentState.PAID, till.order.amount), "what is given back was paid"
    assert paid.refunded in (None, till.order.amount)


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_in_parts_up_to_the_whole(desk: Desk) -> None:
    till = Till.open(desk)
    done = 0
    for part in PARTS:
        till.given_back(till.refund_of(part))
        done += part
        assert till.moved() == done
        paid = desk.provider.query(till.order)
        assert (paid.state, paid.amount) == (PaymentState.PAID, till.order.amount)
        assert paid.refunded in (None, Money(done, till.order.amount.currency))

    refused = till.send(till.refund_of(1))

    assert refused is not None
    assert (refused.state, refused.resendable) == (RefundState.FAILED, False)
    assert till.moved() == AMOUNT


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_more_than_there_is_is_refused_in_words(desk: Desk) -> None:
    till = Till.open(desk)
    refund = till.refund_of(AMOUNT + 1)

    refused = till.send(refund)

    assert refused is not None
    assert (refused.state, refused.refund_no, refused.resendable) == (RefundState.FAILED, refund.refund_no, False)
    assert refused.code or refused.message, "somebody will want to know why"
    assert till.moved() == 0
    assert till.ask(refund).state in {RefundState.NOT_FOUND, RefundState.FAILED}
    till.given_back(till.refund_of())


@pytest.mark.parametrize("minor", [None, 3300], ids=["whole", "part"])
@pytest.mark.parametrize("case", contracts(), ids=str)
def test_the_same_number_again_moves_nothing_more(desk: Desk, minor: int | None) -> None:
    till = Till.open(desk)
    refund = till.refund_of(minor)
    first = till.send(refund)
    assert first is not None
    assert first.state in UNDER_WAY

    for _again in range(2):  # while it is under way, and after it has ended
        again = till.send(refund)
        assert again is None or again.state in UNDER_WAY, "a repeat is no refusal: the first one stands"
        assert till.moved() == refund.amount.minor
        till.until(refund, {RefundState.SUCCEEDED}, first)

    assert till.moved() == refund.amount.minor


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_the_same_number_with_another_amount_is_not_accepted(desk: Desk) -> None:
    till = Till.open(desk)
    refund = till.refund_of(3300)
    till.given_back(refund)

    again = till.send(replace(refund, amount=Money(3301, refund.amount.currency)))

    assert again is None or again.state is RefundState.FAILED
    assert till.moved() == 3300
    assert till.ask(refund).state is RefundState.SUCCEEDED


# -- asked in every state


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_a_refund_nobody_sent(desk: Desk) -> None:
    till = Till.open(desk)
    refund = till.refund_of(1)

    found = till.ask(refund)

    assert (found.state, found.refund_no, found.amount) == (RefundState.NOT_FOUND, refund.refund_no, None)


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_one_that_takes_its_time(desk: Desk) -> None:
    till = Till.open(desk)
    refund = till.refund_of(3300)
    till.says(refund, "pending")

    result = till.send(refund)

    assert result is None or result.state is RefundState.PROCESSING
    # A channel that needs time to settle may know nothing of it until then.
    unsettled = {RefundState.NOT_FOUND} if desk.provider.refund_settling_seconds else set()
    assert till.ask(refund, result).state in {RefundState.PROCESSING, *unsettled}
    till.says(refund, "success")
    found = till.until(refund, {RefundState.SUCCEEDED}, result)
    assert found.amount == refund.amount
    assert till.moved() == 3300


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_one_that_fails(desk: Desk) -> None:
    till = Till.open(desk)
    refund = till.refund_of(3300)
    till.says(refund, "fail")

    result = till.send(refund)

    assert result is not None
    failed = till.until(refund, {RefundState.FAILED}, result)
    assert (failed.refund_no, failed.resendable) == (refund.refund_no, False)
    assert till.ask(refund, result).state in {RefundState.FAILED, RefundState.NOT_FOUND}
    assert till.moved() == 0
    till.given_back(till.refund_of())


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_one_for_which_the_merchant_is_short_of_money(desk: Desk) -> None:
    till = Till.open(desk)
    if not channel_classes()[desk.case.channel].says_short_balance:
        pytest.skip(f"{desk.case.channel} has no words of its own for a short balance")
    refund = till.refund_of(3300)
    till.says(refund, "no_balance")

    refused = till.send(refund)

    assert refused is not None
    assert (refused.state, refused.resendable) == (RefundState.FAILED, True)
    assert till.moved() == 0
    till.says(refund, "success")
    till.given_back(refund)
    assert till.moved() == 3300
