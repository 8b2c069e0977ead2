"""A process killed (SIGKILL, no clean-up) at each line of a payment leaves something the sweeps resolve."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from channels.base import OrderRef
from notifications.models import Notification
from tests.conftest import World
from tests.fakes.fakepay import Payment
from tests.fakes.forking import status_of
from trades import confirm, sending, services
from trades.models import Attempt, Trade
from trades.services import trade_pay
from trades.sweeps import query_due


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_child_that_dies(work: Callable[[], Any]) -> None:
    """Run `work` in a forked process with its own database connections; it must die by SIGKILL."""
    status = status_of(work)
    assert os.WIFSIGNALED(status), f"the child was not killed but ended with {status}"
    assert os.WTERMSIG(status) == signal.SIGKILL


def dying_after(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        function(*args, **kwargs)
        die()

    return wrapped


def dying_before(_function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: die()


# Where the paying process dies; whether the channel had taken the order by then.
POINTS = {
    "before the trade is opened": (services, "_first_attempt", dying_before, False),
    "after the trade, inside its transaction": (services, "_new_attempt", dying_before, False),
    "after the attempt, inside its transaction": (services, "trade_advance", dying_after, False),
    "after the intent, before the call": (services, "attempt_send", dying_before, False),
    "before the outcome is written": (sending, "_submitted", dying_before, True),
    "inside the outcome's transaction": (sending, "query_delay", dying_after, True),
    "after the outcome is committed": (sending, "_submitted", dying_after, True),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_payment_whose_process_dies(
    committed_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str
) -> None:
    world = committed_world
    module, name, killer, taken = POINTS[point]
    order = world.order()
    channels_book = tmp_path / "book"
    world.book.hooks["pay"] = lambda sent: channels_book.write_text(sent.order_no)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, killer(getattr(module, name)))
        in_child_that_dies(lambda: trade_pay(app=world.app, order=order, method="fake_qr"))

    assert channels_book.exists() == taken
    if taken:  # what the channel holds survives our process
        number = channels_book.read_text()
        world.book.payments[number] = Payment(number, Attempt.objects.get(attempt_no=number).money)
    past = timezone.now() - timedelta(seconds=1)
    Attempt.objects.update(in_flight_until=past, next_query_at=past)
    if taken:
        world.book.pay(number)
        query_due()
        trade = Trade.objects.get()
        assert (trade.state, trade.settled_attempt.attempt_no) == ("paid", number)
        assert Notification.objects.filter(type="trade.paid").count() == 1
    else:
        attempt = trade_pay(app=world.app, order=order, method="fake_qr")
        assert attempt.state == "submitted"
    assert len(world.book.payments) == 1
    assert Trade.objects.count() == Attempt.objects.count() == 1


@pytest.mark.parametrize("point", ["_record_success", "_settle", "trade_advance"])
def test_a_notification_whose_process_dies_is_not_half_booked(
    committed_world: World, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Nothing was acknowledged, so the channel sends it again and it is booked once."""
    world = committed_world
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    money = confirm.MoneyArrived(amount=attempt.money, channel_trade_no="CH1")

    with monkeypatch.context() as patched:
        patched.setattr(confirm, point, dying_after(getattr(confirm, point)))
        in_child_that_dies(lambda: confirm.payment_confirm(attempt_id=attempt.pk, money=money, actor="test"))

    assert Trade.objects.get().state == "paying"
    assert not Notification.objects.exists()
    assert confirm.payment_confirm(attempt_id=attempt.pk, money=money, actor="test") is confirm.Booked.PAID
    assert Notification.objects.filter(type="trade.paid").count() == 1


def test_a_sweep_that_dies_leaves_its_rows_due_again(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = committed_world
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    world.book.pay(attempt.attempt_no)
    Attempt.objects.update(next_query_at=timezone.now())

    def die_in_query(_order: OrderRef) -> None:
        die()

    world.book.hooks["query"] = die_in_query
    in_child_that_dies(query_due)
    del world.book.hooks["query"]

    assert query_due() == 0, "still claimed by the dead"
    claimed_until = Attempt.objects.get().next_query_at
    assert claimed_until is not None
    assert claimed_until < timezone.now() + timedelta(seconds=61)
    Attempt.objects.update(next_query_at=timezone.now())
    assert query_due() == 1
    assert Trade.objects.get().state == "paid"
