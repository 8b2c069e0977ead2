"""Real threads against the real database: what must hold however calls interleave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from channels.base import OrderRef
from merchants.api.errors import AlreadyPaid, OrderClosed
from notifications.models import Notification
from paycenter.claims import claim_due
from paycenter.errors import UnknownOutcome
from paycenter.models import Event
from tests import factories
from tests.conftest import World
from trades.closing import trade_close
from trades.confirm import Booked, MoneyArrived, payment_confirm
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_pay
from trades.states import LIVE_ATTEMPT_STATES
from trades.sweeps import close_due, query_due

Threads = Callable[..., list[Any]]


def slow(seconds: float) -> Callable[[OrderRef], None]:
    return lambda _order: time.sleep(seconds)


def test_50_parallel_calls_of_one_order_make_one_attempt_and_identical_answers(
    committed_world: World, in_threads: Threads
) -> None:
    world = committed_world
    world.book.hooks["pay"] = slow(0.3)
    order = world.order()

    answers = in_threads(lambda _i: trade_pay(app=world.app, order=order, method="fake_qr"), 50)

    assert [a for a in answers if isinstance(a, Exception)] == []
    assert len({(a.attempt_no, a.trade.trade_no, json.dumps(a.pay)) for a in answers}) == 1
    assert world.book.calls["pay"] == 1
    assert Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES).count() == Attempt.objects.count() == 1
    assert Trade.objects.count() == 1


def test_parallel_calls_share_an_unknown_outcome_too(committed_world: World, in_threads: Threads) -> None:
    world = committed_world
    world.book.hooks["pay"] = slow(0.3)
    world.book.fault("pay", UnknownOutcome("timeout"))
    order = world.order()

    answers = in_threads(lambda _i: trade_pay(app=world.app, order=order, method="fake_qr"), 10)

    assert {type(a).__name__ for a in answers} == {"ChannelUnknown"}
    assert len({a.data["attempt_no"] for a in answers}) == 1
    assert world.book.calls["pay"] == 1


@pytest.mark.clock
def test_different_orders_are_never_held_back(committed_world: World, in_threads: Threads) -> None:
    world = committed_world
    world.book.hooks["pay"] = slow(0.5)
    started = time.monotonic()

    answers = in_threads(lambda _i: trade_pay(app=world.app, order=world.order(), method="fake_qr"), 8)

    assert len({a.attempt_no for a in answers}) == 8
    assert time.monotonic() - started < 3, "eight half-second calls ran side by side"


def test_switching_methods_from_many_windows_leaves_one_live_attempt(
    committed_world: World, in_threads: Threads
) -> None:
    world = committed_world
    order = world.order()
    methods = ["fake_qr", "fake_jsapi"]

    def call(index: int) -> Any:
        payer = {"openid": "o1"}
        wish = factories.make_order(world.merchant, app_order_no=order.app_order_no, payer=payer)
        return trade_pay(app=world.app, order=wish, method=methods[index % 2])

    answers = in_threads(call, 8)
    assert not [a for a in answers if isinstance(a, AssertionError)]
    Attempt.objects.filter(next_close_at__isnull=False).update(next_close_at=timezone.now())
    from trades.sweeps import close_superseded

    close_superseded()
    live = Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES)
    assert [a.pk for a in live] == [Trade.objects.get().current_attempt_id]


def test_many_notifications_at_once_make_one_transition_and_one_message(
    committed_world: World, in_threads: Threads
) -> None:
    world = committed_world
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    claim = json.dumps(world.book.notification(attempt.attempt_no))
    url = f"/notify/fake_qr/{attempt.attempt_no}"

    answers = in_threads(lambda _i: Client().post(url, claim, content_type="application/json").status_code, 12)

    assert answers == [200] * 12
    assert Event.objects.filter(type="trade.paid").count() == 1
    assert Notification.objects.filter(type="trade.paid").count() == 1


def test_two_attempts_paid_at_once_settle_one_and_keep_the_other(
    committed_world: World, in_threads: Threads
) -> None:
    world = committed_world
    order = world.order()
    attempts = [trade_pay(app=world.app, order=order, method=m) for m in ("fake_page", "fake_qr")]

    def confirm(index: int) -> Booked:
        attempt = attempts[index % 2]
        money = MoneyArrived(amount=attempt.money, channel_trade_no=f"CH{attempt.attempt_no}")
        return payment_confirm(attempt_id=attempt.pk, money=money, actor="test")

    outcomes = in_threads(confirm, 8)

    assert sorted(outcomes).count(Booked.PAID) == 1
    assert sorted(outcomes).count(Booked.ABNORMAL) == 1
    trade = Trade.objects.get()
    assert (trade.state, trade.paid_amount) == ("paid", trade.amount)
    assert AbnormalPayment.objects.get().kind == "duplicate"


@pytest.mark.parametrize("round_", range(6))
def test_closing_that_races_a_payment_never_keeps_the_money(
    committed_world: World, in_threads: Threads, round_: int
) -> None:
    world = committed_world
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")

    def race(index: int) -> Any:
        if index == 0:
            return trade_close(trade=attempt.trade, actor="test")
        time.sleep(0.004 * round_)
        world.book.pay(attempt.attempt_no)
        money = MoneyArrived(amount=attempt.money, channel_trade_no=f"CH{attempt.attempt_no}")
        return payment_confirm(attempt_id=attempt.pk, money=money, actor="test")

    closed, booked = in_threads(race, 2)

    trade = Trade.objects.get()
    if trade.state == "paid":
        assert booked in (Booked.PAID, Booked.REPEATED), "the close's own query may have been first"
        assert isinstance(closed, (AlreadyPaid, Trade))
    else:
        assert (trade.state, booked) == ("closed", Booked.ABNORMAL)
        assert AbnormalPayment.objects.get().kind == "late"


def test_paying_that_races_closing_never_leaves_a_live_attempt_on_a_closed_trade(
    committed_world: World, in_threads: Threads
) -> None:
    world = committed_world
    for _ in range(5):
        order = world.order()
        trade_pay(app=world.app, order=order, method="fake_page")

        def race(index: int, order: Any = order) -> Any:
            if index == 0:
                return trade_close(trade=Trade.objects.get(app_order_no=order.app_order_no), actor="test")
            return trade_pay(app=world.app, order=order, method="fake_qr")

        results = in_threads(race, 2)
        assert all(isinstance(r, (Trade, Attempt, OrderClosed)) for r in results), results
        trade = Trade.objects.get(app_order_no=order.app_order_no)
        if trade.state == "closed":
            assert not trade.attempts.filter(state__in=LIVE_ATTEMPT_STATES).exists()


def test_two_workers_never_claim_the_same_row(committed_world: World, in_threads: Threads) -> None:
    world = committed_world
    for _ in range(30):
        trade_pay(app=world.app, order=world.order(), method="fake_qr")
    now = timezone.now() + timedelta(seconds=60)

    claims = in_threads(lambda _i: claim_due(Attempt, "next_query_at", now=now, lease=60, limit=10), 6)

    taken = [pk for claim in claims for pk in claim]
    assert len(taken) == len(set(taken)) == 30


def test_two_sweeps_at_once_query_each_attempt_once(committed_world: World, in_threads: Threads) -> None:
    world = committed_world
    for _ in range(10):
        attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
        world.book.pay(attempt.attempt_no)
    Attempt.objects.update(next_query_at=timezone.now())

    in_threads(lambda _i: query_due(), 3)

    assert world.book.calls["query"] == 10
    assert Trade.objects.filter(state="paid").count() == 10
    assert Notification.objects.filter(type="trade.paid").count() == 10


@pytest.mark.clock
def test_sweeps_run_calls_side_by_side(committed_world: World, settings: Any) -> None:
    settings.SWEEP_THREADS = 8
    world = committed_world
    for _ in range(8):
        factories.expire(trade_pay(app=world.app, order=world.order(), method="fake_qr").trade)
    world.book.hooks["query"] = slow(0.4)
    started = time.monotonic()

    assert close_due() == 8

    assert time.monotonic() - started < 2.5
    assert set(Trade.objects.values_list("state", flat=True)) == {"closed"}


def test_a_hanging_channel_keeps_only_its_own_rows_waiting(
    committed_world: World, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attempts of one channel hang in the sweep; those of another are queried all the same, tick by tick."""
    settings.SWEEP_THREADS = 8
    world = committed_world
    hanging = [trade_pay(app=world.app, order=world.order(), method="fake_qr") for _ in range(3)]
    sound = [trade_pay(app=world.app, order=world.order(), method="fake_qr") for _ in range(3)]
    Attempt.objects.filter(pk__in=[a.pk for a in hanging]).update(channel="hangs")
    released = threading.Event()
    from trades import sweeps

    real = sweeps._query_one
    stuck = {a.pk for a in hanging}

    def query(pk: int) -> None:
        if pk in stuck:
            released.wait(10)
        real(pk)

    monkeypatch.setattr(sweeps, "_query_one", query)
    for attempt in sound:
        world.book.pay(attempt.attempt_no)
    Attempt.objects.update(next_query_at=timezone.now())
    first_tick = threading.Thread(target=lambda: (query_due(), connection.close()))
    first_tick.start()
    try:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and Trade.objects.filter(state="paid").count() < 3:
            time.sleep(0.02)
        assert Trade.objects.filter(state="paid").count() == 3
        late = trade_pay(app=world.app, order=world.order(), method="fake_qr")
        world.book.pay(late.attempt_no)
        Attempt.objects.filter(pk__in=[late.pk, *stuck]).update(next_query_at=timezone.now())
        assert query_due() == 1, "the next tick leaves the hanging lane alone and does the rest"
        assert factories.fresh(late.trade).state == "paid"
    finally:
        released.set()
        first_tick.join()


def test_a_channel_is_never_called_inside_a_transaction(committed_world: World, settings: Any) -> None:
    settings.TEST_WRAPS_TRANSACTIONS = False
    world = committed_world
    seen: list[bool] = []
    for operation in ("pay", "query", "close"):
        world.book.hooks[operation] = lambda _order: seen.append(connection.in_atomic_block)
    order = world.order()
    trade_pay(app=world.app, order=order, method="fake_qr")
    trade_pay(app=world.app, order=order, method="fake_page")
    Attempt.objects.update(next_query_at=timezone.now())
    query_due()
    assert len(seen) >= 5
    assert not any(seen)


def test_waiting_callers_take_over_from_a_process_that_died(committed_world: World, settings: Any) -> None:
    world = committed_world
    order = world.order()
    first = trade_pay(app=world.app, order=order, method="fake_qr")
    soon = timezone.now() + timedelta(seconds=0.5)
    Attempt.objects.filter(pk=first.pk).update(state="created", pay=None, submitted_at=None, in_flight_until=soon)
    results: list[Any] = []

    waiting = threading.Thread(
        target=lambda: (results.append(trade_pay(app=world.app, order=order, method="fake_qr")), connection.close())
    )
    waiting.start()
    waiting.join(10)

    assert results[0].attempt_no == first.attempt_no
    assert results[0].state == "submitted"
