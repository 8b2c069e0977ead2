"""Everything that happened to a trade, in one line of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext

from notifications.models import Delivery
from paycenter.models import Event, Exchange
from trades.models import Trade

LIMIT = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `kind` is `event`, `exchange` or `delivery`; payloads are masked already."""

    at: datetime
    kind: str
    title: str
    note: str = ""
    good: bool = True
    who: str = ""
    states: str = ""
    payloads: tuple[tuple[str, str], ...] = field(default=())


def timeline(trade: Trade, *, with_exchanges: bool = True, with_staff: bool = True) -> list[Entry]:
    """Events, exchanges and deliveries of a trade, oldest first; at most LIMIT of each, the newest.

    Three queries, however many there are. Tenants get neither exchanges nor the names of our staff.
    """
    entries = [*_events(trade, with_staff), *_deliveries(trade, with_staff)]
    if with_exchanges:
        entries += _exchanges(trade)
    return sorted(entries, key=lambda entry: entry.at)


def _events(trade: Trade, with_staff: bool) -> list[Entry]:
    rows = Event.objects.filter(trade_no=trade.trade_no).exclude(trade_no="").order_by("-id")[:LIMIT]
    return [
        Entry(
            at=e.created_at, kind="event", title=e.type, note=gettext(e.reason) if e.reason else "",
            who=e.actor if with_staff or not e.actor.startswith("staff:") else "staff",
            states=f"{e.from_state} → {e.to_state}" if e.from_state else e.to_state,
        )
        for e in rows
    ]  # fmt: skip


def _exchanges(trade: Trade) -> list[Entry]:
    # A request that was refused before it had a trade is known by the app's own number only.
    by_order = Q(trade_no="", app_order_no=trade.app_order_no, peer=f"app:{trade.app.app_id}")
    rows = Exchange.objects.filter(Q(trade_no=trade.trade_no) | by_order).order_by("-id")[:LIMIT]
    return [
        Entry(
            at=x.created_at, kind="exchange", title=f"{x.peer} · {x.operation}",
            good=not x.error and (x.status or 500) < 400,
            note=x.error or f"{x.method} {x.url} → {x.status} · {x.elapsed_ms} ms", who=x.direction,
            payloads=tuple((name, text) for name, text in (("request", x.request), ("response", x.response)) if text),
        )
        for x in rows
    ]  # fmt: skip


def _deliveries(trade: Trade, with_staff: bool) -> list[Entry]:
    rows = Delivery.objects.filter(notification__trade_no=trade.trade_no).exclude(notification__trade_no="")
    return [
        Entry(
            at=d.started_at, kind="delivery", title=d.notification.type, good=d.acknowledged,
            note=f"{d.notification.url} → {d.status or d.error} · {d.elapsed_ms} ms",
            who=d.by if with_staff or not d.by.startswith("staff:") else "staff",
            payloads=(("response", d.response),) if d.response else (),
        )
        for d in rows.select_related("notification").order_by("-id")[:LIMIT]
    ]  # fmt: skip


def counts(entries: list[Entry]) -> dict[str, Any]:
    """How many of each kind."""
    return {kind: sum(e.kind == kind for e in entries) for kind in ("event", "exchange", "delivery")}
