"""What moved through an account in a time, line by line, as apps and merchants are shown it.

Lines come from our own book, payments and then refunds, each with what the bill says of it. They are read by
keyset, account after account, so that a page costs the same wherever it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connections
from django.db.models import Count, Q, QuerySet, Sum

from merchants.models import App
from paycenter.replica import report_alias
from paycenter.times import iso
from reconciliation.models import BillRow, Case
from reconciliation.states import LIVE_CASE_STATES, USABLE_BILL_STATES
from refunds.models import Refund
from trades.models import Attempt

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(microseconds=1)
PAYMENTS, REFUNDS = "p", "r"
_TOO_LARGE = 10**17  # microseconds of some thousand years; more than any row


@dataclass(frozen=True, slots=True)
class Span:
    """An account's movements in [start, end); `currency` None: all. `pk` orders spans within one answer."""

    pk: int
    account_id: int
    payment_no: str
    start: datetime
    end: datetime
    currency: str | None = None
    batch_no: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """Behind which line to go on."""

    span: int = 0
    phase: str = PAYMENTS
    micros: int = -1
    pk: int = 0

    def __str__(self) -> str:
        return f"{self.span}.{self.phase}.{self.micros}.{self.pk}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raises ValueError."""
        span, phase, micros, pk = text.split(".")
        numbers = [int(part) for part in (span, micros, pk)]
        if phase not in (PAYMENTS, REFUNDS) or not all(-1 <= number < _TOO_LARGE for number in numbers):
            raise ValueError("no such position")
        return cls(numbers[0], phase, numbers[1], numbers[2])


Line = dict[str, Any]


def lines(app: App, spans: Sequence[Span], after: Position, limit: int) -> tuple[list[Line], Position | None]:
    """Up to `limit` lines of this app, and the position behind them; None at the end."""
    found = list(islice(_walk(app, spans, after, limit + 1), limit + 1))
    page = found[:limit]
    shown = [line for _position, line in page]
    _tell_bills(shown)
    return [_public(line) for line in shown], (page[-1][0] if len(found) > limit else None)


def _walk(app: App, spans: Sequence[Span], after: Position, limit: int) -> Iterator[tuple[Position, Line]]:
    for span in sorted(spans, key=lambda span: span.pk):
        if span.pk < after.span:
            continue
        begun = after if span.pk == after.span else Position(span.pk)
        if begun.phase == PAYMENTS:
            yield from _payments(app, span, begun, limit)
            begun = Position(span.pk, REFUNDS)
        yield from _refunds(app, span, begun, limit)


def _payments(app: App, span: Span, after: Position, limit: int) -> Iterator[tuple[Position, Line]]:
    rows = _behind(payments_of(app, span), "paid_at", after)[:limit]
    columns = (
        "pk", "attempt_no", "method", "channel_order_no", "order_day", "channel_trade_no", "paid_amount",
        "paid_currency", "paid_at", "trade__trade_no", "trade__app_order_no", "trade__settled_attempt_id",
    )  # fmt: skip
    for row in rows.values(*columns):
        settled = row["trade__settled_attempt_id"] == row["pk"]
        yield _position(span, PAYMENTS, row["paid_at"], row["pk"]), {
            "kind": "payment" if settled else "duplicate", "trade_no": row["trade__trade_no"],
            "attempt_no": row["attempt_no"], "channel_order_no": row["channel_order_no"],
            "app_order_no": row["trade__app_order_no"], "refund_no": None, "channel_trade_no": row["channel_trade_no"],
            "payment_no": span.payment_no, "method": row["method"], "amount": row["paid_amount"],
            "currency": row["paid_currency"], "occurred_at": iso(row["paid_at"]), "batch_no": span.batch_no,
            "_key": (span.account_id, "payment", row["order_day"] + row["channel_order_no"]),
            "_own": (span.account_id, "payment", f"#{row['channel_trade_no']}"),
        }  # fmt: skip


def _refunds(app: App, span: Span, after: Position, limit: int) -> Iterator[tuple[Position, Line]]:
    rows = _behind(refunds_of(app, span), "finished_at", after)[:limit]
    columns = (
        "pk", "refund_no", "channel_request_no", "channel_refund_no", "amount", "currency", "finished_at",
        "trade__trade_no", "trade__app_order_no", "attempt__attempt_no", "attempt__method",
        "attempt__channel_order_no", "attempt__channel_trade_no",
    )  # fmt: skip
    for row in rows.values(*columns):
        yield _position(span, REFUNDS, row["finished_at"], row["pk"]), {
            "kind": "refund", "trade_no": row["trade__trade_no"], "attempt_no": row["attempt__attempt_no"],
            "channel_order_no": row["attempt__channel_order_no"], "app_order_no": row["trade__app_order_no"],
            "refund_no": row["refund_no"], "channel_trade_no": row["attempt__channel_trade_no"],
            "payment_no": span.payment_no, "method": row["attempt__method"], "amount": row["amount"],
            "currency": row["currency"], "occurred_at": iso(row["finished_at"]), "batch_no": span.batch_no,
            "_key": (span.account_id, "refund", row["channel_request_no"]),
            "_own": (span.account_id, "refund", f"#{row['channel_refund_no']}"),
        }  # fmt: skip


def payments_of(app: App | None, span: Span) -> QuerySet[Attempt]:
    """Money that arrived, in the order of its time."""
    rows = Attempt.objects.filter(
        account_id=span.account_id, state="succeeded", paid_at__gte=span.start, paid_at__lt=span.end
    )
    rows = rows.filter(trade__app=app) if app is not None else rows
    return rows.filter(paid_currency=span.currency) if span.currency else rows


def refunds_of(app: App | None, span: Span) -> QuerySet[Refund]:
    """Money that went back, in the order of its time."""
    rows = Refund.objects.filter(
        account_id=span.account_id, state="succeeded", finished_at__gte=span.start, finished_at__lt=span.end
    )
    rows = rows.filter(app=app) if app is not None else rows
    return rows.filter(currency=span.currency) if span.currency else rows


def _behind(rows: Any, column: str, after: Position) -> Any:
    if after.micros >= 0:
        at = _EPOCH + after.micros * _STEP
        rows = rows.filter(Q(**{f"{column}__gt": at}) | Q(**{column: at, "pk__gt": after.pk}), **{f"{column}__gte": at})
    return rows.order_by(column, "pk")


def _position(span: Span, phase: str, at: datetime, pk: int) -> Position:
    return Position(span.pk, phase, (at - _EPOCH) // _STEP, pk)


# ---- what bills say of them ---------------------------------------------------------------------------------
def _tell_bills(shown: Sequence[Line]) -> None:
    """Add `fee` and `reconciled` to each line: three statements for a page."""
    keys = {name for line in shown for name in (line["_key"], line["_own"])}
    rows = _rows_by_name(keys)
    disputed = _disputed(keys)
    for line in shown:
        row = rows.get(line["_key"]) or rows.get(line["_own"])
        same = row is not None and (row["amount"], row["currency"]) == (line["amount"], line["currency"])
        line["fee"] = row["fee"] if row is not None else None
        line["reconciled"] = same and line["_key"] not in disputed


def _rows_by_name(names: Iterable[tuple[int, str, str]]) -> dict[tuple[int, str, str], Mapping[str, Any]]:
    accounts, keys = {name[0] for name in names}, {name[2] for name in names}
    rows = BillRow.objects.filter(
        account_id__in=accounts, kind__in=("payment", "refund"), key__in=keys, state="succeeded",
        bill__state__in=USABLE_BILL_STATES, bill__kind="trade",
    ).values("account_id", "kind", "key", "amount", "currency", "fee")  # fmt: skip
    return {(row["account_id"], row["kind"], row["key"]): row for row in rows}


def _disputed(names: Iterable[tuple[int, str, str]]) -> set[tuple[int, str, str]]:
    accounts, keys = {name[0] for name in names}, {name[2] for name in names}
    cases = Case.objects.filter(account_id__in=accounts, key__in=keys, state__in=LIVE_CASE_STATES)
    return set(cases.values_list("account_id", "subject", "key"))


def _public(line: Line) -> Line:
    return {name: value for name, value in line.items() if not name.startswith("_")}


# ---- sums ---------------------------------------------------------------------------------------------------
Totals = dict[str, dict[str, int]]


def totals(app: App, spans: Sequence[Span]) -> Totals:
    """Per currency: how many lines, what was paid and refunded, and the fees that bills name."""
    found: Totals = {}
    for span in spans:
        paid = payments_of(app, span).values_list("paid_currency").annotate(n=Count("pk"), total=Sum("paid_amount"))
        for currency, count, total in paid.order_by():
            _add(found, currency, count=count, paid=total)
        back = refunds_of(app, span).values_list("currency").annotate(n=Count("pk"), total=Sum("amount"))
        for currency, count, total in back.order_by():
            _add(found, currency, count=count, refunded=total)
        for currency, fee in _fees(app, span):
            _add(found, currency, fee=fee)
    return found


def _add(found: Totals, currency: str, **sums: int) -> None:
    mine = found.setdefault(currency, {"count": 0, "paid": 0, "refunded": 0, "fee": 0})
    for name, value in sums.items():
        mine[name] += int(value)


_ITEMS = (
    "SELECT a.account_id, 'payment' AS kind, a.order_day || a.channel_order_no AS k, '#' || a.channel_trade_no AS own"
    " FROM trades_attempt a JOIN trades_trade t ON t.id = a.trade_id WHERE t.app_id = %s AND a.account_id = %s"
    " AND a.state = 'succeeded' AND a.paid_at >= %s AND a.paid_at < %s",
    "SELECT f.account_id, 'refund' AS kind, f.channel_request_no AS k, '#' || f.channel_refund_no AS own"
    " FROM refunds_refund f WHERE f.app_id = %s AND f.account_id = %s"
    " AND f.state = 'succeeded' AND f.finished_at >= %s AND f.finished_at < %s",
)  # fmt: skip


def _fees(app: App, span: Span) -> Iterator[tuple[str, int]]:
    connection = connections[report_alias()]
    adapt = (lambda at: at) if connection.vendor == "postgresql" else connection.ops.adapt_datetimefield_value
    values = [app.pk, span.account_id, adapt(span.start), adapt(span.end)]
    for items in _ITEMS:
        for column in ("k", "own"):
            sql = (
                f"SELECT r.currency, SUM(r.fee) FROM ({items}) i JOIN reconciliation_billrow r"  # noqa: S608
                f" ON r.account_id = i.account_id AND r.kind = i.kind AND r.key = i.{column}"
                " JOIN reconciliation_bill b ON b.id = r.bill_id AND b.kind = 'trade' AND b.state = 'imported'"
                " WHERE r.state = 'succeeded' AND r.fee IS NOT NULL GROUP BY r.currency"
            )
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                yield from cursor.fetchall()
