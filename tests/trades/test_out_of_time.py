"""Whoever's time is over before the channel could be called is told so, and the same call again goes on with it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from merchants.api.errors import ChannelShed, ChannelUnknown
from paycenter.combining import NotWritten
from tests import factories
from tests.conftest import World
from trades import services
from trades.models import Attempt, Trade


def test_an_order_that_could_not_be_written_in_time_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_first: Any, *, until: float) -> Any:
        raise NotWritten

    order = world.order()
    with monkeypatch.context() as patched:
        patched.setattr(services._firsts, "write", full)
        with pytest.raises(ChannelShed) as caught:
            factories.trade_pay(app=world.app, order=order, method="fake_qr")
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert not Trade.objects.exists()
    assert world.book.calls["pay"] == 0
    assert factories.trade_pay(app=world.app, order=order, method="fake_qr").pay


def test_an_order_written_too_late_is_not_sent_and_the_same_call_sends_it_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = world.order()
    with monkeypatch.context() as patched:
        patched.setattr(services, "gopay_deadline", lambda: time.monotonic() - 1)
        with pytest.raises(ChannelUnknown) as caught:
            factories.trade_pay(app=world.app, order=order, method="fake_qr")
    assert world.book.calls["pay"] == 0
    trade, attempt = Trade.objects.get(), Attempt.objects.get()
    assert caught.value.data["trade_no"] == trade.trade_no
    assert (attempt.state, attempt.in_flight_until) == ("unknown", None)
    again = factories.trade_pay(app=world.app, order=order, method="fake_qr")
    assert (again.pk, again.trade_id, world.book.calls["pay"]) == (attempt.pk, trade.pk, 1)
