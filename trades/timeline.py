"""Everything that happened to a trade, in one line of time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notifications.models import Delivery
from paycenter.models import Event, Exchange
from paycenter.partitions.catalogue import SLACK
from paycenter.staff.display import money
from paycenter.staff.reasons import reason_word
from paycenter.staff.words import actor_word, event_word, operation_word, party, states_words
from trades.models import AbnormalPayment, Trade

LIMIT = 300
_REFUSED = timedelta(days=31)  # so long before a trade its order may have been refused
PAGE = 100
# What can be chosen to be shown alone; the first three are events.
KINDS = {
    "payment": _("Payment"), "refund": _("Refunds and abnormal money"), "staff": _("Staff"),
    "delivery": _("Messages to the app"), "exchange": _("Requests"), "bill": _("Bills and settlement"),
}  # fmt: skip
_EVENTS = {
    "payment": Q(object_type__in=("trade", "attempt", "cashierorder")),
    "refund": Q(object_type__in=("refund", "abnormalpayment")), "staff": Q(actor__startswith="staff:"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, in the reader's words. `kind` is `event`, `exchange`, `delivery` or `bill`; payloads
    are masked already. `sums` are amounts as they stood afterwards: (word, money)."""

    at: datetime
    kind: str
    title: str
    note: str = ""
    good: bool = True
    who: str = ""
    states: str = ""
    payloads: tuple[tuple[str, str], ...] = field(default=())
    sums: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Line:
    """A page of a timeline, oldest first. `earlier` is where the page before it ends, empty on the first one; `kinds`
    are (code, word, whether it is chosen)."""

    entries: list[Entry]
    earlier: str
    kinds: list[tuple[str, Any, bool]]
    later: bool = False


Teller = Callable[[Trade], Iterable[Entry]]
_tellers: list[Teller] = []


def tells_of_trades(function: Teller) -> Teller:
    """Register what adds entries to a trade's timeline: a function of the trade, for everybody who may see it."""
    _tellers.append(function)
    return function


def timeline(trade: Trade, *, with_exchanges: bool = True, with_staff: bool = True) -> list[Entry]:
    """The newest page of everything about a trade."""
    return timeline_page(trade, with_exchanges=with_exchanges, with_staff=with_staff).entries


def timeline_page(
    trade: Trade, *, with_exchanges: bool = True, with_staff: bool = True, kind: str = "", before: str = ""
) -> Line:
    """Events, exchanges and deliveries of a trade and what other apps tell of it, before the moment `before` (ISO) and
    of one of KINDS where that is chosen; some PAGE of them.

    Three queries and those of the others, however many there are. Tenants get neither exchanges nor the names of our
    staff.
    """
    moment = _moment(before)
    shown = [code for code in KINDS if with_exchanges or code != "exchange"]
    wanted = {kind} if kind in shown else set(shown)
    entries: list[Entry] = []
    if wanted & _EVENTS.keys():
        entries += _events(trade, with_staff, moment, _EVENTS.get(kind, Q()))
    if "delivery" in wanted:
        entries += _deliveries(trade, with_staff, moment)
    if "exchange" in wanted:
        entries += _exchanges(trade, moment)
    if "bill" in wanted:
        told = [entry for tell in _tellers for entry in tell(trade)]
        entries += [entry for entry in told if moment is None or entry.at < moment]
    entries.sort(key=lambda entry: entry.at)
    kept, earlier = _last_page(entries)
    return Line(kept, earlier, [(code, KINDS[code], code == kind) for code in shown], moment is not None)


def _moment(text: str) -> datetime | None:
    try:
        found = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _last_page(entries: list[Entry]) -> tuple[list[Entry], str]:
    """The newest PAGE and whatever is of the same moment as the oldest of them; where it begins, if there is more."""
    if len(entries) <= PAGE:
        return entries, ""
    first = entries[-PAGE].at
    kept = [entry for entry in entries if entry.at >= first]
    return kept, first.isoformat() if len(kept) < len(entries) else ""


def _newest(rows: QuerySet[Any], column: str, moment: datetime | None) -> list[Any]:
    """The newest LIMIT before the moment, oldest first: what has one and the same time stays in the order it was
    written in."""
    earlier = rows.filter(**{f"{column}__lt": moment}) if moment is not None else rows
    return list(earlier.order_by("-id")[:LIMIT])[::-1]


def _events(trade: Trade, with_staff: bool, moment: datetime | None, wanted: Q) -> list[Entry]:
    rows = Event.objects.filter(wanted, trade_no=trade.trade_no).exclude(trade_no="")
    return event_entries(_newest(rows, "created_at", moment), with_staff)


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
            states=states_words(e.from_state, e.to_state, e.object_type), sums=_sums_after(e), payloads=_record(e),
        )
        for e in rows
    ]  # fmt: skip


_SUMS = {"paid_amount": _("paid"), "refunding_amount": _("refunding"), "refunded_amount": _("refunded")}


def _sums_after(event: Event) -> tuple[tuple[str, str], ...]:
    """The amounts that the step left: a trade's sums, a refund's amount, what arrived."""
    data: Any = event.data or event.detail or {}
    currency, amount = data.get("currency"), data.get("amount")
    if not isinstance(currency, str) or not isinstance(amount, int):
        return ()
    found = [(str(_("amount")), amount)]
    found += [(str(word), data[name]) for name, word in _SUMS.items() if isinstance(data.get(name), int) and data[name]]
    return tuple((word, money(value, currency)) for word, value in found)


def _record(event: Event) -> tuple[tuple[str, str], ...]:
    """The public record after the step, as the app's query answered from then on."""
    return (("record", json.dumps(event.data, ensure_ascii=False, indent=2)),) if event.data else ()


def _exchanges(trade: Trade, moment: datetime | None) -> list[Entry]:
    # A request that was refused before it had a trade is known by the app's own number only.
    by_order = Q(trade_no="", app_order_no=trade.app_order_no, peer=f"app:{trade.app.app_id}")
    rows = Exchange.objects.filter(Q(trade_no=trade.trade_no) | by_order, created_at__gte=trade.created_at - _REFUSED)
    return exchange_entries(_newest(rows, "created_at", moment))


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


def _deliveries(trade: Trade, with_staff: bool, moment: datetime | None) -> list[Entry]:
    rows = Delivery.objects.filter(notification__trade_no=trade.trade_no).exclude(notification__trade_no="")
    rows = rows.filter(started_at__gte=trade.created_at - SLACK).select_related("notification")
    return delivery_entries(_newest(rows, "started_at", moment), with_staff)


def delivery_entries(rows: Iterable[Delivery], with_staff: bool) -> list[Entry]:
    """Tries at telling the app, as the timeline shows them. The rows come with their notification."""
    return [
        Entry(
            at=d.started_at, kind="delivery", good=d.acknowledged, who=actor_word(d.by, with_staff=with_staff),
            title=gettext("Told the app: %(what)s") % {"what": event_word(d.notification.type)},
            note=f"{d.notification.url} → {d.status or reason_word(d.error)} · {d.elapsed_ms} ms",
            payloads=tuple(pair for pair in (("message", d.notification.body), ("response", d.response)) if pair[1]),
        )
        for d in rows
    ]  # fmt: skip
