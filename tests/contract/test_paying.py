"""Starting a payment: what the channel learns of it, and what a second start does."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from channels.base import CloseOutcome, Initiated, PaymentState, Refused
from paycenter.errors import NotSent, UnknownOutcome
from tests.contract.cases import every_case, scenes
from tests.contract.desk import Desk
from trades.sending import instruction_data


@pytest.mark.parametrize("case", every_case(), ids=str)
def test_the_channel_learns_what_was_ordered(desk: Desk) -> None:
    attempt_no, order = desk.order()

    pay = desk.started(order)
    assert pay["type"] == desk.case.scene.instruction
    desk.paid(attempt_no, pay, notify="normal")

    book = desk.book(attempt_no)
    assert (book["ordered_amount"], book["currency"]) == (order.amount.minor, order.amount.currency)
    assert book["channel_order_no"] == order.order_no, "our number is the only one that is sent"
    assert time.time() < book["expires_at"] <= order.expire_at.timestamp(), "an absolute end, not after the order's"
    desk.wait_for_notice(order)


@pytest.mark.parametrize("case", every_case(), ids=str)
def test_a_repeat_under_the_same_number_makes_no_second_payment(desk: Desk) -> None:
    attempt_no, order = desk.order()
    first = desk.started(order)

    again = desk.pay_again(order)

    assert again is None or isinstance(again, Initiated), "a repeat is no refusal: the first one stands"
    latest = first if again is None else instruction_data(again.instruction)
    paid = desk.paid(attempt_no, latest)
    assert desk.provider.query(order).channel_trade_no == paid["channel_trade_no"]
    late = desk.pay_again(order)
    if isinstance(late, Initiated):  # signed here without asking anybody; the channel will not have it paid twice
        assert desk.payer_pays(attempt_no, instruction_data(late.instruction)).status in (400, 409)
    found = desk.provider.query(order)
    assert (found.state, found.channel_trade_no) == (PaymentState.PAID, paid["channel_trade_no"])


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_an_order_at_its_end_cannot_be_paid_any_more(desk: Desk) -> None:
    """Either the channel has its end, or (it grants every order some seconds) it can be closed at once."""
    attempt_no, order = desk.order(expire_at=datetime.now(UTC) - timedelta(seconds=5))
    try:
        result = desk.pay(order)
    except (NotSent, UnknownOutcome):
        result = None
    if not isinstance(result, Initiated):
        assert result is None or isinstance(result, Refused)
        assert desk.book(attempt_no)["state"] in ("none", "unscanned")
        return

    if desk.book(attempt_no).get("expires_at", 0) > time.time():
        assert desk.close(order) is CloseOutcome.CLOSED

    assert desk.payer_pays(attempt_no, instruction_data(result.instruction)).status in (400, 409)
    assert desk.book(attempt_no)["state"] != "paid"
