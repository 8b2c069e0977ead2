"""The proxy's report of a day: CSV in UTF-8. MPGS itself has none; see docs/channels/bills.md."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path

from channels.base import BillKind, BillRow, BillRowKind, BillRowState, BillRule, FetchedBill
from channels.base.bill_files import text_lines
from channels.base.bill_tables import Columns, DayCheck, agree, read_money, require
from channels.mpgs.gateway import Gateway
from paycenter.errors import BillNotReady, BillRefused, UnknownOutcome
from paycenter.money import is_currency

RULE = BillRule(ready_at=time(9, 0))
_COLUMNS = (
    "order_id", "transaction_id", "type", "amount", "currency", "fee", "net", "status", "created_at",
)  # fmt: skip
_KINDS = {"PAYMENT": BillRowKind.PAYMENT, "REFUND": BillRowKind.REFUND}
_STATES = {
    "SUCCESS": BillRowState.SUCCEEDED, "PENDING": BillRowState.PROCESSING, "PROCESSING": BillRowState.PROCESSING,
    "FAILURE": BillRowState.FAILED, "FAIL": BillRowState.FAILED,
}  # fmt: skip


def fetch(gateway: Gateway, *, day: date, into: Path) -> FetchedBill:
    """See `Provider.fetch_bill`. A day without money has a report too, of its header alone."""
    answer = gateway.report(day.isoformat(), into)
    if answer.ok:
        return FetchedBill(day, BillKind.TRADE, f"transactions_{day.isoformat()}.csv")
    if answer.status == 400 and answer.message.endswith(": date"):
        raise BillNotReady(f"the platform has no report of {day} yet: {answer}")
    raise UnknownOutcome(f"the platform gives no report: {answer}")


def read(path: Path, *, day: date) -> Iterator[BillRow]:
    """See `Provider.read_bill`. The report says neither whose it is nor what it comes to."""
    days, columns = DayCheck(RULE.bounds(day)), None
    for line, text in text_lines(path, "utf-8"):
        if not text:
            continue
        if columns is None:
            columns = Columns(_values(text, line), _COLUMNS, line=line)
            continue
        row = _row(columns.row(_values(text, line), line=line), line)
        days.see(row.occurred_at, line=line)
        yield row
    if columns is None:
        raise BillRefused("an empty file is no report")
    days.finish()


def _values(text: str, line: int) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as exc:
        raise BillRefused(f"not a line of CSV: {exc}", line=line) from exc


def _row(row: Mapping[str, str], line: int) -> BillRow:
    """A refund's fee is negative where it is given back; what reaches the account is `net`."""
    kind, state, currency = _KINDS.get(row["type"]), _STATES.get(row["status"]), row["currency"]
    if kind is None or state is None:
        raise BillRefused(f"type or status is no word we know: {row['type'][:32]} {row['status'][:32]}", line=line)
    if not is_currency(currency):
        raise BillRefused(f"not a currency: {currency[:8]!r}", line=line)
    amount = read_money(row["amount"], "amount", line=line, currency=currency, positive=True)
    fee, net = (read_money(row[name], name, line=line, currency=currency) for name in ("fee", "net"))
    refund = kind is BillRowKind.REFUND
    agree("net", net.minor, (-amount.minor if refund else amount.minor) - fee.minor, line=line)
    order_no, number = (require(row[name], name, line=line) for name in ("order_id", "transaction_id"))
    return BillRow(
        line=line, kind=kind, amount=amount, fee=fee, state=state, channel_state=row["status"], order_no=order_no,
        # MPGS has no number of its own for a payment: it is the order's.
        channel_trade_no=order_no, refund_no=number if refund else "", occurred_at=_moment(row["created_at"], line),
    )  # fmt: skip


def _moment(text: str, line: int) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise BillRefused(f"created_at is not a time: {text[:40]!r}", line=line) from exc
    if moment.tzinfo is None:
        raise BillRefused("created_at has no time zone", line=line)
    return moment
