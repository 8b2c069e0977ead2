"""Everything that happened to a trade, in one line of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext

from notifications.models import Delivery
from paycenter.models import Event, Exchange
from paycenter.staff.reasons import reason_word
from paycenter.staff.words import actor_word, event_word, operation_word, party, states_words
from trades.models import AbnormalPayment, Trade

LIMIT = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, in the reader's words. `kind` is `event`, `exchange`, `delivery` or `bill`; payloads
    are masked already."""

    at: datetime
    kind: str
    title: str
    note: str = ""
    good: bool = True
    who: str = ""
    states: str = ""
    payloads: tuple[tuple[str, str], ...] = field(default=())


Teller = Callable[[Trade], Iterable[Entry]]
_tellers: list[Teller] = []


def tells_of_trades(function: Teller) -> Teller:
    """Register what adds entries to a trade's timeline: a function of the trade, for everybody who may see it."""
    _tellers.append(function)
    return function


def timeline(trade: Trade, *, with_exchanges: bool = True, with_staff: bool = True) -> list[Entry]:
    """Events, exchanges and deliveries of a trade and what other apps tell of it, oldest first; at most LIMIT of
    each, the newest.

    Three queries and those of the others, however many there are. Tenants get neither exchanges nor the names of our
    staff.
    """
    entries = [*_events(trade, with_staff), *_deliveries(trade, with_staff)]
    entries += [entry for tell in _tellers for entry in tell(trade)]
    if with_exchanges:
        entries += _exchanges(trade)
    return sorted(entries, key=lambda entry: entry.at)


def _events(trade: Trade, with_staff: bool) -> list[Entry]:
    rows = Event.objects.filter(trade_no=trade.trade_no).exclude(trade_no="").order_by("-id")[:LIMIT]
    return event_entries(rows, with_staff)


def money_timeline(abnormal: AbnormalPayment, *, with_staff: bool = True) -> list[Entry]:
    """What happened to one abnormal payment, its attempt and its refunds, oldest first; the newest LIMIT."""
    rows = Event.objects.filter(trade_no=abnormal.trade.trade_no, attempt_no=abnormal.attempt.attempt_no)
    return event_entries(reversed(rows.order_by("-id")[:LIMIT]), with_staff)


def event_entries(rows: Iterable[Event], with_staff: bool) -> list[Entry]:
    """Events as the timeline shows them."""
    return [
        Entry(
            at=e.created_at, kind="event", title=event_word(e.type), note=reason_word(e.reason),
            who=actor_word(e.actor, with_staff=with_staff),
            states=states_words(e.from_state, e.to_state, e.object_type),
        )
        for e in rows
    ]  # fmt: skip


def _exchanges(trade: Trade) -> list[Entry]:
    # A request that was refused before it had a trade is known by the app's own number only.
    by_order = Q(trade_no="", app_order_no=trade.app_order_no, peer=f"app:{trade.app.app_id}")
    rows = Exchange.objects.filter(Q(trade_no=trade.trade_no) | by_order).order_by("-id")[:LIMIT]
    return exchange_entries(rows)


def exchange_entries(rows: Iterable[Exchange]) -> list[Entry]:
    """Requests and answers as the timeline shows them; they were masked when they were written."""
    return [
        Entry(
            at=x.created_at, kind="exchange", title=f"{party(x.peer)} · {operation_word(x.operation)}",
            good=not x.error and (x.status or 500) < 400,
            who=gettext("sent") if x.direction == "out" else gettext("received"),
            note=reason_word(x.error) or f"{x.method} {x.url.partition('?')[0]} → {x.status} · {x.elapsed_ms} ms",
            payloads=tuple((name, text) for name, text in (("request", x.request), ("response", x.response)) if text),
        )
        for x in rows
    ]  # fmt: skip


def _deliveries(trade: Trade, with_staff: bool) -> list[Entry]:
    rows = Delivery.objects.filter(notification__trade_no=trade.trade_no).exclude(notification__trade_no="")
    return delivery_entries(rows.select_related("notification").order_by("-id")[:LIMIT], with_staff)


def delivery_entries(rows: Iterable[Delivery], with_staff: bool) -> list[Entry]:
    """Tries at telling the app, as the timeline shows them. The rows come with their notification."""
    return [
        Entry(
            at=d.started_at, kind="delivery", good=d.acknowledged, who=actor_word(d.by, with_staff=with_staff),
            title=gettext("Told the app: %(what)s") % {"what": event_word(d.notification.type)},
            note=f"{d.notification.url} → {d.status or reason_word(d.error)} · {d.elapsed_ms} ms",
            payloads=(("response", d.response),) if d.response else (),
        )
        for d in rows
    ]  # fmt: skip


def counts(entries: list[Entry]) -> dict[str, Any]:
    """How many of each kind."""
    return {kind: sum(e.kind == kind for e in entries) for kind in ("event", "exchange", "delivery")}
