"""The proxy's statement of a day: CSV in UTF-8, one line per payment and refund; amounts in major units."""

from __future__ import annotations

import csv
import io

from sandbox.amounts import major
from sandbox.bills import Bill, BillRow, bill_for
from sandbox.channel import BillFile
from sandbox.clock import beijing, day_bounds
from sandbox.context import Context
from sandbox.mpgs.orders import iso
from sandbox.mpgs.wire import invalid, missing
from sandbox.records import Account

_COLUMNS = (
    "order_id", "transaction_id", "type", "amount", "currency", "fee", "net", "status", "settlement_date", "created_at",
)  # fmt: skip
_DAY_SECONDS = 86400
_READY_HOUR = 9


def download(context: Context, account: Account, date: str) -> BillFile:
    """Of a past day (Beijing), from the next morning on; earlier only where the sandbox was told to."""
    if not date:
        raise missing("date")
    try:
        _start, end = day_bounds(date)
    except ValueError:
        raise invalid("Expected YYYY-MM-DD", "date", "INVALID") from None
    if context.clock() < end + _READY_HOUR * 3600 and not context.settings.same_day_bills:
        raise invalid("The statement is not there yet", "date", "INVALID")
    return render(account, bill_for(context.book, account, date, refund_states=True))


def render(account: Account, bill: Bill) -> BillFile:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_line(row) for row in bill.rows)
    return BillFile(f"transactions_{account.key}_{bill.date}.csv", "text/csv", out.getvalue().encode())


def _line(row: BillRow) -> list[str]:
    refund, currency = row.kind == "refund", row.currency
    net = -(row.amount - row.fee) if refund else row.amount - row.fee
    return [
        row.order_no, row.refund_no if refund else "1", "REFUND" if refund else "PAYMENT", major(row.amount, currency),
        currency, major(-row.fee if refund else row.fee, currency), major(net, currency), row.status or "SUCCESS",
        beijing(row.occurred_at + _DAY_SECONDS).strftime("%Y-%m-%d"), iso(row.occurred_at),
    ]  # fmt: skip
