"""Closing many expired trades at once: those that no attempt can bring money to any more."""

from __future__ import annotations

from datetime import datetime

from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from merchants.models import App, Merchant
from trades.closing import closing_reason
from trades.models import Attempt, Trade
from trades.states import LIVE_ATTEMPT_STATES, OPEN_TRADE_STATES
from trades.telling import trades_close_together

TOGETHER = 1000  # rows locked in one transaction
_ROUNDS = 20  # the rest is left to the next tick


def trades_close_idle() -> int:
    """Close due trades without a live attempt; how many."""
    done = 0
    for _ in range(_ROUNDS):
        found, closed = _close_some()
        done += closed
        if found < TOGETHER:
            break
    return done


@transaction.atomic
def _close_some() -> tuple[int, int]:
    """How many were found, and how many of them closed."""
    now = timezone.now()
    trades = list(_due(now)[:TOGETHER])
    # Asked again under the locks: an attempt may have begun between finding a trade and locking it.
    alive = set(_live_attempts().filter(trade__in=trades).values_list("trade_id", flat=True)) if trades else set()
    idle = [trade for trade in trades if trade.pk not in alive]
    _load(idle)
    if idle:
        trades_close_together(idle, actor="system:expiry", reason_of=closing_reason)
    return len(trades), len(idle)


def _due(now: datetime) -> models.QuerySet[Trade]:
    over = Q(expire_at__lte=now) | Q(close_requested_at__isnull=False)
    live = Exists(_live_attempts().filter(trade=OuterRef("pk")))
    return (
        Trade.objects.select_for_update(skip_locked=True, of=("self",)).defer("payer")
        .filter(over, ~live, next_close_at__lte=now, state__in=OPEN_TRADE_STATES).order_by("next_close_at")
    )  # fmt: skip


def _live_attempts() -> models.QuerySet[Attempt]:
    return Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES)


def _load(trades: list[Trade]) -> None:
    """Each app and merchant once, and the attempts of those that have any."""
    apps = App.objects.defer("webhook_secret", "webhook_secret_previous").in_bulk({trade.app_id for trade in trades})
    merchants = Merchant.objects.in_bulk({trade.merchant_id for trade in trades})
    attempts = Attempt.objects.in_bulk({trade.current_attempt_id for trade in trades} - {None})
    for trade in trades:
        trade.app, trade.merchant = apps[trade.app_id], merchants[trade.merchant_id]
        if trade.current_attempt_id is not None:
            trade.current_attempt = attempts[trade.current_attempt_id]
