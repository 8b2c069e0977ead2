"""What one numbered event adds to which day: the definition of every sum, as changes.

`dashboards.counting` says the same as counts of rows; the tests hold both against each other. A change is read from
the event's own words and from columns that never change afterwards, so that folding late or in other portions gives
the same sums.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Case, Model, Q, When

from dashboards.models import ANSWER_BOUNDS
from merchants.zones import merchant_zones
from paycenter.fields import NumberIn
from paycenter.models import Event
from refunds.models import Refund
from refunds.states import RefundState
from trades.models import Attempt, Trade
from trades.states import AttemptState, TradeState
from trades.switching import NOT_SENT

# The first outcome of an attempt is one of these, straight from `created`.
ANSWERS = (AttemptState.SUBMITTED, AttemptState.UNKNOWN, AttemptState.FAILED)


class Key(NamedTuple):
    """Whose day. Zero and empty: concerns none (`dashboards.models`)."""

    day: date
    merchant_id: int
    app_id: int
    account_id: int
    method: str
    currency: str


Deltas = dict[Key, Counter[str]]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """An event's columns that count. `amount` is what the public record of an opened trade names."""

    seq: int | None
    object_type: str
    object_id: int
    from_state: str
    to_state: str
    created_at: datetime
    type: str
    amount: int | None


_COLUMNS = ("seq", "object_type", "object_id", "from_state", "to_state", "created_at", "type")
_OPENED = "trade.created"
_ASKED = Case(When(type=_OPENED, then=NumberIn("data", "amount")))


def changes_of(events: Any) -> list[Change]:
    """The changes a queryset of events tells, in its order."""
    return [Change(*values) for values in events.values_list(*_COLUMNS, _ASKED)]


def fold(changes: Sequence[Change]) -> Deltas:
    """What these changes add, by whose day it is; in four queries at most."""
    found: Deltas = defaultdict(Counter)
    zones = None
    for kind, (model, columns, parts) in _KINDS.items():
        ours = [change for change in changes if change.object_type == kind and _counts(change)]
        rows = _rows(model, columns, {change.object_id for change in ours})
        if rows and zones is None:
            zones = merchant_zones()
        for change in ours:
            for key, name, number in parts(change, rows[change.object_id], zones or {}):
                found[key][name] += number
    return found


def _counts(change: Change) -> bool:
    return bool(change.to_state) and change.from_state != change.to_state


def _rows(model: type[Model], columns: Sequence[str], ids: Iterable[int]) -> dict[int, Row]:
    wanted = set(ids)
    if not wanted:
        return {}
    return {row["pk"]: row for row in model._default_manager.filter(pk__in=wanted).values("pk", *columns)}


Part = tuple[Key, str, int]


def _trade(change: Change, row: Row, zones: Mapping[int, ZoneInfo]) -> Iterable[Part]:
    zone = zones[row["merchant_id"]]
    opened = Key(_day(row["created_at"], zone), row["merchant_id"], row["app_id"], 0, "", row["currency"])
    if change.type == _OPENED:
        yield opened, "created_count", 1
        yield opened, "created_amount", row["amount"] if change.amount is None else change.amount
        return
    closed = (change.to_state == TradeState.CLOSED) - (change.from_state == TradeState.CLOSED)
    if closed:
        yield opened, "closed_count", closed
        yield opened, "closed_amount", closed * row["amount"]
    if change.to_state == TradeState.PAID:
        paid = opened._replace(
            day=_day(row["paid_at"], zone), account_id=row["settled_attempt__account_id"],
            method=row["settled_attempt__method"],
        )  # fmt: skip
        yield paid, "paid_count", 1
        yield paid, "paid_amount", row["paid_amount"]


def _attempt(change: Change, row: Row, zones: Mapping[int, ZoneInfo]) -> Iterable[Part]:
    merchant_id = row["trade__merchant_id"]
    key = Key(
        _day(row["sent_at"], zones[merchant_id]), merchant_id, row["trade__app_id"], row["account_id"], row["method"],
        row["currency"],
    )  # fmt: skip
    if change.type == "attempt.created":
        yield key, "asked_count", 1
        return
    if change.to_state == AttemptState.SUCCEEDED:
        yield key, "succeeded_count", 1
    if row["error_code"] == NOT_SENT:
        return
    failed = (change.to_state == AttemptState.FAILED) - (change.from_state == AttemptState.FAILED)
    if failed:
        yield key, "failed_count", failed
    if change.from_state == AttemptState.CREATED and change.to_state in ANSWERS:
        yield from _answer(key, change, row)


def _answer(key: Key, change: Change, row: Row) -> Iterable[Part]:
    took = change.created_at - row["sent_at"]
    if change.to_state == AttemptState.UNKNOWN:
        yield key, "unknown_count", 1
    yield key, "answer_count", 1
    yield key, "answer_us", took // timedelta(microseconds=1)
    for bound in ANSWER_BOUNDS:
        if took < timedelta(milliseconds=bound):
            yield key, f"under_{bound}", 1
            return


def _refund(change: Change, row: Row, zones: Mapping[int, ZoneInfo]) -> Iterable[Part]:
    if change.to_state != RefundState.SUCCEEDED:
        return
    key = Key(
        _day(row["finished_at"], zones[row["merchant_id"]]), row["merchant_id"], row["app_id"], row["account_id"],
        row["attempt__method"], row["currency"],
    )  # fmt: skip
    yield key, "refund_count", 1
    yield key, "refund_amount", row["amount"]


def _day(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


_KINDS: Mapping[str, tuple[type[Model], Sequence[str], Callable[..., Iterable[Part]]]] = {
    "trade": (
        Trade,
        ("merchant_id", "app_id", "currency", "amount", "created_at", "paid_at", "paid_amount",
         "settled_attempt__account_id", "settled_attempt__method"),
        _trade,
    ),
    "attempt": (
        Attempt,
        ("trade__merchant_id", "trade__app_id", "account_id", "method", "currency", "sent_at", "error_code"),
        _attempt,
    ),
    "refund": (
        Refund,
        ("merchant_id", "app_id", "account_id", "attempt__method", "currency", "amount", "finished_at"),
        _refund,
    ),
}  # fmt: skip
COUNTED = tuple(_KINDS)


def unfolded(seq: int) -> Any:
    """Events after number `seq`, those without a number yet among them."""
    return Event.objects.filter(Q(seq__gt=seq) | Q(seq__isnull=True), object_type__in=COUNTED)
