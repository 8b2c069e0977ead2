"""The sums of one day counted from the rows themselves: what `dashboards.folding` adds up event by event.

Our numbers carry the time they were given, so a day's trades and attempts are found by their unique index.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import (
    BigIntegerField,
    CharField,
    Count,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce

from dashboards.folding import ANSWERS, Deltas, Key
from dashboards.models import ANSWER_BOUNDS
from merchants.models import Merchant
from merchants.zones import zone_named
from paycenter.models import Event
from paycenter.staff.lists import number_bound
from reconciliation.models import ReconciliationDay
from refunds.models import Refund
from refunds.states import RefundState
from trades.models import Attempt, Trade
from trades.states import AttemptState, TradeState
from trades.switching import NOT_SENT

# How long a first answer may take: a day that ends earlier than that before the oldest event has none to be looked for.
_ANSWERED_WITHIN = timedelta(days=1)
# How far a record's own time may lie from the time in its number.
_LEEWAY = timedelta(minutes=10)
_SENT = ~Q(error_code=NOT_SENT)


@dataclass(frozen=True, slots=True)
class _Day:
    """A day of the merchants of one time zone, half-open."""

    day: date
    merchants: list[int]
    start: datetime
    end: datetime
    has_events: bool  # else retention took them: what they alone know is not looked for, row by row

    def numbered(self, field: str, kind: str) -> Q:
        """Rows whose number (`kind` as in `paycenter.numbers`) was given around that day."""
        low, high = number_bound(kind, self.start - _LEEWAY), number_bound(kind, self.end + _LEEWAY)
        return Q(**{f"{field}__gte": low, f"{field}__lt": high})

    def within(self, column: str) -> Q:
        return Q(**{f"{column}__gte": self.start, f"{column}__lt": self.end})


def count_day(day: date) -> Deltas:
    """Everything that happened on a day, counted afresh."""
    found: Deltas = defaultdict(Counter)
    zones: dict[str, list[int]] = defaultdict(list)
    oldest = Event.objects.order_by("pk").values_list("created_at", flat=True).first()
    for pk, name in Merchant.objects.values_list("pk", "timezone"):
        zones[name].append(pk)
    for name, merchants in zones.items():
        for part in (_opened, _paid, _attempts, _refunds):
            for key, sums in part(_of_zone(day, zone_named(name), merchants, oldest)):
                found[key].update({column: int(number) for column, number in sums.items() if number})
    for key, fee in fees_of(ReconciliationDay.objects.filter(day=day)).items():
        found[key]["fee"] += fee
    return found


def _of_zone(day: date, zone: ZoneInfo, merchants: list[int], oldest: datetime | None) -> _Day:
    start, end = (datetime.combine(at, time.min, zone) for at in (day, day + timedelta(days=1)))
    return _Day(day, merchants, start, end, oldest is not None and oldest < end + _ANSWERED_WITHIN)


def _opened(of: _Day) -> Iterator[tuple[Key, dict[str, Any]]]:
    first = Event.objects.filter(object_type="trade", object_id=OuterRef("pk"), type="trade.created").order_by("id")
    told = Subquery(first.annotate(n=Cast(KT("data__amount"), BigIntegerField())).values("n")[:1])
    asked = Coalesce(told, "amount") if of.has_events else F("amount")
    rows = Trade.objects.filter(
        of.numbered("trade_no", "P"), of.within("created_at"), merchant__in=of.merchants
    ).annotate(asked=asked)
    closed = Q(state=TradeState.CLOSED)
    sums = {
        "created_count": Count("pk"), "created_amount": Sum("asked"), "closed_count": Count("pk", filter=closed),
        "closed_amount": Sum("amount", filter=closed),
    }  # fmt: skip
    yield from _grouped(of, rows, sums, ("merchant_id", "app_id", None, None, "currency"))


def _paid(of: _Day) -> Iterator[tuple[Key, dict[str, Any]]]:
    rows = Attempt.objects.filter(
        of.within("paid_at"), state=AttemptState.SUCCEEDED, account__merchant__in=of.merchants,
        trade__settled_attempt=F("pk"),
    )  # fmt: skip
    sums = {"paid_count": Count("pk"), "paid_amount": Sum("trade__paid_amount")}
    keys = ("trade__merchant_id", "trade__app_id", "account_id", "method", "trade__currency")
    yield from _grouped(of, rows, sums, keys)


def _attempts(of: _Day) -> Iterator[tuple[Key, dict[str, Any]]]:
    first = Event.objects.filter(
        object_type="attempt", object_id=OuterRef("pk"), from_state=AttemptState.CREATED, to_state__in=ANSWERS
    ).order_by("id")
    took = ExpressionWrapper(F("answered_at") - F("sent_at"), output_field=DurationField())
    rows = Attempt.objects.filter(
        of.numbered("attempt_no", "A"), of.within("sent_at"), trade__merchant__in=of.merchants
    )
    if of.has_events:
        rows = rows.annotate(
            answered_at=Subquery(first.values("created_at")[:1]), outcome=Subquery(first.values("to_state")[:1])
        )
    else:
        rows = rows.annotate(
            answered_at=Value(None, output_field=DateTimeField()), outcome=Value(None, output_field=CharField())
        )
    rows = rows.annotate(took=took)
    answered = _SENT & Q(answered_at__isnull=False)
    sums: dict[str, Any] = {
        "asked_count": Count("pk"), "succeeded_count": Count("pk", filter=Q(state=AttemptState.SUCCEEDED)),
        "failed_count": Count("pk", filter=_SENT & Q(state=AttemptState.FAILED)),
        "unknown_count": Count("pk", filter=_SENT & Q(outcome=AttemptState.UNKNOWN)),
        "answer_count": Count("pk", filter=answered), "answer_us": Sum("took", filter=answered),
    }  # fmt: skip
    low = None
    for bound in ANSWER_BOUNDS:
        within = answered & Q(took__lt=timedelta(milliseconds=bound))
        sums[f"under_{bound}"] = Count("pk", filter=within if low is None else within & Q(took__gte=low))
        low = timedelta(milliseconds=bound)
    keys = ("trade__merchant_id", "trade__app_id", "account_id", "method", "currency")
    for key, found in _grouped(of, rows, sums, keys):
        whole = found["answer_us"] or timedelta(0)
        yield key, {**found, "answer_us": whole // timedelta(microseconds=1)}


def _refunds(of: _Day) -> Iterator[tuple[Key, dict[str, Any]]]:
    rows = Refund.objects.filter(
        of.within("finished_at"), state=RefundState.SUCCEEDED, account__merchant__in=of.merchants
    )
    sums = {"refund_count": Count("pk"), "refund_amount": Sum("amount")}
    keys = ("merchant_id", "app_id", "account_id", "attempt__method", "currency")
    yield from _grouped(of, rows, sums, keys)


def _grouped(
    of: _Day, rows: Any, sums: dict[str, Any], keys: tuple[str | None, ...]
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Per merchant, app, account, method and currency, in the order of `keys`; None stands for concerns none."""
    names = [name for name in keys if name is not None]
    nothing = (0, 0, 0, "", "")
    for row in rows.order_by().values(*names).annotate(**{f"_{name}": how for name, how in sums.items()}):
        values: list[Any] = [empty if name is None else row[name] for name, empty in zip(keys, nothing, strict=True)]
        yield Key(of.day, *values), {name: row[f"_{name}"] for name in sums}


def fees_of(days: Any) -> dict[Key, int]:
    """What channels' bills name as fees, by account and bill day."""
    rows = days.values_list("day", "account__merchant_id", "account_id", "theirs")
    return {
        Key(day, merchant_id, 0, account_id, "", currency): int(sums.get("fee") or 0)
        for day, merchant_id, account_id, theirs in rows for currency, sums in (theirs or {}).items()
    }  # fmt: skip
