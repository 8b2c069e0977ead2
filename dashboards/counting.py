"""The sums of days counted from the rows themselves: what `dashboards.folding` adds up event by event.

Our numbers carry the time they were given, so some days' trades and attempts are found by their unique index.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import (
    BigIntegerField,
    BooleanField,
    Case,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Func,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, TruncDate

from dashboards.folding import ANSWERS, Deltas, Key
from dashboards.models import ANSWER_BOUNDS
from merchants.models import Merchant, PaymentAccount
from merchants.zones import zone_named
from paycenter.fields import NumberIn
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
_HAS_NUMBER = ~Q(trade_no="")  # as the index of events says it: of the trades of a whole day PostgreSQL does not know
_ALL = 2**62


@dataclass(frozen=True, slots=True)
class _Days:
    """Days of the merchants of one time zone, half-open."""

    zone: ZoneInfo
    merchants: list[int]
    start: datetime
    end: datetime
    told_from: datetime | None  # of what began before it retention took the events: they are not looked for

    def told(self, column: str, found: Any) -> Any:
        """What an event tells, where there may be one of a row that began at `column`; else None."""
        if self.told_from is None:
            return Cast(Value(None), found.output_field)
        return Case(When(**{f"{column}__gte": self.told_from}, then=found), default=None)

    def numbered(self, field: str, kind: str) -> Q:
        """Rows whose number (`kind` as in `paycenter.numbers`) was given around those days."""
        low, high = number_bound(kind, self.start - _LEEWAY), number_bound(kind, self.end + _LEEWAY)
        return Q(**{f"{field}__gte": low, f"{field}__lt": high})

    def within(self, column: str) -> Q:
        return Q(**{f"{column}__gte": self.start, f"{column}__lt": self.end})


def count_days(first: date, last: date) -> Deltas:
    """Everything that happened on the days from `first` to `last`, counted afresh."""
    found: Deltas = defaultdict(Counter)
    zones: dict[str, list[int]] = defaultdict(list)
    told = Event.objects.filter(object_type__in=("trade", "attempt")).order_by("pk")
    oldest = told.values_list("created_at", flat=True).first()
    for pk, name in Merchant.objects.values_list("pk", "timezone"):
        zones[name].append(pk)
    for name, merchants in zones.items():
        for part in (_opened, _paid, _attempts, _refunds):
            for key, sums in part(_of_zone(first, last, zone_named(name), merchants, oldest)):
                found[key].update({column: int(number) for column, number in sums.items() if number})
    for key, fee in fees_of(ReconciliationDay.objects.filter(day__range=(first, last))).items():
        found[key]["fee"] += fee
    return found


def _of_zone(first: date, last: date, zone: ZoneInfo, merchants: list[int], oldest: datetime | None) -> _Days:
    start, end = (datetime.combine(at, time.min, zone) for at in (first, last + timedelta(days=1)))
    told_from = oldest - _ANSWERED_WITHIN if oldest is not None else end
    return _Days(zone, merchants, start, end, told_from if told_from < end else None)


def _opened(of: _Days) -> Iterator[tuple[Key, dict[str, Any]]]:
    first = Event.objects.filter(
        _HAS_NUMBER, trade_no=OuterRef("trade_no"), object_type="trade", object_id=OuterRef("pk"), type="trade.created"
    ).order_by("id")
    told = Subquery(first.annotate(n=NumberIn("data", "amount")).values("n")[:1])
    asked = Coalesce(of.told("created_at", told), "amount")
    rows = Trade.objects.filter(
        of.numbered("trade_no", "P"), of.within("created_at"), merchant__in=of.merchants
    ).annotate(asked=asked)
    closed = Q(state=TradeState.CLOSED)
    sums = {
        "created_count": Count("pk"), "created_amount": Sum("asked"), "closed_count": Count("pk", filter=closed),
        "closed_amount": Sum("amount", filter=closed),
    }  # fmt: skip
    yield from _grouped(of, rows, "created_at", sums, ("merchant_id", "app_id", None, None, "currency"))


def _paid(of: _Days) -> Iterator[tuple[Key, dict[str, Any]]]:
    # Accounts by their keys, not by a join: only so are some days found in the index of successes.
    accounts = list(PaymentAccount.objects.filter(merchant__in=of.merchants).values_list("pk", flat=True))
    rows = Trade.objects.filter(
        of.within("settled_attempt__paid_at"), settled_attempt__state=AttemptState.SUCCEEDED,
        settled_attempt__account__in=accounts,
    )  # fmt: skip
    sums = {"paid_count": Count("pk"), "paid_amount": Sum("paid_amount")}
    keys = ("merchant_id", "app_id", "settled_attempt__account_id", "settled_attempt__method", "currency")
    yield from _grouped(of, rows, "settled_attempt__paid_at", sums, keys)


class _Microseconds(Func):
    """A duration as a whole number; SQLite keeps it as one."""

    output_field = BigIntegerField()
    template = "(EXTRACT(EPOCH FROM %(expressions)s) * 1000000)::bigint"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template="%(expressions)s", **context)


_ATTEMPT_SUMS = {
    "asked_count": "COUNT(*)", "succeeded_count": "COUNT(*) FILTER (WHERE now_state = 'succeeded')",
    "failed_count": "COUNT(*) FILTER (WHERE now_state = 'failed' AND was_sent)",
    "unknown_count": "COUNT(*) FILTER (WHERE outcome = 'unknown' AND was_sent)",
    "answer_count": "COUNT(took) FILTER (WHERE was_sent)", "answer_us": "SUM(took) FILTER (WHERE was_sent)",
    **{
        f"under_{bound}": f"COUNT(*) FILTER (WHERE was_sent AND took >= {low * 1000} AND took < {bound * 1000})"
        for low, bound in pairwise((-(2**31), *ANSWER_BOUNDS))
    },
}  # fmt: skip


def _attempts(of: _Days) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Counted around a query for the attempts: it looks for the first answer of each once, and not for each sum."""
    keys = {
        "the_day": TruncDate("sent_at", tzinfo=of.zone), "merchant": F("trade__merchant_id"), "app": F("trade__app_id"),
        "account_key": F("account_id"), "way": F("method"), "money": F("currency"),
    }  # fmt: skip
    first = Event.objects.filter(
        _HAS_NUMBER, trade_no=OuterRef("trade__trade_no"), object_type="attempt", object_id=OuterRef("pk"),
        from_state=AttemptState.CREATED, to_state__in=ANSWERS,
    ).order_by("id")
    after = ExpressionWrapper(Subquery(first.values("created_at")[:1]) - F("sent_at"), DurationField())
    took = of.told("sent_at", _Microseconds(after))
    outcome = of.told("sent_at", Subquery(first.values("to_state")[:1]))
    was_sent = ExpressionWrapper(_SENT, BooleanField())
    rows = (
        Attempt.objects.filter(
            of.numbered("attempt_no", "A"), of.within("sent_at"), trade__merchant__in=of.merchants
        )
        .order_by().values(**keys, now_state=F("state"), was_sent=was_sent, took=took, outcome=outcome)
    )  # fmt: skip
    if of.told_from is not None:
        rows = rows[:_ALL]  # kept as it is: PostgreSQL does not put its columns into each sum
    inner, values = rows.query.sql_with_params()
    sums = ", ".join(_ATTEMPT_SUMS.values())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(keys)}, {sums} FROM ({inner}) one GROUP BY {', '.join(keys)}", values)  # noqa: S608
        for day, *rest in cursor.fetchall():
            whose, found = rest[: len(keys) - 1], rest[len(keys) - 1 :]
            yield Key(date.fromisoformat(str(day)), *whose), dict(zip(_ATTEMPT_SUMS, found, strict=True))


def _refunds(of: _Days) -> Iterator[tuple[Key, dict[str, Any]]]:
    rows = Refund.objects.filter(
        of.within("finished_at"), state=RefundState.SUCCEEDED, account__merchant__in=of.merchants
    )
    sums = {"refund_count": Count("pk"), "refund_amount": Sum("amount")}
    keys = ("merchant_id", "app_id", "account_id", "attempt__method", "currency")
    yield from _grouped(of, rows, "finished_at", sums, keys)


def _grouped(
    of: _Days, rows: Any, column: str, sums: dict[str, Any], keys: tuple[str | None, ...]
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Per day of `column`, merchant, app, account, method and currency, the latter in the order of `keys`; None stands
    for concerns none."""
    names = [name for name in keys if name is not None]
    nothing = (0, 0, 0, "", "")
    by_day = rows.order_by().annotate(_day=TruncDate(column, tzinfo=of.zone)).values("_day", *names)
    for row in by_day.annotate(**{f"_{name}": how for name, how in sums.items()}):
        values: list[Any] = [empty if name is None else row[name] for name, empty in zip(keys, nothing, strict=True)]
        yield Key(row["_day"], *values), {name: row[f"_{name}"] for name in sums}


def fees_of(days: Any) -> dict[Key, int]:
    """What channels' bills name as fees, by account and bill day."""
    rows = days.values_list("day", "account__merchant_id", "account_id", "theirs")
    return {
        Key(day, merchant_id, 0, account_id, "", currency): int(sums.get("fee") or 0)
        for day, merchant_id, account_id, theirs in rows for currency, sums in (theirs or {}).items()
    }  # fmt: skip
