"""Comparing an account's day with its bill: sets in the database, and only what may differ in Python.

One FULL JOIN per kind of movement answers the pairs that are not plainly equal. Those without a partner
are looked up in other days: a channel's day is cut elsewhere than ours, bills come late, and one payment may stand
in our Tuesday and in the channel's Monday. What has no partner anywhere is carried over for some days.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connections
from django.db.models import QuerySet

from merchants.models import PaymentAccount
from paycenter.replica import PRIMARY
from reconciliation.actors import SYSTEM
from reconciliation.fees import Rate, fee_sql
from reconciliation.models import Bill, BillRow, CaseKind
from reconciliation.rules import Ours, Theirs, judge
from reconciliation.sides import Side
from reconciliation.states import USABLE_BILL_STATES

PAGE = 20_000  # candidates in memory at a time
LOOK_UP = 2_000  # numbers in one look-up


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sides that do not agree, or one without the other."""

    side: Side
    kind: CaseKind
    ours: Ours | None
    theirs: Theirs | None

    @property
    def key(self) -> str:
        """Names the thing the same way from both sides."""
        return self.ours.key if self.ours is not None else self.theirs.key  # type: ignore[union-attr]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared: one account's bill with what moved here in its time. `bill` is None for a day whose bill
    is empty."""

    account: PaymentAccount
    day: date
    start: datetime
    end: datetime
    bill: Bill
    rates: Mapping[str, Rate]
    alias: str = PRIMARY  # where the one large statement runs; what it finds is judged by the primary's rows


Sums = dict[str, dict[str, int]]
_COUNTED = {"payment": ("count", "paid"), "refund": ("refunds", "refunded")}


class Tally:
    """Our sums of the day, per currency: the bill's, corrected by every pair that is not plainly equal. So nothing
    has to be added up a second time."""

    def __init__(self, theirs: Sums) -> None:
        names = [name for counted in _COUNTED.values() for name in counted]
        self.found: Sums = {currency: {name: sums[name] for name in names} for currency, sums in theirs.items()}

    def correct(self, side: Side, mine: Ours | None, row: Theirs | None) -> None:
        """One such pair, as both stand in the day itself."""
        if row is not None and row.state == "succeeded":
            self._add(side, row.currency, -1, -row.amount)
        if mine is not None:
            self._add(side, mine.currency, 1, mine.amount)

    def _add(self, side: Side, currency: str, count: int, amount: int) -> None:
        sums = self.found.setdefault(currency, {"count": 0, "paid": 0, "refunds": 0, "refunded": 0})
        for name, value in zip(_COUNTED[side.row_kind], (count, amount), strict=True):
            sums[name] += value


def differences(scope: Scope, side: Side, tally: Tally) -> Iterator[list[Difference]]:
    """Everything that differs, in portions of a bounded size; `tally` hears of every pair that was looked at."""
    last: tuple[str, int] = ("", 0)
    while True:
        found = _candidates(scope, side, last)
        for start in range(0, len(found), LOOK_UP):
            yield _judged(scope, side, found[start : start + LOOK_UP], tally)
        if len(found) < PAGE:
            return
        last = (found[-1].key, found[-1].line)


@dataclass(frozen=True, slots=True)
class _Candidate:
    key: str
    line: int  # 0: no row in this bill
    record_id: int | None  # None: nothing of ours in this time


def _candidates(scope: Scope, side: Side, last: tuple[str, int]) -> list[_Candidate]:
    """Pairs of the day that are not plainly equal, and what has no partner in it."""
    sql, values = candidates_sql(scope, side, last)
    with connections[scope.alias].cursor() as cursor:
        cursor.execute(sql, values)
        return [_Candidate(*row) for row in cursor.fetchall()]


def candidates_sql(scope: Scope, side: Side, last: tuple[str, int] = ("", 0)) -> tuple[str, list[Any]]:
    """The one statement that looks at every row. FULL JOIN: PostgreSQL, and SQLite from 3.39.

    Rows of refunds that had not ended differ from nothing; they are found again where ours has no other row.
    """
    window, window_values = side.window(scope.account.pk, _bound(scope, scope.start), _bound(scope, scope.end))
    fee, fee_values = fee_sql("o.amount", "o.method", scope.rates if side.has_fees else {})
    behind, last_values = "", list[Any]()
    if last[0]:
        key, line = "COALESCE(r.key, o.key)", "COALESCE(r.line, 0)"
        behind, last_values = f"AND ({key} > %s OR ({key} = %s AND {line} > %s))", [last[0], last[0], last[1]]
    sql = f"""
        SELECT COALESCE(r.key, o.key) AS k, COALESCE(r.line, 0) AS l, o.id
        FROM (SELECT line, key, amount, currency, fee, state FROM reconciliation_billrow
              WHERE bill_id = %s AND kind = '{side.row_kind}' AND state <> 'processing') r
        FULL JOIN ({window}) o ON o.key = r.key
        WHERE (r.line IS NULL OR o.id IS NULL OR r.amount <> o.amount OR r.state <> 'succeeded'
               OR r.currency <> o.currency OR r.fee <> {fee}) {behind}
        ORDER BY k, l LIMIT {PAGE}
    """  # noqa: S608 - names of our own, values as parameters
    return sql, [scope.bill.pk, *window_values, *fee_values, *last_values]


def _bound(scope: Scope, moment: datetime) -> Any:
    connection = connections[scope.alias]
    return moment if connection.vendor == "postgresql" else connection.ops.adapt_datetimefield_value(moment)


def _judged(scope: Scope, side: Side, candidates: list[_Candidate], tally: Tally) -> list[Difference]:
    theirs = rows_by_line(scope.bill, [c.line for c in candidates if c.line])
    ours = side.of_ids([c.record_id for c in candidates if c.record_id is not None], scope.rates)
    alone = [ours[c.record_id] for c in candidates if c.record_id is not None and not c.line]
    elsewhere = rows_by_key(scope.account.pk, side, alone)
    strangers = [theirs[c.line] for c in candidates if c.record_id is None]
    known = side.of_rows(scope.account.pk, strangers, scope.rates)
    found = []
    for candidate in candidates:
        row = theirs.get(candidate.line) if candidate.line else None
        mine = ours.get(candidate.record_id) if candidate.record_id is not None else None
        tally.correct(side, mine, row)
        if row is None and mine is not None:
            row = elsewhere.get(mine.key)
        if mine is None and row is not None:
            mine = known.get(row.key)
        kind = judge(mine, row)
        explained = kind == CaseKind.MISSING_HERE and row is not None and side.explain(scope.account.pk, row, SYSTEM)
        if kind is not None and not explained:
            found.append(Difference(side, kind, mine, row))
    return found


_ROW_COLUMNS = (
    "key", "amount", "currency", "state", "fee", "bill_id", "line", "occurred_at", "order_no", "channel_trade_no",
    "refund_no", "channel_refund_no", "channel_state",
)  # fmt: skip
_ROW_FIELDS = tuple("at" if name == "occurred_at" else name for name in _ROW_COLUMNS)


def theirs_of(rows: QuerySet[BillRow]) -> list[Theirs]:
    """Bill rows as `judge` takes them, without a model instance each."""
    return [Theirs(**dict(zip(_ROW_FIELDS, values, strict=True))) for values in rows.values_list(*_ROW_COLUMNS)]


def rows_by_line(bill: Bill, lines: Collection[int]) -> dict[int, Theirs]:
    """A bill's rows by line."""
    return {row.line: row for row in theirs_of(BillRow.objects.filter(bill_id=bill.pk, line__in=lines))}


def rows_by_key(account_id: int, side: Side, ours: Collection[Ours]) -> dict[str, Theirs]:
    """The rows of any usable bill that name these, by our key. A row of money that moved wins over others."""
    own = {f"#{side.own_number(item)}": item.key for item in ours}
    keys = {item.key for item in ours} | own.keys()
    if not keys:
        return {}
    usable = BillRow.objects.filter(bill__state__in=USABLE_BILL_STATES, bill__kind="trade")
    rows = theirs_of(usable.filter(account_id=account_id, kind=side.row_kind, key__in=keys))
    rows.sort(key=lambda row: (row.state == "succeeded", row.at))
    return {own.get(row.key, row.key): row for row in rows}
