"""Many expired trades are closed together, and look as if each had been closed alone."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, models, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from notifications.models import Notification
from paycenter.models import Event
from paycenter.times import iso
from tests import factories
from tests.conftest import World
from trades import closing_idle
from trades.closing import trade_finish
from trades.models import Attempt, Trade
from trades.selectors import trade_data
from trades.services import trade_open, trade_pay
from trades.sweeps import close_due

OWN = ("id", "created_at", "object_id", "trade_no", "data", "webhook_id", "body", "next_delivery_at")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
ADDRESSES = st.sampled_from(["", "https://App.example/n", "http://127.0.0.1:9/é?a=%41"])
DETAILS = st.none() | st.dictionaries(TEXT, TEXT | st.integers() | st.floats(-1e6, 1e6))
STORED = st.fixed_dictionaries({
    "business_no": TEXT, "subject": TEXT, "attach": st.none() | TEXT, "detail": DETAILS, "notify_url": ADDRESSES,
    "amount": st.integers(1, 10**11), "currency": st.sampled_from(["CNY", "JPY", "KWD"]), "created_at": MOMENTS,
    "funding": st.none() | TEXT, "external_refunded": st.integers(0, 9), "version": st.integers(1, 10**6),
    "close_requested_at": st.none() | MOMENTS,
})  # fmt: skip
TRIED = st.none() | st.fixed_dictionaries({
    "state": st.sampled_from(["failed", "closed"]), "funding": st.none() | TEXT,
})  # fmt: skip
TOLD = st.lists(st.none() | MOMENTS, max_size=2)
postgresql_only = pytest.mark.skipif("sqlite" in connection.vendor, reason="SQLite closes one by one")


def stored(world: World, values: dict[str, Any], tried: dict[str, Any] | None, told: list[Any]) -> Trade:
    """An expired trade as given, perhaps tried in vain, and then perhaps told of before."""
    order = world.order()
    trade = trade_open(app=world.app, order=order)
    if tried is not None:
        attempt = trade_pay(app=world.app, order=order, method="fake_qr")
        Attempt.objects.filter(pk=attempt.pk).update(**tried, channel_trade_no=f'"{attempt.pk}')
    for at, delivered_at in enumerate(told if tried is not None else []):
        Notification.objects.create(
            webhook_id=f"msg_{trade.pk}_{at}", app=world.app, type="x", url="x", body="", trade_no=trade.trade_no,
            state="delivered" if delivered_at else "given_up", created_at=trade.created_at, delivered_at=delivered_at,
        )  # fmt: skip
    Trade.objects.filter(pk=trade.pk).update(**values)
    factories.expire(trade)
    return trade


def written(trade: Trade) -> tuple[dict[str, Any], ...]:
    """What its closing wrote, without what no two trades have in common."""
    closed = Trade.objects.get(pk=trade.pk)
    event = Event.objects.get(trade_no=trade.trade_no, type="trade.closed")
    messages = Notification.objects.filter(trade_no=trade.trade_no, type="trade.closed")
    assert event.data == trade_data(closed)
    assert closed.closed_at is not None
    for one in messages:
        assert re.fullmatch("msg_[0-9a-f]{32}", one.webhook_id)
        said = {"id": one.webhook_id, "type": one.type, "created_at": iso(one.created_at), "data": trade_data(closed)}
        assert one.body == json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        assert one.created_at == one.next_delivery_at
    state = {"state": closed.state, "version": closed.version, "next_close_at": closed.next_close_at}
    return state, *(common(row) for row in (event, *messages))


def common(row: models.Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in OWN}


@postgresql_only
@settings(max_examples=15, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(values=STORED, tried=TRIED, told=TOLD, address=ADDRESSES)
def test_closed_together_is_as_closed_alone(
    world: World, values: dict[str, Any], tried: dict[str, Any] | None, told: list[Any], address: str
) -> None:
    with transaction.atomic():
        type(world.app).objects.update(notify_url=address)
        alone, together = stored(world, values, tried, told), stored(world, values, tried, told)
        trade_finish(trade_id=alone.pk, actor="system:expiry")
        assert closing_idle.trades_close_idle() == 1
        assert written(together) == written(alone)
        transaction.set_rollback(True)


@postgresql_only
def test_what_changed_since_the_trades_were_found_leaves_them_open(world: World) -> None:
    idle, tried = stored(world, {}, None, []), trade_pay(app=world.app, order=world.order(), method="fake_qr").trade
    found = f"{{{idle.pk},{tried.pk}}}", "{waiting,waiting}"
    # No address is that of the app any more.
    assert closing_idle._close(*found, ["http://127.0.0.1:9/before"], ["CNY"]) == 0
    assert factories.fresh(idle).state == "waiting"
    assert closing_idle._close(*found, [world.app.notify_url], ["CNY"]) == 1  # an attempt of the other has begun
    assert (factories.fresh(idle).state, factories.fresh(tried).state) == ("closed", "paying")


@pytest.mark.parametrize("address", ["", "https://app.example/n"])
def test_every_expired_trade_is_closed_and_told_of(world: World, address: str) -> None:
    type(world.app).objects.update(notify_url=address)
    trades = [stored(world, {}, None, []) for _ in range(2)]
    assert close_due() == 2
    for trade in trades:
        state, _event, *messages = written(trade)
        assert state == {"state": "closed", "version": 2, "next_close_at": None}
        assert [one["url"] for one in messages] == [address] * bool(address)


def test_a_trade_with_a_live_attempt_asks_its_channel(world: World) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    factories.expire(attempt.trade)
    world.book.pay(attempt.attempt_no)
    idle = stored(world, {}, None, [])
    close_due()
    assert (factories.fresh(attempt.trade).state, factories.fresh(idle).state) == ("paid", "closed")


def test_what_is_not_expired_stays_open(world: World) -> None:
    trade = trade_open(app=world.app, order=world.order())
    assert close_due() == 0
    assert factories.fresh(trade).state == "waiting"
