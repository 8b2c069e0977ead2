"""Many expired trades are closed together, and look as if each had been closed alone."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.models import Notification
from paycenter.models import Event
from tests import factories
from tests.conftest import World
from trades.closing import trade_finish
from trades.models import Trade
from trades.services import trade_open, trade_pay
from trades.sweeps import close_due

VARYING = ("trade_no", "app_order_no", "created_at", "expire_at", "closed_at")


def expired(world: World, **order: Any) -> Trade:
    trade = trade_open(app=world.app, order=world.order(**order))
    factories.expire(trade)
    return trade


def event_of(trade: Trade) -> dict[str, Any]:
    event = Event.objects.values().get(trade_no=trade.trade_no, type="trade.closed")
    data = {name: value for name, value in event["data"].items() if name not in VARYING}
    unlike = ("id", "created_at", "object_id", "trade_no", "data")
    return {**{name: value for name, value in event.items() if name not in unlike}, "data": data}


def told_of(trade: Trade) -> tuple[str, str, int]:
    message = Notification.objects.get(trade_no=trade.trade_no)
    return message.type, message.url, message.tries


@pytest.mark.parametrize("order", [{}, {"notify_url": "https://app.example/n", "detail": {"b": 1.50, "a": [1]}}])
def test_closed_together_is_as_closed_alone(world: World, order: dict[str, Any]) -> None:
    alone, together = expired(world, **order), expired(world, **order)
    trade_finish(trade_id=alone.pk, actor="system:expiry")
    assert close_due() == 1
    one, other = Trade.objects.get(pk=alone.pk), Trade.objects.get(pk=together.pk)
    assert (other.state, other.version, other.next_close_at) == (one.state, one.version, None) == ("closed", 2, None)
    assert other.closed_at is not None
    assert event_of(together) == event_of(alone)
    if order:
        assert told_of(together) == told_of(alone) == ("trade.closed", "https://app.example/n", 0)


def test_a_trade_with_a_live_attempt_asks_its_channel(world: World) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    factories.expire(attempt.trade)
    world.book.pay(attempt.attempt_no)
    idle = expired(world)
    close_due()
    assert (factories.fresh(attempt.trade).state, factories.fresh(idle).state) == ("paid", "closed")


def test_what_is_not_expired_stays_open(world: World) -> None:
    trade = trade_open(app=world.app, order=world.order())
    assert close_due() == 0
    assert factories.fresh(trade).state == "waiting"
