"""UnionPay's statement file (76/01): an answer that carries base64 of a deflated zip, in it lines of fixed columns.

The widths are those of the demo code in UnionPay's development kit:
https://open.unionpay.com/tjweb/acproduct/list?apiservId=448 . What no real file confirms: docs/channels/bills.md.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from itertools import accumulate
from pathlib import Path, PurePosixPath

from channels.base import BillKind, BillRow, BillRowKind, BillRule, FetchedBill
from channels.base.beijing import BEIJING, beijing_digits
from channels.base.bill_files import Entry, entries, raw_lines
from channels.base.bill_tables import DayCheck, require
from channels.unionpay.codes import SUCCESS
from channels.unionpay.gateway import Gateway
from paycenter.errors import BillNotReady, BillRefused, UnknownOutcome
from paycenter.money import Money

# A clearing day: what is paid after 23:00 is in the next day's file.
RULE = BillRule(cut=time(23, 0), ready_at=time(9, 0))
# One word for "not made yet" and "nothing to make".
_NO_FILE = "98"
_MAX_ZIP_BYTES = 256 * 1024**2

# Bytes of each column of a ZM line, one space between two. Older files end in 131 instead of 98.
_WIDTHS = (
    3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15, 1, 15, 32,
    13, 13, 8, 32, 13, 13, 12, 2, 1, 32, 98,
)  # fmt: skip
_ENDS = tuple(at - 1 for at in accumulate(width + 1 for width in _WIDTHS))
_COLUMNS = tuple(slice(end - width, end) for width, end in zip(_WIDTHS, _ENDS, strict=True))
_LENGTHS = (_ENDS[-1], _ENDS[-1] + 131 - 98)
# Columns by their number in the documentation, from 1.
_SENT_AT, _AMOUNT, _QUERY_ID, _ORDER_ID, _FEE, _SETTLED, _TYPE, _OF_QUERY_ID, _MERCHANT, _OF_ORDER_ID = (
    5, 7, 10, 12, 16, 17, 20, 27, 28, 41,
)  # fmt: skip
_KINDS = {"01": BillRowKind.PAYMENT, "04": BillRowKind.REFUND, "31": BillRowKind.REFUND}
_DETAILS = re.compile(r"INN([0-9]{6})[0-9]{2}ZM_([0-9A-Za-z]{15})", re.ASCII)
_DIGITS = re.compile(r"[0-9]{12}", re.ASCII)
_SIGNED = re.compile(r"([CD])([0-9]{12})", re.ASCII)
_MOMENT = re.compile(r"[0-9]{10}", re.ASCII)


def fetch(gateway: Gateway, *, day: date, into: Path, now: datetime) -> FetchedBill:
    """See `Provider.fetch_bill`. What is kept is the zip, as the answer's encodings are the transport's."""
    answer = gateway.statement({
        "txnType": "76", "txnSubType": "01", "bizType": "000000", "txnTime": beijing_digits(now),
        "settleDate": f"{day:%m%d}", "fileType": "00",
    })  # fmt: skip
    if answer.code == _NO_FILE:
        if not RULE.overdue(day, now):
            raise BillNotReady(f"UnionPay has no file of {day} yet: {answer}")
        return FetchedBill(day, BillKind.TRADE, "", empty=True)
    if answer.code not in SUCCESS:
        raise UnknownOutcome(f"UnionPay gives no file: {answer}")
    into.write_bytes(_unpacked(answer.data.get("fileContent", "")))
    return FetchedBill(day, BillKind.TRADE, PurePosixPath(answer.data.get("fileName", "")).name[:128])


def _unpacked(content: str) -> bytes:
    inflate = zlib.decompressobj()
    try:
        packed = inflate.decompress(base64.b64decode(content, validate=True), _MAX_ZIP_BYTES)
    except (binascii.Error, ValueError, zlib.error) as exc:
        raise BillRefused("UnionPay's answer holds no file that can be unpacked") from exc
    if not inflate.eof:
        raise BillRefused("UnionPay's file is cut off, or larger than a bill")
    return packed


def read(path: Path, *, day: date, mer_id: str) -> Iterator[BillRow]:
    """See `Provider.read_bill`. The file has no totals; a day without money is an archive of an empty one."""
    days, detail, any_row = DayCheck(RULE.bounds(day)), _detail(path, day, mer_id), False
    for line, raw in raw_lines(path, detail):
        if raw:
            row = _Row(raw, line).read(day, mer_id)
            days.see(row.occurred_at, line=line)
            any_row = True
            yield row
    if detail is None and not any_row:
        raise BillRefused("an empty file is no statement")
    days.finish()


def _detail(path: Path, day: date, mer_id: str) -> Entry | None:
    """The file of details, whose name says the day and the merchant; beside it are those of errors and fees."""
    found = entries(path)
    if not found:
        return None
    for entry in found:
        named = _DETAILS.fullmatch(PurePosixPath(entry.name).name)
        if named is None:
            continue
        if named[2] != mer_id:
            raise BillRefused(f"of another merchant: {entry.name[:80]}")
        if named[1] != f"{day:%y%m%d}":
            raise BillRefused(f"of another day: {entry.name[:80]}")
        return entry
    raise BillRefused(f"the archive holds no INN…ZM_ file: {', '.join(e.name for e in found)[:200]}")


class _Row:
    """One line, by column numbers."""

    def __init__(self, raw: bytes, line: int) -> None:
        if len(raw) not in _LENGTHS or any(raw[end : end + 1] != b" " for end in _ENDS[:-1]):
            raise BillRefused(f"not the columns of a ZM file ({len(raw)} bytes)", line=line)
        self._raw, self._line = raw, line

    def text(self, column: int) -> str:
        try:
            return self._raw[_COLUMNS[column - 1]].decode("gb18030").strip()
        except UnicodeDecodeError as exc:
            raise BillRefused(f"column {column} is no text", line=self._line) from exc

    def read(self, day: date, mer_id: str) -> BillRow:
        if self.text(_MERCHANT) != mer_id:
            raise BillRefused(f"of another merchant: {self.text(_MERCHANT)}", line=self._line)
        word = self.text(_TYPE)
        kind = _KINDS.get(word, BillRowKind.OTHER)
        amount, order_no = self._amount(), require(self.text(_ORDER_ID), "orderId", line=self._line)
        number = require(self.text(_QUERY_ID), "queryId", line=self._line)
        refund = kind is BillRowKind.REFUND
        if kind is BillRowKind.OTHER and self._signed(_SETTLED).minor < 0:
            amount = Money(-amount.minor)
        return BillRow(
            line=self._line, kind=kind, amount=amount, occurred_at=self._sent_at(day), channel_state=word,
            order_no=self.text(_OF_ORDER_ID) if refund else order_no, refund_no=order_no if refund else "",
            channel_trade_no=self.text(_OF_QUERY_ID) if refund else number,
            channel_refund_no=number if refund else "", fee=Money(-self._signed(_FEE).minor),
        )  # fmt: skip

    def _amount(self) -> Money:
        text = self.text(_AMOUNT)
        if not _DIGITS.fullmatch(text):
            raise BillRefused(f"the amount is no amount: {text!r}", line=self._line)
        return Money(int(text))

    def _signed(self, column: int) -> Money:
        """Credit to the merchant is positive, debit negative."""
        found = _SIGNED.fullmatch(self.text(column))
        if found is None:
            raise BillRefused(f"column {column} is no amount with its sign", line=self._line)
        return Money(int(found[2]) * (1 if found[1] == "C" else -1))

    def _sent_at(self, day: date) -> datetime:
        text = self.text(_SENT_AT)
        moment = year_found(text, RULE.bounds(day)[0]) if _MOMENT.fullmatch(text) else None
        if moment is None:
            raise BillRefused(f"the time is no time: {text!r}", line=self._line)
        return moment


def year_found(text: str, near: datetime) -> datetime | None:
    """`MMDDhhmmss` in the year in which it is nearest to `near`; None where it is no time in any."""
    found = []
    for year in (near.year - 1, near.year, near.year + 1):
        try:
            found.append(datetime.strptime(f"{year}{text}", "%Y%m%d%H%M%S").replace(tzinfo=BEIJING))
        except ValueError:
            continue
    return min(found, key=lambda moment: abs(moment - near), default=None)
