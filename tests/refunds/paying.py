"""Money that arrived, for tests of giving it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from refunds.models import Refund
from refunds.sweeps import query_due, send_due
from tests.conftest import World
from trades.confirm import MoneyArrived, payment_confirm
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_pay


def confirm(attempt: Attempt, world: World, **values: Any) -> None:
    """The payer pays at the channel, and the center hears of it."""
    payment = world.book.pay(attempt.attempt_no, **values)
    money = MoneyArrived(amount=payment.amount, channel_trade_no=payment.channel_trade_no)
    payment_confirm(attempt_id=attempt.pk, money=money, actor="test")


def paid_trade(world: World, amount: int, **order: Any) -> Trade:
    attempt = trade_pay(app=world.app, order=world.order(amount=amount, **order), method="fake_qr")
    confirm(attempt, world)
    return Trade.objects.get(pk=attempt.trade_id)


def paid_twice(world: World, amount: int) -> tuple[Trade, AbnormalPayment]:
    """A trade paid through one attempt, and once more through another."""
    order = world.order(amount=amount)
    first = trade_pay(app=world.app, order=order, method="fake_page")
    second = trade_pay(app=world.app, order=order, method="fake_qr")
    confirm(second, world)
    confirm(first, world)
    trade = Trade.objects.get(pk=first.trade_id)
    return trade, AbnormalPayment.objects.get(trade=trade)


def due_now() -> None:
    """Whatever waits for its time is due."""
    now = timezone.now()
    Refund.objects.filter(next_send_at__isnull=False).update(next_send_at=now)
    Refund.objects.filter(next_query_at__isnull=False).update(next_query_at=now)
    long_ago = now - timedelta(minutes=5)
    Refund.objects.filter(last_sent_at__gt=long_ago).update(last_sent_at=long_ago)


def sweep(times: int = 1) -> None:
    """Send and ask about everything, whatever its time."""
    for _ in range(times):
        due_now()
        send_due()
        query_due()
