"""Money that channels tell of at the same moment is booked together (PostgreSQL): nothing differs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, connection, models, transaction
from django.utils import timezone

from notifications.models import Alert, Notification
from paycenter.models import Event
from paycenter.money import Money
from refunds.models import EarlyRefund
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.queues import hold_first
from trades import confirm
from trades.closing import trade_close
from trades.confirm import Booked, MoneyArrived, payment_arrived, payment_confirm
from trades.locking import find_notified, lock_attempt
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_pay

Threads = Callable[..., list[Any]]
UNLIKE = ("id", "attempt_no", "trade_no", "app_order_no", "channel_order_no", "channel_trade_no", "object_id",
          "trade_id", "current_attempt_id", "settled_attempt_id", "webhook_id", "data", "detail", "body",
          "pay", "memo")  # fmt: skip


@pytest.fixture
def queued(committed_world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the groups that money is booked in; the first of them is one, and is held until others wait."""
    return hold_first(monkeypatch, confirm._arrivals)


def pay(world: World, **order: Any) -> Attempt:
    return trade_pay(app=world.app, order=world.order(**order), method="fake_qr")


def money_of(attempt: Attempt, number: str = "", amount: Money | None = None) -> MoneyArrived:
    return MoneyArrived(
        amount=amount or attempt.money, channel_trade_no=number or f"CH{attempt.attempt_no}", payer_id="openid",
        funding="card", channel_state="SUCCESS",
    )  # fmt: skip


def arrive(attempt: Attempt, *, number: str = "", amount: Money | None = None) -> Booked:
    read = find_notified(attempt.attempt_no, attempt.method)
    assert read is not None
    return payment_arrived(attempt=read, money=money_of(attempt, number, amount), actor="channel:fakepay")


def arrive_alone(attempt: Attempt) -> Booked:
    return payment_confirm(attempt_id=attempt.pk, money=money_of(attempt), actor="channel:fakepay")


def test_rows_are_as_of_money_booked_alone(
    committed_world: World, queued: list[int], in_threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = [pay(committed_world, detail={"a": [1.5, "é"]}, attach='x, {"y"}') for _ in range(12)]
    assert arrive_alone(attempts[0]) is Booked.PAID, "to be compared with the others"
    monkeypatch.setattr(confirm._arrivals, "_alone", None)  # none of the others is left to a turn of its own

    assert in_threads(lambda place: arrive(attempts[place + 1]), 11) == [Booked.PAID] * 11

    assert max(queued) > 1
    trades = list(Trade.objects.select_related("settled_attempt").order_by("id"))
    assert len({repr(kept(trade)) for trade in trades}) == 1
    assert len({repr(kept(trade.settled_attempt)) for trade in trades if trade.settled_attempt}) == 1
    assert len({repr(events_of(trade)) for trade in trades}) == 1
    assert len({repr(message_of(trade)) for trade in trades}) == 1
    assert {trade.settled_attempt.channel_trade_no for trade in trades if trade.settled_attempt} == {
        f"CH{attempt.attempt_no}" for attempt in attempts
    }


def kept(record: models.Model) -> dict[str, Any]:
    """The columns that do not differ from one payment to the next; times are only there or not."""
    values = {f.attname: getattr(record, f.attname) for f in record._meta.concrete_fields if f.attname not in UNLIKE}
    return plain(values)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (value is not None if name.endswith(("_at", "_until")) else value)
        for name, value in values.items() if name not in UNLIKE
    }  # fmt: skip


def events_of(trade: Trade) -> list[Any]:
    events = Event.objects.filter(trade_no=trade.trade_no).order_by("id")
    return [(kept(event), plain(event.data or {}), plain(event.detail)) for event in events]


def message_of(trade: Trade) -> Any:
    message = Notification.objects.get(trade_no=trade.trade_no)
    body = json.loads(message.body)
    told = Event.objects.get(trade_no=trade.trade_no, type="trade.paid").data
    assert (body["id"], body["data"]) == (message.webhook_id, told)
    return kept(message), plain(body["data"]), {**body, "id": "", "created_at": "", "data": ""}


def test_what_is_not_plain_ends_as_it_does_alone(
    committed_world: World, queued: list[int], in_threads: Threads
) -> None:
    world = committed_world
    good, late, early = ([pay(world) for _ in range(count)] for count in (6, 1, 1))
    twice = [trade_pay(app=world.app, order=world.order(app_order_no="T"), method=m) for m in ("fake_page", "fake_qr")]
    same = [pay(world), pay(world)]
    trade_close(trade=late[0].trade, actor="test")
    due = timezone.now() + timedelta(hours=1)
    EarlyRefund.objects.create(attempt=early[0], channel_request_no="C-1", heard_at=due, next_try_at=due)

    def one(place: int) -> Any:
        attempt = [*good, good[0], good[0], *late, *early, *twice, *same][place]
        return arrive(attempt, number="SAME" if attempt in same else "")

    answers = in_threads(one, 14)

    assert sorted(answers[:8]) == [Booked.PAID] * 6 + [Booked.REPEATED] * 2
    assert (answers[8], answers[9]) == (Booked.ABNORMAL, Booked.PAID)
    assert sorted(answers[10:12]) == [Booked.ABNORMAL, Booked.PAID]
    assert sorted(answers[12:14]) == [Booked.PAID, Booked.REFUSED]
    assert sum(queued) == 14
    assert sorted(AbnormalPayment.objects.values_list("kind", flat=True)) == ["duplicate", "late"]
    assert EarlyRefund.objects.get().next_try_at < due, "due at once"
    assert Alert.objects.filter(key__startswith="contradiction:").count() == 1
    paid = Trade.objects.filter(state="paid")
    assert paid.count() == Notification.objects.filter(type="trade.paid").count() == 9
    assert Event.objects.filter(type="attempt.succeeded").count() == 11


def test_a_bad_row_spoils_nobody_elses(committed_world: World, queued: list[int], in_threads: Threads) -> None:
    attempts = [pay(committed_world) for _ in range(9)]
    answers = in_threads(lambda place: arrive(attempts[place], number="a\x00b" if place == 4 else ""), 9)
    assert isinstance(answers.pop(4), DataError | ValueError)
    assert answers == [Booked.PAID] * 8
    assert fresh(attempts[4]).state == "submitted"


def test_a_row_that_somebody_has_locked_holds_up_nobody_else(
    committed_world: World, queued: list[int], in_threads: Threads
) -> None:
    locked, others = pay(committed_world), [pay(committed_world) for _ in range(9)]
    held, done = threading.Event(), threading.Event()
    booked: list[Booked] = []

    def one(place: int) -> Any:
        if place == 0:
            with transaction.atomic():
                lock_attempt(locked.pk)
                held.set()
                assert done.wait(10), "the others wait for a row that is none of theirs"
                assert fresh(locked).state == "submitted"
            return None
        held.wait(10)
        if place == 1:
            return arrive(locked)
        booked.append(arrive(others[place - 2]))
        if len(booked) == 9:
            done.set()
        return booked[-1]

    assert in_threads(one, 11)[1:] == [Booked.PAID] * 10


def test_other_amounts_and_repeats_are_found_without_company(committed_world: World) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite everything is booked alone")
    attempt = pay(committed_world, amount=1000)
    assert arrive(attempt, amount=Money(999)) is Booked.ABNORMAL
    assert arrive(attempt, amount=Money(999)) is Booked.REPEATED
    assert arrive(attempt) is Booked.REFUSED
