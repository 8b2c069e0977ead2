"""Line by line: the channel's bill of payments against its own movements of money."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from reconciliation.models import Bill
from reconciliation.settlement.models import LineKind, SettlementBatch, SettlementRow
from reconciliation.states import USABLE_BILL_STATES

MOST = 10_000  # differences kept of one batch


def lines_compare(batch: SettlementBatch) -> int | None:
    """Name what is in the bills of a batch's days and not in the movements of money, and the other way round.

    Answers how many lines differ; None where the movements of a day are not there. Replaces what was found before.
    """
    bills = {kind: _bills(batch, kind) for kind in ("trade", "fund")}
    days = (batch.last_day - batch.first_day) // timedelta(days=1) + 1
    if len(bills["fund"]) < days or not bills["trade"]:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_sql(bills), [batch.currency, batch.currency])
        rows = [_row(batch, found) for found in cursor.fetchall()]
    with transaction.atomic():
        SettlementRow.objects.filter(batch=batch).delete()
        SettlementRow.objects.bulk_create(rows)
    return len(rows)


def _bills(batch: SettlementBatch, kind: str) -> list[int]:
    days = (batch.first_day, batch.last_day)
    rows = Bill.objects.filter(account_id=batch.account_id, kind=kind, day__range=days)
    return list(rows.filter(state__in=USABLE_BILL_STATES).values_list("pk", flat=True))


def _sql(bills: dict[str, list[int]]) -> str:
    """One payment may have several movements, so both sides are summed up by the channel's number first."""
    sides = {
        name: (
            "SELECT kind, channel_trade_no, SUM(amount) AS amount, MIN(bill_id) AS bill_id, MIN(line) AS line"  # noqa: S608
            f" FROM reconciliation_billrow WHERE bill_id IN ({', '.join(map(str, ids))})"
            " AND kind IN ('payment', 'refund') AND state = 'succeeded' AND currency = %s AND channel_trade_no <> ''"
            " GROUP BY kind, channel_trade_no"
        )
        for name, ids in bills.items()
    }
    return (
        "SELECT COALESCE(b.kind, m.kind), COALESCE(b.channel_trade_no, m.channel_trade_no), b.amount, m.amount,"  # noqa: S608
        f" COALESCE(b.bill_id, m.bill_id), COALESCE(b.line, m.line) FROM ({sides['trade']}) b"
        f" FULL JOIN ({sides['fund']}) m ON m.channel_trade_no = b.channel_trade_no AND m.kind = b.kind"
        f" WHERE b.line IS NULL OR m.line IS NULL OR b.amount <> m.amount ORDER BY 2, 1 LIMIT {MOST}"
    )


def _row(batch: SettlementBatch, found: tuple[Any, ...]) -> SettlementRow:
    kind, number, in_bill, moved, bill_id, line = found
    return SettlementRow(
        batch=batch, kind=_kind(kind, in_bill, moved), bill_id=bill_id, line=line, channel_trade_no=number,
        bill_amount=None if in_bill is None else int(in_bill), moved_amount=None if moved is None else int(moved),
    )  # fmt: skip


def _kind(kind: str, in_bill: Any, moved: Any) -> LineKind:
    if moved is None:
        return LineKind.NOT_SETTLED
    if in_bill is None:
        return LineKind.BANK_REFUND if kind == "refund" else LineKind.NOT_IN_BILL
    return LineKind.AMOUNT
