"""A bill's rows in the database: written in bulk, summed up on the way, looked through for repetitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.db import connection

from channels.base.bills import BillRow as ChannelRow
from channels.base.bills import BillRowKind, BillRowState
from reconciliation.bulk import write_rows
from reconciliation.models import Bill

T = TypeVar("T")
TABLE = "reconciliation_billrow"
COLUMNS = (
    "bill_id", "line", "account_id", "kind", "state", "key", "amount", "currency", "fee", "occurred_at", "order_no",
    "channel_trade_no", "refund_no", "channel_refund_no", "channel_state",
)  # fmt: skip


class Totals:
    """A bill's sums per currency, made while its rows go by. Only money that moved counts."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, int]] = {}

    def add(self, row: ChannelRow) -> ChannelRow:
        """Count a row; answers it again."""
        names = _COUNTED.get(row.kind)
        if names is not None and row.state == BillRowState.SUCCEEDED:
            zero = {"count": 0, "paid": 0, "refunds": 0, "refunded": 0, "fee": 0, "without_fee": 0}
            sums = self.found.setdefault(row.amount.currency, zero)
            sums[names[0]] += 1
            sums[names[1]] += row.amount.minor
            if row.fee is None:
                sums["without_fee"] += 1
            else:
                sums["fee"] += row.fee.minor
        return row


_COUNTED = {BillRowKind.PAYMENT: ("count", "paid"), BillRowKind.REFUND: ("refunds", "refunded")}


def row_key(row: ChannelRow) -> str:
    """What the row is matched by: the number we sent (see `models.BillRow`), else the channel's own after a `#`,
    else its place; so that no two rows without a number are taken for one."""
    sent = row.refund_no if row.kind == BillRowKind.REFUND else row.order_day + row.order_no if row.order_no else ""
    own = row.channel_refund_no if row.kind == BillRowKind.REFUND else row.channel_trade_no
    return (sent or (f"#{own}" if own else f"@{row.line}"))[:72]


def row_values(bill: Bill, row: ChannelRow) -> tuple[Any, ...]:
    """The row's columns, in the order of COLUMNS."""
    return (
        bill.pk, row.line, bill.account_id, row.kind.value, row.state.value, row_key(row), row.amount.minor,
        row.amount.currency, None if row.fee is None else row.fee.minor, row.occurred_at, row.order_no[:64],
        row.channel_trade_no[:64], row.refund_no[:64], row.channel_refund_no[:64], row.channel_state[:32],
    )  # fmt: skip


def add_rows(rows: Iterable[tuple[Any, ...]]) -> None:
    """Append rows of `row_values`. Must run inside the caller's transaction."""
    write_rows(TABLE, COLUMNS, rows)


def forget_rows(bill_id: int) -> None:
    """Delete what a bill's rows there are, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TABLE} WHERE bill_id = %s", [bill_id])  # noqa: S608


def analyse() -> None:
    """Let the planner know what was just loaded."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {TABLE}")


def repeated_line(bill_id: int) -> tuple[int, int] | None:
    """(line, earlier line) of a row that stands twice in a bill, None where all differ.

    A payment is named once in a bill; a refund once in each state.
    """
    sql = f"""
        SELECT MAX(line), MIN(line) FROM {TABLE}
        WHERE bill_id = %s AND kind IN ('payment', 'refund')
        GROUP BY kind, key, CASE WHEN kind = 'refund' THEN channel_trade_no || '/' || state ELSE '' END
        HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 1
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [bill_id])
        found = cursor.fetchone()
    return (int(found[0]), int(found[1])) if found else None


def in_chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
