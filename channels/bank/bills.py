"""The bank's statement of a day; specified in docs/channels/bank.md, section 4."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from datetime import date, time
from pathlib import Path, PurePosixPath

from channels.bank.gateway import Gateway
from channels.base import BillKind, BillRow, BillRowKind, BillRule, FetchedBill
from channels.base.beijing import BEIJING
from channels.base.bill_files import text_lines
from channels.base.bill_tables import DayCheck, agree, read_count, read_money, read_time, require
from paycenter.errors import BillNotReady, BillRefused, UnknownOutcome
from paycenter.money import Money

RULE = BillRule(ready_at=time(9, 0))
_NOT_READY = "STM0001"
_KINDS = {"P": BillRowKind.PAYMENT, "R": BillRowKind.REFUND}
_FIELDS = 8


def fetch(gateway: Gateway, *, day: date, into: Path) -> FetchedBill:
    """See `Provider.fetch_bill`. A day without money has a statement too."""
    answer = gateway.statement(f"{day:%Y%m%d}")
    if answer.code == _NOT_READY:
        raise BillNotReady(f"the bank has no statement of {day} yet")
    if not answer.ok:
        raise UnknownOutcome(f"the bank gives no statement: {answer}")
    try:
        content = base64.b64decode(answer.data.get("Content", ""), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise BillRefused("the bank's answer holds no file") from exc
    into.write_bytes(content)
    return FetchedBill(day, BillKind.TRADE, PurePosixPath(answer.data.get("FileName", "")).name[:128])


def read(path: Path, *, day: date, branch_id: str, co_no: str) -> Iterator[BillRow]:
    """See `Provider.read_bill`."""
    days, tally, head, ended = DayCheck(RULE.bounds(day)), _Tally(), False, False
    for line, text in text_lines(path, "utf-8"):
        values = text.split("|")
        if ended:
            raise BillRefused("a line after the totals", line=line)
        if not head:
            _check_head(values, f"{day:%Y%m%d}", (branch_id, co_no), line)
            head = True
        elif values[0] == "T":
            tally.check(values, line)
            ended = True
        else:
            row = _row(values, line)
            tally.add(row)
            days.see(row.occurred_at, line=line)
            yield row
    if not ended:
        raise BillRefused("the totals are missing: the statement is cut off, or none of the bank's")
    days.finish()


def _check_head(values: Sequence[str], day: str, merchant: tuple[str, str], line: int) -> None:
    if len(values) != 4 or values[0] != "H":
        raise BillRefused("not a statement of the bank: it has no H line", line=line)
    if values[1] != day:
        raise BillRefused(f"of another day: {values[1][:16]}", line=line)
    if (values[2], values[3]) != merchant:
        raise BillRefused(f"of another merchant: {values[2][:16]} {values[3][:16]}", line=line)


def _row(values: Sequence[str], line: int) -> BillRow:
    kind = _KINDS.get(values[0])
    if kind is None or len(values) != _FIELDS:
        raise BillRefused(f"not a line of {_FIELDS} fields that begins with P or R", line=line)
    _mark, order_day, number, serial, moment, amount, fee, refund_no = values
    taken, refund = read_money(fee, "the fee", line=line), kind is BillRowKind.REFUND
    read_time(f"{order_day}000000", BEIJING, "the order's day", line=line)
    return BillRow(
        line=line, kind=kind, amount=read_money(amount, "the amount", line=line, positive=True),
        occurred_at=read_time(moment, BEIJING, "the time", line=line), order_day=order_day,
        order_no=require(number, "BillNo", line=line), channel_trade_no=require(serial, "BankSerialNo", line=line),
        refund_no=require(refund_no, "RefundNo", line=line) if refund else "",
        fee=Money(-taken.minor) if refund else taken,
    )  # fmt: skip


class _Tally:
    """What the T line has to say."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_KINDS.values(), 0)
        self._sums = dict.fromkeys(_KINDS.values(), 0)
        self._fees = 0

    def add(self, row: BillRow) -> None:
        self._counts[row.kind] += 1
        self._sums[row.kind] += row.amount.minor
        self._fees += row.fee.minor if row.fee else 0

    def check(self, values: Sequence[str], line: int) -> None:
        if len(values) != 6:
            raise BillRefused("the T line has other fields", line=line)
        for kind, at in zip(_KINDS.values(), (1, 3), strict=True):
            count, total = read_count(values[at], "T", line=line), read_money(values[at + 1], "T", line=line)
            agree(f"the number of {kind} rows", count, self._counts[kind], line=line)
            agree(f"the sum of {kind} rows", total, Money(self._sums[kind]), line=line)
        agree("the sum of fees", read_money(values[5], "T", line=line), Money(self._fees), line=line)
