"""Asking and closing, in every state the channel's book can be in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from channels.base import CloseOutcome, PaymentState
from paycenter.money import Money
from tests.contract.cases import contracts, every_case, scenes
from tests.contract.desk import WAITING, Desk

NOT_CLOSED = {None, CloseOutcome.REFUSED, CloseOutcome.UNSUPPORTED}


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_an_order_nobody_placed(desk: Desk) -> None:
    _name, order = desk.order()

    found = desk.provider.query(order)

    assert (found.state, found.order_no, found.channel_trade_no) == (PaymentState.NOT_FOUND, order.order_no, None)
    assert desk.close(order) in ({CloseOutcome.UNSUPPORTED}, {CloseOutcome.NOT_FOUND, CloseOutcome.CLOSED, None})[
        desk.provider.can_close
    ]


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_an_order_that_waits_for_its_payer(desk: Desk) -> None:
    attempt_no, order = desk.order()
    pay = desk.started(order)
    assert desk.provider.query(order).state in WAITING

    desk.opens(attempt_no, pay)

    assert desk.provider.query(order).state in WAITING
    assert desk.book(attempt_no)["state"] == "unpaid"


@pytest.mark.parametrize("case", every_case(), ids=str)
def test_a_paid_order(desk: Desk) -> None:
    attempt_no, order = desk.order()
    paid = desk.paid(attempt_no, desk.started(order))

    found = desk.provider.query(order)

    assert (found.state, found.order_no, found.amount) == (PaymentState.PAID, order.order_no, order.amount)
    assert found.channel_trade_no == paid["channel_trade_no"]
    assert found.paid_at is None or abs(found.paid_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert desk.close(order) in NOT_CLOSED
    assert desk.provider.query(order).state is PaymentState.PAID


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_money_of_another_amount_is_told_as_it_is(desk: Desk) -> None:
    attempt_no, order = desk.order()
    desk.paid(attempt_no, desk.started(order), amount=order.amount.minor - 1)

    found = desk.provider.query(order)

    assert (found.state, found.amount) == (
        PaymentState.PAID, Money(order.amount.minor - 1, order.amount.currency),
    )  # fmt: skip


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_closing_before_anybody_paid(desk: Desk) -> None:
    attempt_no, order = desk.order()
    pay = desk.started(order)
    desk.opens(attempt_no, pay)

    if not desk.provider.can_close:
        assert desk.close(order) is CloseOutcome.UNSUPPORTED
        assert desk.provider.query(order).state in WAITING
        return
    assert desk.close(order) is CloseOutcome.CLOSED
    assert desk.provider.query(order).state is PaymentState.CLOSED
    assert desk.payer_pays(attempt_no, pay).status in (400, 409), "what is closed cannot be paid"
    assert desk.close(order) in {CloseOutcome.CLOSED, CloseOutcome.REFUSED, None}, "asked twice, it stays closed"
    assert desk.provider.query(order).state is PaymentState.CLOSED


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_money_given_back_in_the_channels_console_was_paid_all_the_same(desk: Desk) -> None:
    attempt_no, order = desk.order()
    desk.paid(attempt_no, desk.started(order))
    answer = desk.sandbox.control("POST", "/refunds", {"attempt_no": attempt_no, "amount": 1})
    assert answer.status == 200, answer.text

    found = desk.provider.query(order)

    assert (found.state, found.amount) == (PaymentState.PAID, order.amount)
    assert found.refunded in (None, Money(1, order.amount.currency))
