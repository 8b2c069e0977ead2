"""The dashboards' sums the slow way: every record looked at, one by one."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from dashboards.models import SUMS, AppDay, ChannelDay, PaymentDay
from paycenter.models import Event
from paycenter.sequencer import sequence_events
from refunds.models import Refund
from trades.models import Attempt, Trade

Sums = dict[tuple[Any, ...], dict[str, int]]


def kept() -> Sums:
    """What stands in the sums of merchants, without what is zero."""
    keys = ("day", "merchant_id", "app_id", "account_id", "method", "currency")
    return _clean({tuple(row[k] for k in keys): {s: row[s] for s in SUMS} for row in PaymentDay.objects.values()})


def kept_by_app() -> Sums:
    keys = ("app_id", "day", "method", "currency")
    return _clean({tuple(row[k] for k in keys): {s: row[s] for s in SUMS} for row in AppDay.objects.values()})


def by_app(sums: Sums) -> Sums:
    found: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for (day, _merchant, app, _account, method, currency), values in sums.items():
        if app:
            found[app, day, method, currency].update(values)
    return _clean(found)


def kept_by_channel() -> Sums:
    keys = ("day", "channel", "method", "currency")
    return _clean({tuple(row[k] for k in keys): {s: row[s] for s in SUMS} for row in ChannelDay.objects.values()})


def counted() -> Sums:
    """What should stand there."""
    found: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for trade in Trade.objects.select_related("merchant", "settled_attempt"):
        _trade(found, trade)
    for attempt in Attempt.objects.select_related("trade__merchant"):
        _attempt(found, attempt)
    for refund in Refund.objects.filter(state="succeeded").select_related("merchant", "attempt"):
        key = _key(refund.finished_at, refund, refund.account_id, refund.attempt.method, refund.currency)
        found[key].update(refund_count=1, refund_amount=refund.amount)
    return _clean(found)


def by_channel(sums: Sums, channels: dict[int, str]) -> Sums:
    found: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for (day, _merchant, _app, account, method, currency), values in sums.items():
        found[day, channels.get(account, ""), method, currency].update(values)
    return _clean(found)


def numbered() -> None:
    while sequence_events():
        pass


def _trade(found: Any, trade: Trade) -> None:
    opened = _key(trade.created_at, trade, 0, "", trade.currency)
    first = Event.objects.get(type="trade.created", object_id=trade.pk)
    assert first.data is not None
    found[opened].update(created_count=1, created_amount=first.data["amount"])
    if trade.state == "closed":
        found[opened].update(closed_count=1, closed_amount=trade.amount)
    if trade.state == "paid":
        by = trade.settled_attempt
        assert by is not None
        key = _key(trade.paid_at, trade, by.account_id, by.method, trade.currency)
        found[key].update(paid_count=1, paid_amount=trade.paid_amount)


def _attempt(found: Any, attempt: Attempt) -> None:
    sums = found[_key(attempt.sent_at, attempt.trade, attempt.account_id, attempt.method, attempt.currency)]
    sums.update(asked_count=1, succeeded_count=int(attempt.state == "succeeded"))
    if attempt.error_code == "not_sent":
        return
    sums.update(failed_count=int(attempt.state == "failed"))
    events = Event.objects.filter(object_type="attempt", object_id=attempt.pk, from_state="created").order_by("id")
    for event in events:
        if event.to_state in ("submitted", "unknown", "failed"):
            took = event.created_at - attempt.sent_at
            ms, us = took.total_seconds() * 1000, round(took.total_seconds() * 1_000_000)
            sums.update(answer_count=1, answer_us=us, unknown_count=int(event.to_state == "unknown"))
            under = next((f"under_{b}" for b in (200, 500, 1000, 2000, 5000) if ms < b), None)
            if under:
                sums[under] += 1


def _key(at: datetime | None, of: Any, account_id: int, method: str, currency: str) -> tuple[Any, ...]:
    assert at is not None
    day: date = at.astimezone(ZoneInfo(of.merchant.timezone)).date()
    return day, of.merchant_id, of.app_id, account_id, method, currency


def _clean(sums: Any) -> Sums:
    shown = {key: {name: int(n) for name, n in values.items() if n} for key, values in sums.items()}
    return {key: values for key, values in shown.items() if values}
