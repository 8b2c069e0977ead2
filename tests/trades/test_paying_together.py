"""First calls that wait for the database at the same moment are written together (PostgreSQL): nothing differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, models
from django.utils import timezone

from merchants.api.authentication import _store_nonces
from merchants.api.errors import BadParameter
from merchants.models import Nonce
from paycenter.models import Event
from tests.conftest import World
from tests.fakes.queues import hold_first
from trades import services
from trades.models import Attempt, Trade
from trades.orders import OrderRequest
from trades.services import trade_pay

Threads = Callable[..., list[Any]]
UNLIKE = ("id", "pay", "memo", "trade_no", "attempt_no", "app_order_no", "channel_order_no", "object_id", "data",
          "trade_id", "current_attempt_id")  # fmt: skip
GOOD, SAME, LATE = 40, 12, 6


@pytest.fixture
def queued(committed_world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the groups that first calls are written in."""
    return hold_first(monkeypatch, services._firsts)


def test_good_bad_and_repeated_calls_side_by_side(
    committed_world: World, queued: list[int], in_threads: Threads
) -> None:
    world, past = committed_world, timezone.now() - timedelta(minutes=1)
    orders = [world.order() for _ in range(GOOD)] + [world.order()] * SAME
    orders += [world.order(expire_in=None, expire_at=past) for _ in range(LATE)]
    orders += [world.order(subject="a\x00b") for _ in range(64 - len(orders))]

    answers = in_threads(lambda i: trade_pay(app=world.app, order=orders[i], method="fake_qr"), len(orders))

    good, same, late, broken = answers[:GOOD], answers[GOOD : GOOD + SAME], answers[GOOD + SAME :][:LATE], answers[58:]
    assert [a.trade.app_order_no for a in good] == [order.app_order_no for order in orders[:GOOD]]
    assert len({answer.attempt_no for answer in same}) == 1
    assert {type(answer) for answer in late} == {BadParameter}
    assert all(isinstance(answer, DataError | ValueError) for answer in broken), broken
    assert Trade.objects.count() == Attempt.objects.filter(state="submitted").count() == GOOD + 1
    assert {told(trade) for trade in Trade.objects.all()} == {
        ("trade.created", "attempt.created", "trade.paying", "attempt.submitted")
    }
    assert sum(queued) > 0, "nothing was written together"


def told(trade: Trade) -> tuple[str, ...]:
    return tuple(Event.objects.filter(trade_no=trade.trade_no).order_by("id").values_list("type", flat=True))


def test_rows_are_as_of_one_written_alone(committed_world: World, queued: list[int], in_threads: Threads) -> None:
    world = committed_world
    orders = [full_order(world) for _ in range(12)]

    in_threads(lambda i: trade_pay(app=world.app, order=orders[i], method="fake_qr"), len(orders))

    assert queued
    trades = list(Trade.objects.select_related("current_attempt").order_by("id"))
    assert len({repr(kept(trade)) for trade in trades}) == 1
    assert len({repr(kept(trade.current_attempt)) for trade in trades if trade.current_attempt}) == 1
    assert len({repr(events_of(trade)) for trade in trades}) == 1


def events_of(trade: Trade) -> list[dict[str, Any]]:
    return [kept(event) for event in Event.objects.filter(trade_no=trade.trade_no).order_by("id")]


def full_order(world: World) -> OrderRequest:
    return world.order(
        return_url="https://app.example/done",
        detail={"b": 1, "a": [1.5, "é"]}, payer={"phone": "13800001234"}, client_ip="2001:db8::1",
        attach='x, {"y"}',
    )


def kept(record: models.Model) -> dict[str, Any]:
    """The columns that do not differ from one order to the next; times are only there or not."""
    values = {f.attname: getattr(record, f.attname) for f in record._meta.concrete_fields if f.attname not in UNLIKE}
    return {name: (value is not None if name.endswith(("_at", "_until")) else value) for name, value in values.items()}


def test_groups_with_the_same_rows_do_not_wait_for_each_other(
    committed_world: World, queued: list[int], in_threads: Threads
) -> None:
    app, expires_at = committed_world.app, timezone.now()

    def spend(place: int) -> int:
        won = 0
        for turn in range(40):
            names = [f"{turn}-{number}" for number in range(12)]
            nonces = [Nonce(app_id=app.pk, nonce=name, expires_at=expires_at) for name in names[:: 1 - 2 * (place % 2)]]
            won += sum(_store_nonces(nonces))
        return won

    assert sum(in_threads(spend, 4)) == 40 * 12, "each was spent once"


def test_a_process_that_dies_while_writing_for_others_answers_nobody(
    committed_world: World, queued: list[int], in_threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, real = committed_world, services.compiled.insert_rows

    def dies(records: Sequence[models.Model], **how: bool) -> set[int]:
        if records and isinstance(records[0], Event):
            raise SystemExit(1)
        return real(records, **how)

    monkeypatch.setattr(services.compiled, "insert_rows", dies)
    def pay(_place: int) -> Attempt | None:
        try:
            return trade_pay(app=world.app, order=world.order(), method="fake_qr")
        except SystemExit:
            return None

    answers = in_threads(pay, 12)
    answered = {a.trade.trade_no for a in answers if isinstance(a, Attempt)}
    assert queued
    assert None in answers
    assert set(Trade.objects.values_list("trade_no", flat=True)) == answered
