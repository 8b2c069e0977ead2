"""Searching the chain of events, newest first, at a cost that does not grow with the chain.

There is no counting: a page goes on from the last id it showed. What has an index (a record's number, a member of
staff) is asked for directly; everything else is looked through in windows of ids, a bounded number of them for each
page, and the page says how far back it looked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Q, QuerySet

from paycenter.models import OF_TRADES, Event
from paycenter.staff.lists import day_bounds, first_id
from paycenter.trail import KEY

PAGE = 50
WINDOW = 100_000  # ids looked through at a time
WINDOWS = 5  # at most, for one page
_STAFF = "staff:"
# Ids are given when a row is written, times when the act began; this much they may be out of step.
_SLACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Records:
    """What a number names: trades by number, and other records as (type, id)."""

    trade_nos: frozenset[str] = frozenset()
    keys: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Search:
    """Empty parts do not matter. `everybody` looks at what apps, channels and the center did, too."""

    actor: str = ""
    records: Records | None = None
    kind: str = ""
    address: str = ""
    first: date | None = None
    last: date | None = None
    everybody: bool = False

    @property
    def staff_only(self) -> bool:
        return bool(self.address) or (self.records is None and not self.everybody and not self.actor)


@dataclass(frozen=True, slots=True)
class Page:
    """`older` is where the next page goes on, None at the end; `looked_back` until when nothing more was found."""

    events: list[Event]
    older: int | None
    looked_back: datetime | None = None


def page(search: Search, before: int | None = None, size: int = PAGE) -> Page:
    """The newest events that match and have an id below `before`."""
    rows, low, high = _bounded(search, before)
    if _is_direct(search):
        found = list(rows.filter(pk__gte=low, pk__lt=high).order_by("-id")[: size + 1])
        return Page(found[:size], found[size - 1].pk if len(found) > size else None)
    found, at = [], high
    for window_low, window_high in _windows(low, high):
        at = window_low
        found += rows.filter(pk__gte=window_low, pk__lt=window_high).order_by("-id")[: size + 1 - len(found)]
        if len(found) > size:
            return Page(found[:size], found[size - 1].pk)
    return Page(found, at if at > low else None, _time_of(at) if at > low else None)


def everything(search: Search) -> QuerySet[Event]:
    """All that match, newest first, for an export."""
    rows, low, high = _bounded(search, None)
    return rows.filter(pk__gte=low, pk__lt=high).order_by("-id")


def _is_direct(search: Search) -> bool:
    """Whether an index leads to the few rows that can match."""
    return search.records is not None or search.actor.startswith(_STAFF)


def _bounded(search: Search, before: int | None) -> tuple[QuerySet[Event], int, int]:
    """The rows, and the ids between which they lie: [low, high)."""
    rows = Event.objects.filter(_condition(search))
    start, end = day_bounds(search.first, search.last)
    low, high = 1, (_last_id() + 1) if before is None else before
    if start is not None:
        rows, low = rows.filter(created_at__gte=start), first_id(Event, "created_at", start - _SLACK)
    if end is not None:
        rows, high = rows.filter(created_at__lt=end), min(high, first_id(Event, "created_at", end + _SLACK))
    return rows, low, high


def _condition(search: Search) -> Q:
    wanted = Q()
    if search.records is not None:
        wanted &= _records(search.records)
    if search.actor:
        wanted &= Q(actor=search.actor)
    if search.staff_only or search.actor.startswith(_STAFF):
        wanted &= Q(actor__startswith=_STAFF)  # as the partial indexes say it
    if search.kind:
        wanted &= Q(type=search.kind)
    if search.address:
        wanted &= Q(**{f"detail__{KEY}__address": search.address})
    return wanted


def _records(records: Records) -> Q:
    wanted = Q(pk__in=[])
    if records.trade_nos:
        wanted |= Q(trade_no__in=records.trade_nos) & ~Q(trade_no="")
    for kind, key in records.keys:
        # As the index says it: the others have numbers.
        wanted |= Q(object_type=kind, object_id=key) & ~Q(object_type__in=OF_TRADES)
    return wanted


def _windows(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Windows of ids from the newest down, without those in which there is no event at all."""
    for _number in range(WINDOWS):
        last = Event.objects.filter(pk__lt=high, pk__gte=low).order_by("-id").values_list("pk", flat=True).first()
        if last is None:
            return
        begin = max(low, last + 1 - WINDOW)
        yield begin, last + 1
        high = begin


def _last_id() -> int:
    return Event.objects.order_by("-id").values_list("pk", flat=True).first() or 0


def _time_of(key: int) -> datetime | None:
    return Event.objects.filter(pk__gte=key).order_by("id").values_list("created_at", flat=True).first()
