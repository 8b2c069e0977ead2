"""Random histories of one order: whatever the order of calls, payments and answers, no money is lost."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from channels.base import PaymentState
from paycenter.errors import ApiError, UnknownOutcome
from paycenter.models import Event
from tests import factories
from tests.conftest import World
from trades.closing import trade_close
from trades.confirm import MoneyArrived, payment_confirm
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_pay
from trades.states import LIVE_ATTEMPT_STATES
from trades.sweeps import close_due, close_superseded, query_due

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("gopay"), st.sampled_from(["fake_qr", "fake_page"]), st.sampled_from([1000, 700])),
        st.tuples(st.just("payer_pays"), st.integers(0, 3)),
        st.tuples(st.just("notify"), st.integers(0, 3)),
        st.tuples(st.just("fault"), st.sampled_from(["pay", "query", "close"]), st.booleans()),
        st.tuples(st.just("age")),
        st.tuples(st.just("sweep")),
        st.tuples(st.just("close")),
        st.tuples(st.just("expire")),
    ),
    max_size=14,
)


class History:
    """One order under test. The payer pays only what the channel would still let them pay."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = factories.make_order(world.merchant).app_order_no

    def run(self, step: tuple[Any, ...]) -> None:
        with suppress(ApiError):  # an answer to the app like any other
            getattr(self, step[0])(*step[1:])

    def gopay(self, method: str, amount: int) -> None:
        order = self.world.order(app_order_no=self.number, amount=amount)
        trade_pay(app=self.world.app, order=order, method=method)

    def payer_pays(self, index: int) -> None:
        payments = list(self.world.book.payments.values())
        if index < len(payments) and payments[index].state == PaymentState.UNPAID:
            self.world.book.pay(payments[index].order_no)

    def notify(self, index: int) -> None:
        payments = list(self.world.book.payments.values())
        if index < len(payments) and payments[index].state == PaymentState.PAID:
            payment = payments[index]
            attempt = Attempt.objects.get(attempt_no=payment.order_no)
            money = MoneyArrived(amount=payment.amount, channel_trade_no=payment.channel_trade_no)
            payment_confirm(attempt_id=attempt.pk, money=money, actor="test")

    def fault(self, operation: str, lost: bool) -> None:
        self.world.book.fault(operation, "lost" if lost and operation != "query" else UnknownOutcome("silent"))

    def age(self) -> None:
        Attempt.objects.update(submitted_at=timezone.now() - timedelta(seconds=20))

    def sweep(self) -> None:
        now = timezone.now()
        Attempt.objects.filter(next_query_at__isnull=False).update(next_query_at=now)
        Attempt.objects.filter(next_close_at__isnull=False).update(next_close_at=now)
        Trade.objects.filter(next_close_at__isnull=False, expire_at__lte=now).update(next_close_at=now)
        Trade.objects.filter(close_requested_at__isnull=False, next_close_at__isnull=False).update(next_close_at=now)
        query_due()
        close_superseded()
        close_due()

    def close(self) -> None:
        trade = Trade.objects.filter(app_order_no=self.number).first()
        if trade is not None:
            trade_close(trade=trade, actor="test")

    def expire(self) -> None:
        trade = Trade.objects.filter(app_order_no=self.number, next_close_at__isnull=False).first()
        if trade is not None:
            factories.expire(trade)

    def settle(self) -> None:
        """Let everything come to its end: no more faults, all expired, all swept."""
        self.world.book.faults.clear()
        self.expire()
        # Also of a paid trade: a page nobody opened cannot be closed before its own expiry.
        Attempt.objects.update(expire_at=timezone.now() - timedelta(seconds=2))
        for _ in range(4):
            self.sweep()
        for index in range(len(self.world.book.payments)):
            self.notify(index)


def money_at_the_channel(world: World) -> int:
    return sum(p.amount.minor for p in world.book.payments.values() if p.state == PaymentState.PAID)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@example(steps=[("gopay", "fake_page", 700), ("gopay", "fake_qr", 700), ("payer_pays", 1), ("close",)])
@example(steps=[("gopay", "fake_page", 700), ("gopay", "fake_page", 1000), ("gopay", "fake_qr", 700),
                ("payer_pays", 2), ("age",), ("close",)])  # fmt: skip
def test_every_cent_at_the_channel_is_booked_once(world: World, steps: list[tuple[Any, ...]]) -> None:
    world.book.__init__()  # type: ignore[misc]
    history = History(world)
    for step in steps:
        history.run(step)
        trade = Trade.objects.filter(app_order_no=history.number).first()
        if trade is not None and trade.state == "paid":
            assert trade.paid_amount == trade.settled_attempt.paid_amount
    history.settle()

    trade = Trade.objects.filter(app_order_no=history.number).first()
    if trade is None:
        assert money_at_the_channel(world) == 0
        return
    abnormal = AbnormalPayment.objects.filter(trade=trade)
    booked = trade.paid_amount + sum(a.amount for a in abnormal.exclude(state="void"))
    assert booked == money_at_the_channel(world)
    assert trade.state in ("paid", "closed")
    assert not trade.attempts.filter(state__in=LIVE_ATTEMPT_STATES).exists()
    assert not trade.attempts.filter(next_close_at__isnull=False).exists()
    assert Event.objects.filter(trade_no=trade.trade_no, type="trade.paid").count() == (trade.state == "paid")


@pytest.mark.parametrize("amount", [1, 10**11])
def test_the_largest_and_smallest_order(world: World, amount: int) -> None:
    attempt = trade_pay(app=world.app, order=world.order(amount=amount), method="fake_qr")
    money = MoneyArrived(amount=attempt.money, channel_trade_no="CH1")
    payment_confirm(attempt_id=attempt.pk, money=money, actor="test")
    assert Trade.objects.get().paid_amount == amount
