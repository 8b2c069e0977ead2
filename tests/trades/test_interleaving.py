"""What changes while a channel is being asked: an answer from before the change must not undo it.

The fake channel's hooks run in the middle of a call, where another process would.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels.base import OrderRef, PaymentState, Refused
from merchants.api.errors import AlreadyPaid, ChannelRefused, ContentDiffers
from paycenter.errors import UnknownOutcome
from paycenter.money import Money
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from trades.closing import attempt_finish, trade_close
from trades.confirm import MoneyArrived, payment_confirm, unverified_record
from trades.models import AbnormalPayment, Attempt, Trade
from trades.querying import attempt_query
from trades.services import trade_open, trade_pay, trade_pay_with
from trades.states import LIVE_ATTEMPT_STATES
from trades.sweeps import query_due


def once(work: Callable[[], object]) -> Callable[[OrderRef], None]:
    """A hook that does its work in the first call only, and not within itself."""
    waiting = [work]

    def hook(_order: OrderRef) -> None:
        if waiting:
            waiting.pop()()

    return hook


def pay(world: World, order: Any, method: str = "fake_qr") -> Attempt:
    return trade_pay(app=world.app, order=order, method=method)


def money(attempt: Attempt, minor: int | None = None) -> MoneyArrived:
    return MoneyArrived(amount=Money(minor or attempt.amount), channel_trade_no=f"CH{attempt.attempt_no}")


def test_the_apps_new_amount_outlives_a_payer_who_was_switching_methods(world: World) -> None:
    order = world.order(amount=1000)
    trade = trade_open(app=world.app, order=order)
    values: dict[str, Any] = {"account": world.account, "payer": {}, "client_ip": None}
    trade_pay_with(trade=trade, method="fake_qr", **values)
    dearer = world.order(amount=2000, app_order_no=order.app_order_no)
    world.book.hooks["query"] = once(lambda: trade_open(app=world.app, order=dearer))

    with pytest.raises(ChannelRefused):  # the payer's page shows the new amount and asks again
        trade_pay_with(trade=fresh(trade), method="fake_page", **values)

    assert fresh(trade).amount == 2000, "the app was told that the order costs this much"
    assert world.book.calls["pay"] == 1, "nothing went out at the amount that counts no more"
    assert not trade.attempts.filter(state__in=LIVE_ATTEMPT_STATES).exists()
    again = trade_pay_with(trade=fresh(trade), method="fake_page", **values)
    assert (again.amount, again.state) == (2000, "submitted")


def test_of_two_switches_at_once_the_later_one_decides_the_amount(world: World) -> None:
    order = world.order(amount=1000)
    pay(world, order)
    later = world.order(amount=3000, app_order_no=order.app_order_no)
    earlier = world.order(amount=2000, app_order_no=order.app_order_no)
    world.book.hooks["query"] = once(lambda: pay(world, later, "fake_page"))

    with pytest.raises(ChannelRefused) as refused:
        pay(world, earlier, "fake_page")

    trade = Trade.objects.select_related("current_attempt").get()
    assert (trade.amount, trade.current_attempt.amount) == (3000, 3000)
    given_up = Attempt.objects.get(attempt_no=refused.value.data["attempt_no"])
    assert (given_up.amount, given_up.state, given_up.error_code) == (2000, "failed", "not_sent")
    assert given_up.attempt_no not in world.book.payments


def test_an_attempt_that_slips_in_while_the_amount_changes_is_closed_too(world: World) -> None:
    order = world.order(amount=1000)
    trade = trade_open(app=world.app, order=order)
    values: dict[str, Any] = {"account": world.account, "payer": {}, "client_ip": None}
    trade_pay_with(trade=trade, method="fake_page", **values)
    dearer = world.order(amount=2000, app_order_no=order.app_order_no)
    world.book.hooks["query"] = once(
        lambda: trade_pay_with(trade=fresh(trade), method="fake_qr", **values)
    )

    trade_open(app=world.app, order=dearer)

    live = Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES, amount=1000)
    assert live, "the payer's new attempt is live at the old amount"
    for attempt in live:
        assert attempt.superseded_at is not None
        assert attempt.next_close_at is not None


@pytest.mark.parametrize("method", ["fake_page", "fake_qr"])
def test_an_unpaid_from_before_the_expiry_closes_nothing_after_it(world: World, method: str) -> None:
    """The query was answered before the attempt's own expiry; in what was left of it the payer pays."""
    attempt = pay(world, world.order(), method)

    def time_passes() -> None:
        factories.expire(attempt.trade, seconds_ago=5)

    world.book.hooks["query"] = once(time_passes)
    if method == "fake_qr":
        world.book.payments.clear()  # the channel has not seen it yet

    assert attempt_finish(attempt_id=attempt.pk, actor="test") is False

    assert fresh(attempt).state == "submitted", "asked again after the expiry, and only then closed"
    assert fresh(attempt).next_close_at is not None
    assert attempt_finish(attempt_id=attempt.pk, actor="test") is True
    assert fresh(attempt).state == "closed"


def test_closing_just_before_the_expiry_never_closes_a_paid_order(world: World) -> None:
    attempt = pay(world, world.order(), "fake_page")

    def the_payer_pays_in_the_last_moment() -> None:
        world.book.hooks["close"] = once(lambda: world.book.pay(attempt.channel_order_no))
        factories.expire(attempt.trade, seconds_ago=5)

    world.book.hooks["query"] = once(the_payer_pays_in_the_last_moment)
    with pytest.raises(AlreadyPaid):
        trade_close(trade=attempt.trade, actor="test")

    assert fresh(attempt.trade).state == "paid"


def test_a_hint_that_comes_while_the_channel_is_asked_keeps_its_query(world: World) -> None:
    attempt = pay(world, world.order())
    Attempt.objects.filter(pk=attempt.pk).update(query_tries=50)
    moment = timezone.now()
    world.book.hooks["query"] = once(lambda: Attempt.objects.filter(pk=attempt.pk).update(next_query_at=moment))

    attempt_query(attempt_id=attempt.pk, actor="test")

    assert fresh(attempt).next_query_at == moment, "the answer is older than the hint"


def test_a_hint_that_comes_while_the_channel_is_silent_keeps_its_query(world: World) -> None:
    attempt = pay(world, world.order())
    moment = timezone.now()
    world.book.fault("query", UnknownOutcome("timeout"))
    world.book.hooks["query"] = once(lambda: Attempt.objects.filter(pk=attempt.pk).update(next_query_at=moment))

    attempt_query(attempt_id=attempt.pk, actor="test")

    assert fresh(attempt).next_query_at == moment


def test_an_older_unpaid_does_not_void_what_a_notification_claims_since(world: World) -> None:
    attempt = pay(world, world.order(amount=1000))
    told = money(attempt, 999)
    world.book.hooks["query"] = once(lambda: unverified_record(attempt_id=attempt.pk, money=told, actor="channel"))

    attempt_query(attempt_id=attempt.pk, actor="test")

    assert AbnormalPayment.objects.get().state == "unverified", "the answer was given before the claim"
    assert fresh(attempt).next_query_at <= timezone.now()
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert AbnormalPayment.objects.get().state == "void"


def test_a_refused_deduction_does_not_fail_a_trade_that_something_else_may_still_pay(world: World) -> None:
    order = world.order()
    older = pay(world, order, "fake_page")
    world.book.fault("pay", Refused(code="NO", message="no", final_for_trade=True))

    with pytest.raises(ChannelRefused):
        pay(world, order)

    assert fresh(older).state in LIVE_ATTEMPT_STATES
    assert Trade.objects.get().state == "paying", "no live attempt under a final trade"
    payment_confirm(attempt_id=older.pk, money=money(older), actor="channel")
    assert Trade.objects.get().state == "paid"


def test_money_that_settles_nothing_leaves_no_trade_paying_without_an_attempt(world: World) -> None:
    attempt = pay(world, world.order(amount=1000))
    payment_confirm(attempt_id=attempt.pk, money=money(attempt, 999), actor="channel")

    trade = fresh(attempt.trade)
    assert (trade.state, trade.paid_amount) == ("waiting", 0)
    assert pay(world, world.order(amount=1000, app_order_no=trade.app_order_no)).state == "submitted"


def test_a_trade_whose_closing_was_asked_for_is_closed_by_money_that_settles_nothing(world: World) -> None:
    attempt = pay(world, world.order(amount=1000))
    world.book.fault("query", UnknownOutcome("silent"))
    assert trade_close(trade=attempt.trade, actor="test").state == "paying"

    payment_confirm(attempt_id=attempt.pk, money=money(attempt, 999), actor="channel")

    assert fresh(attempt.trade).state == "closed"
    assert AbnormalPayment.objects.get().state == "open", "kept, and told"


@pytest.mark.parametrize(("one", "other"), [({"n": 1}, {"n": True}), ({"n": 0}, {"n": False}), ({"n": 1}, {"n": 1.0})])
def test_details_that_python_takes_for_equal_are_other_content(world: World, one: Any, other: Any) -> None:
    order = world.order(detail=one)
    pay(world, order)
    with pytest.raises(ContentDiffers):
        pay(world, world.order(app_order_no=order.app_order_no, detail=other))


def test_the_order_of_a_details_keys_is_no_other_content(world: World) -> None:
    order = world.order(detail={"a": 1, "b": [{"x": 1, "y": 2}]})
    first = pay(world, order)
    again = pay(world, world.order(app_order_no=order.app_order_no, detail={"b": [{"y": 2, "x": 1}], "a": 1}))
    assert again.attempt_no == first.attempt_no


def test_an_overlong_funding_source_does_not_lose_the_money(world: World) -> None:
    attempt = pay(world, world.order())
    arrived = MoneyArrived(amount=attempt.money, channel_trade_no="CH1", funding="f" * 90, channel_state="s" * 90)
    payment_confirm(attempt_id=attempt.pk, money=arrived, actor="channel")
    booked = fresh(attempt)
    assert booked.state == "succeeded"
    assert len(booked.funding) <= 64
    assert timezone.now() - booked.paid_at < timedelta(minutes=1)
    assert world.book.payments[attempt.channel_order_no].state == PaymentState.UNPAID


def test_an_order_being_sent_is_not_closed_under_the_senders_hands(world: World) -> None:
    """A close before the channel has the order would be answered "no such order", and the order then be open."""
    order = world.order()
    seen: list[tuple[str, int]] = []

    def the_app_closes() -> None:
        closed = trade_close(trade=Trade.objects.get(), actor="test")
        seen.append((closed.state, world.book.calls["query"] + world.book.calls["close"]))

    world.book.hooks["pay"] = once(the_app_closes)

    attempt = pay(world, order)

    assert seen == [("paying", 0)], "the channel was left alone"
    assert world.book.payments[attempt.channel_order_no].state == PaymentState.UNPAID
    assert fresh(attempt).next_close_at is not None
    trade_close(trade=attempt.trade, actor="test")
    assert fresh(attempt.trade).state == "closed"
    assert world.book.payments[attempt.channel_order_no].state == PaymentState.CLOSED


def test_a_query_that_comes_while_an_order_is_being_sent_leaves_it_to_its_sender(world: World) -> None:
    """A hint makes a query due at once; another process must not take the order for abandoned and send it too."""
    seen: list[Attempt] = []

    def a_hint_is_followed() -> None:
        Attempt.objects.update(next_query_at=timezone.now())
        query_due()
        seen.append(Attempt.objects.get())

    world.book.hooks["pay"] = once(a_hint_is_followed)

    assert pay(world, world.order()).state == "submitted"

    assert seen[0].state == "created"
    assert seen[0].in_flight_until is not None
    assert seen[0].in_flight_until > timezone.now()
    assert world.book.calls["pay"] == 1
