"""Fetching trades and attempts, for update in the global lock order: trade, then attempt."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from paycenter import compiled
from paycenter.transitions import lock
from trades.models import Attempt, Trade

# Not decrypted on every payment or refund; read when somebody asks for them.
RARELY_NEEDED = ("app__webhook_secret", "app__webhook_secret_previous")
_TRADE = compiled.Select(
    lambda pk: Trade.objects.select_for_update(of=("self",)).select_related("app", "merchant").defer(*RARELY_NEEDED)
    .filter(pk=pk),
    pk=int,
)  # fmt: skip
_TRADE_AND_CURRENT = compiled.Select(
    lambda pk: Trade.objects.select_for_update(of=("self",)).select_related("app", "merchant", "current_attempt")
    .defer(*RARELY_NEEDED).filter(pk=pk),
    pk=int,
)  # fmt: skip
# Of one attempt the trade is locked first.
_FREE = compiled.Select(
    lambda keys: Attempt.objects.select_for_update(of=("trade", "self"), skip_locked=True).select_related("trade")
    .filter(pk__in=compiled.among(keys)).order_by("trade_id", "pk"),
    keys=list,
)  # fmt: skip
_ITS_TRADE = compiled.Select(lambda pk: Attempt.objects.only("trade").filter(pk=pk), pk=int)
_LOADED = ("trade", "trade__app", "trade__merchant", "account")
_ATTEMPT = compiled.Select(lambda pk: _attempts().filter(pk=pk), pk=int)
# What booking a notification needs of an attempt before it is locked.
_NOTIFIED = (
    "attempt_no", "method", "channel", "channel_order_no", "order_day", "channel_trade_no", "amount", "currency",
    "trade__trade_no", "trade__app_order_no", "trade__app__app_id", "trade__app__notify_url",
    "trade__merchant__merchant_no", "account__channel", "account__config_version",
)  # fmt: skip
_NOTIFIED_BY_NUMBER = compiled.Select(
    lambda attempt_no, method: Attempt.objects.select_related(*_LOADED).only(*_NOTIFIED)
    .filter(attempt_no=attempt_no, method=method),
    attempt_no=str, method=str,
)  # fmt: skip
_BY_NUMBER = compiled.Select(
    lambda attempt_no, method: _attempts().filter(attempt_no=attempt_no, method=method), attempt_no=str, method=str
)


def _attempts() -> QuerySet[Attempt]:
    """Attempts with everything a channel call needs. The parameters are read when a provider is made of them."""
    unread = ("account__config", *(f"trade__{name}" for name in RARELY_NEEDED))
    return Attempt.objects.select_related(*_LOADED).defer(*unread)


def lock_trade(trade_id: int) -> Trade:
    """Lock a trade, with its app and merchant. Must run inside `atomic`; raises Trade.DoesNotExist."""
    return _TRADE.get(pk=trade_id)


def lock_trade_and_current(trade_id: int) -> Trade:
    """As `lock_trade`, with the current attempt, not locked."""
    return _TRADE_AND_CURRENT.get(pk=trade_id)


def lock_attempt(attempt_id: int, trade_id: int | None = None) -> tuple[Trade, Attempt]:
    """Lock an attempt and its trade in the global order. Must run inside `atomic`.

    `trade_id` is the attempt's trade, which never changes, where the caller knows it already.
    """
    trade = lock_trade(_ITS_TRADE.get(pk=attempt_id).trade_id if trade_id is None else trade_id)
    attempt = lock(Attempt, pk=attempt_id)
    attempt.trade = trade
    if trade.current_attempt_id == attempt.pk:
        trade.current_attempt = attempt
    return trade, attempt


def lock_attempts(attempts: Sequence[Attempt]) -> dict[int, tuple[Trade, Attempt]]:
    """As `lock_attempt`, for many attempts, by the attempt's key; those whose trade or own row somebody has locked are
    not among them. Must run inside `atomic` (PostgreSQL)."""
    known = {attempt.trade_id: attempt.trade for attempt in attempts}
    trades: dict[int, Trade] = {}
    found = {}
    for attempt in _FREE.rows(keys=[attempt.pk for attempt in attempts]):
        attempt.trade = trade = trades.setdefault(attempt.trade_id, attempt.trade)
        trade.app, trade.merchant = known[trade.pk].app, known[trade.pk].merchant
        if trade.current_attempt_id == attempt.pk:
            trade.current_attempt = attempt
        found[attempt.pk] = (trade, attempt)
    return found


def load_attempt(attempt_id: int) -> Attempt:
    """An attempt with everything a channel call needs, read afresh and not locked."""
    return _ATTEMPT.get(pk=attempt_id)


def find_attempt(attempt_no: str, method: str) -> Attempt | None:
    """The attempt of this number and method, loaded likewise; None when there is none."""
    return _BY_NUMBER.first(attempt_no=attempt_no, method=method)


def find_notified(attempt_no: str, method: str) -> Attempt | None:
    """The same, with what every notification needs; the rest is read where somebody asks for it."""
    return _NOTIFIED_BY_NUMBER.first(attempt_no=attempt_no, method=method)
