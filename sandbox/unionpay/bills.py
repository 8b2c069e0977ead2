"""The statement file: base64 of a zlib stream of a ZIP of fixed-width GBK lines, one clearing day each.

Widths are from UnionPay's published demo code; codes of field 1 and the sign letters are from memory.
"""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from sandbox.bills import Bill, BillRow, bill_for
from sandbox.book import Book
from sandbox.channel import BillFile
from sandbox.clock import beijing
from sandbox.context import Context
from sandbox.records import Account
from sandbox.unionpay.wire import Params, Refused

WIDTHS = (
    3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15, 1, 15, 32,
    13, 13, 8, 32, 13, 13, 12, 2, 1, 32, 98,
)  # fmt: skip
_READY_HOUR = 9
_CLOSING_HOUR = 23


def download(context: Context, account: Account, params: Params) -> dict[str, str]:
    """The answer to a file request (76/01) for `settleDate` MMDD. Raises Refused, 98 where there is none."""
    if (params["txnType"], params["txnSubType"], params.get("fileType")) != ("76", "01", "00"):
        raise Refused("10", "报文格式错误[txnType, txnSubType, fileType]")
    date = _latest(context, params.get("settleDate", ""))
    ready = date + timedelta(days=1, hours=_READY_HOUR)
    if beijing(context.clock()).replace(tzinfo=None) < ready and not context.settings.same_day_bills:
        raise Refused("98", "文件不存在[5801001]")
    day = date.strftime("%Y-%m-%d")
    made = render(context.book, account, bill_for(context.book, account, day, refund_states=False))
    content = base64.b64encode(zlib.compress(made.content)).decode()
    return {"fileName": made.filename, "fileContent": content, "settleDate": params["settleDate"]}


def _latest(context: Context, text: str) -> datetime:
    """The last such day there was, as the request names no year."""
    now = beijing(context.clock()).replace(tzinfo=None)
    for year in (now.year, now.year - 1):
        try:
            found = datetime.strptime(f"{year}{text}", "%Y%m%d")
        except ValueError:
            continue
        if len(text) == 4 and found <= now + timedelta(hours=1):
            return found
    raise Refused("10", "报文格式错误[settleDate]")


def render(book: Book, account: Account, bill: Bill) -> BillFile:
    """The ZIP as UnionPay names it; an empty day has a file without lines."""
    rows = _clearing_rows(book, account, bill)
    name = f"INN{bill.date[2:].replace('-', '')}88ZM_{account.key}"
    lines = b"".join(_line(account, row) + b"\r\n" for row in rows)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, lines)
        archive.writestr(name.replace("ZM_", "ZME_"), b"")
    return BillFile(f"{account.key}_{bill.date.replace('-', '')}.zip", "application/zip", out.getvalue())


def _clearing_rows(book: Book, account: Account, bill: Bill) -> Sequence[BillRow]:
    """From 23:00 of the day before to 23:00 of the day."""
    before = datetime.strptime(bill.date, "%Y-%m-%d") - timedelta(days=1)
    late = bill_for(book, account, before.strftime("%Y-%m-%d"), refund_states=False).rows
    return [
        *(row for row in late if beijing(row.occurred_at).hour >= _CLOSING_HOUR),
        *(row for row in bill.rows if beijing(row.occurred_at).hour < _CLOSING_HOUR),
    ]


def _line(account: Account, row: BillRow) -> bytes:
    refund = row.kind == "refund"
    number, own = (row.channel_refund_no, row.refund_no) if refund else (row.trade_no, row.order_no)
    sign, back = ("D", "C") if refund else ("C", "D")
    values = {
        1: "S30" if refund else "S22", 2: "00049992", 3: "00049992", 4: number[14:20],
        5: beijing(row.occurred_at).strftime("%m%d%H%M%S"), 6: "621626*********0000", 7: f"{row.amount:012d}",
        8: "4900", 9: "07", 10: number, 12: own, 13: "01", 16: f"{back}{row.fee:012d}",
        17: f"{sign}{row.amount - row.fee:012d}", 18: "0001", 20: "04" if refund else "01",
        21: "00" if refund else "01", 22: "000201", 27: row.trade_no if refund else "", 28: account.key,
        31: account.name, 33: f"{sign}{row.amount - row.fee:012d}", 34: "01080209",
        41: row.order_no if refund else "",
    }  # fmt: skip
    return b" ".join(_column(values.get(i, ""), width) for i, width in enumerate(WIDTHS, start=1))


def _column(value: str, width: int) -> bytes:
    """Padded to a width in bytes; a name of two-byte characters is never cut in the middle of one."""
    raw = value.encode("gbk", "replace")[:width]
    return raw.decode("gbk", "ignore").encode("gbk").ljust(width)
