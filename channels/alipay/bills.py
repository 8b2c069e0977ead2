"""Alipay's bills: a zip of GBK files, behind an address that lives 30 seconds.

https://opendocs.alipay.com/open/02e7gr (alipay.data.dataservice.bill.downloadurl.query). Columns, comments and
totals as in recorded files; see docs/channels/bills.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from channels.alipay.gateway import Answer, Gateway
from channels.base import BillKind, BillRow, BillRowKind, BillRule, FetchedBill
from channels.base.beijing import BEIJING
from channels.base.bill_files import Entry, Line, entries, text_lines
from channels.base.bill_tables import (
    Columns,
    DayCheck,
    agree,
    read_count,
    read_decimal,
    read_money,
    read_time,
    require,
)
from paycenter.errors import BillNotReady, BillRefused, UnknownOutcome
from paycenter.money import Money

RULE = BillRule(ready_at=time(9, 0), kinds=(BillKind.TRADE, BillKind.FUND))
_METHOD = "alipay.data.dataservice.bill.downloadurl.query"
# Alipay has one word for "not made yet" and "nothing to make". The prefixes are those of its practice.
_NOT_THERE = frozenset({"NO_BILL_DATA", "BILL_NOT_EXIST"})
_EMPTY = "EMPTY_DATA_WITH_BILL_FILE"


@dataclass(frozen=True, slots=True)
class _Form:
    """What one kind of bill is called and made of."""

    bill_type: str
    title: str
    columns: tuple[str, ...]


_FORMS = {
    BillKind.TRADE: _Form("trade", "业务明细", (
        "支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额(元)", "商家实收(元)", "退款批次号/请求号",
        "服务费(元)",
    )),
    BillKind.FUND: _Form("signcustomer", "账务明细", (
        "账务流水号", "业务流水号", "商户订单号", "发生时间", "收入金额(+元)", "支出金额(-元)", "业务类型",
    )),
}  # fmt: skip


def fetch(gateway: Gateway, *, day: date, kind: BillKind, into: Path, now: datetime) -> FetchedBill:
    """See `Provider.fetch_bill`."""
    content = {"bill_type": _FORMS[kind].bill_type, "bill_date": day.isoformat()}
    answer = gateway.call(_METHOD, content, operation="bill")
    if not answer.ok:
        return _not_there(answer, day, kind, now)
    url, empty = answer.text("bill_download_url"), answer.text("bill_file_code").startswith(_EMPTY)
    if url:
        gateway.download(url, into)
    elif not empty:
        raise UnknownOutcome("Alipay's answer has no address of a bill")
    return FetchedBill(day, kind, _file_name(url), empty=empty)


def _not_there(answer: Answer, day: date, kind: BillKind, now: datetime) -> FetchedBill:
    if answer.sub_code.rpartition(".")[2] not in _NOT_THERE:
        raise UnknownOutcome(f"Alipay gives no bill: {answer}")
    if not answer.signed or not RULE.overdue(day, now):
        raise BillNotReady(f"Alipay has no bill of {day} yet: {answer}")
    return FetchedBill(day, kind, "", empty=True)


def _file_name(url: str) -> str:
    parts = urlsplit(url)
    named = parse_qs(parts.query).get("downloadFileName")
    return PurePosixPath(named[0] if named else unquote(parts.path)).name[:128]


def read(path: Path, *, day: date, kind: BillKind, seller_id: str) -> Iterator[BillRow]:
    """See `Provider.read_bill`."""
    form = _FORMS[kind]
    reading = _Reading(form, day, seller_id)
    row = _trade_row if kind is BillKind.TRADE else _fund_row
    for line in text_lines(path, "gb18030", _detail(path, form)):
        values = reading.take(line)
        if values is not None:
            made = row(values, line[0], reading.tally)
            reading.day_check.see(made.occurred_at, line=line[0])
            yield made
    reading.finish()


def _detail(path: Path, form: _Form) -> Entry | None:
    """The archive's file of details, beside which there is one of summaries."""
    found = entries(path)
    if not found:
        return None
    for entry in found:
        if form.title in entry.name and "汇总" not in entry.name:
            return entry
    raise BillRefused(f"the archive holds no {form.title}: {', '.join(e.name for e in found)[:200]}")


# -- comments: whose bill, of which day, where its rows end, and what they come to


_ACCOUNT = re.compile(r"#账号[：:]\[([0-9A-Za-z@._-]+)\]")
_PERIOD = re.compile(r"#起始日期[：:]\[([^\]]+)\]\s*终止日期[：:]\[([^\]]+)\]")
_MOMENT = "%Y年%m月%d日 %H:%M:%S"
_TOTALS = {
    "交易合计": re.compile(r"#交易合计：(\S+?)笔，商家实收共(\S+?)元.*"),
    "退款合计": re.compile(r"#退款合计：(\S+?)笔，商家实收退款共(\S+?)元.*"),
    "支出合计": re.compile(r"#支出合计：(\S+?)笔，共(\S+?)元.*"),
    "收入合计": re.compile(r"#收入合计：(\S+?)笔，共(\S+?)元.*"),
}


@dataclass(slots=True)
class _Tally:
    """Counts and sums by the names that the totals lines have for them."""

    counts: dict[str, int] = field(default_factory=dict)
    sums: dict[str, Decimal] = field(default_factory=dict)

    def add(self, name: str, amount: Decimal) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        self.sums[name] = self.sums.get(name, Decimal(0)) + amount


class _Reading:
    """One pass over the lines: what was stated so far, and what has yet to come."""

    def __init__(self, form: _Form, day: date, seller_id: str) -> None:
        self._form, self._day, self._seller_id = form, day, seller_id
        self._columns: Columns | None = None
        self._stated: set[str] = set()
        self._ended = False
        self.tally = _Tally()
        self.day_check = DayCheck(RULE.bounds(day))

    def take(self, line: Line) -> dict[str, str] | None:
        """The values of a row; None for a line that is none."""
        number, text = line
        if not text.strip():
            return None
        if text.startswith("#"):
            self._comment(number, text.strip())
            return None
        values = [value.strip() for value in text.split(",")]
        if self._columns is None:
            self._begin(number, values)
            return None
        if self._ended:
            raise BillRefused("a row after the end of the list", line=number)
        return self._columns.row(values, line=number)

    def _begin(self, number: int, names: list[str]) -> None:
        missing = {"title", "account", "period"} - self._stated
        if missing:
            raise BillRefused(f"not a {self._form.title} of Alipay: its head states no {min(missing)}", line=number)
        names = [name.replace("（", "(").replace("）", ")") for name in names]
        self._columns = Columns(names, self._form.columns, line=number)

    def _comment(self, number: int, text: str) -> None:
        if text.startswith(f"#支付宝{self._form.title}"):
            self._stated.add("title")
        elif text.startswith("#账号"):
            self._check_account(number, text)
        elif text.startswith("#起始日期"):
            self._check_period(number, text)
        elif "列表结束" in text:
            self._ended = self._columns is not None
        else:
            self._check_totals(number, text)

    def _check_account(self, number: int, text: str) -> None:
        found = _ACCOUNT.match(text)
        # Behind the 16 digits are four more, `0156` for the balance in yuan.
        if found is None or not re.fullmatch(re.escape(self._seller_id) + "([0-9]{4})?", found[1]):
            raise BillRefused(f"of another account: {text[:80]}", line=number)
        self._stated.add("account")

    def _check_period(self, number: int, text: str) -> None:
        found = _PERIOD.match(text)
        try:
            start, end = (datetime.strptime(t, _MOMENT) for t in found.groups()) if found else (None, None)
        except ValueError:
            start = end = None
        begin = datetime.combine(self._day, time())
        if start != begin or end is None or not begin < end <= begin + timedelta(days=1):
            raise BillRefused(f"of another day: {text[:80]}", line=number)
        self._stated.add("period")

    def _check_totals(self, number: int, text: str) -> None:
        name = text[1:5]
        if name not in _TOTALS:
            return
        found = _TOTALS[name].fullmatch(text)
        if found is None:
            raise BillRefused(f"the totals are written in another way: {text[:80]}", line=number)
        if not self._ended:
            raise BillRefused("totals before the end of the list", line=number)
        agree(f"the number in {name}", read_count(found[1], name, line=number), self.tally.counts.get(name, 0),
              line=number)  # fmt: skip
        agree(f"the sum in {name}", abs(read_decimal(found[2], name, line=number)),
              abs(self.tally.sums.get(name, Decimal(0))), line=number)  # fmt: skip

    def finish(self) -> None:
        if not self._ended:
            raise BillRefused("the line that ends the list is missing: the file is cut off, or none of Alipay's")
        self.day_check.finish()


# -- rows


_TRADE_KINDS = {"交易": (BillRowKind.PAYMENT, "交易合计"), "退款": (BillRowKind.REFUND, "退款合计")}


def _trade_row(row: Mapping[str, str], line: int, tally: _Tally) -> BillRow:
    """Refunds repeat the trade's number and are negative; the fee is negative where it was taken."""
    word = row["业务类型"]
    kind, total = _TRADE_KINDS.get(word, (BillRowKind.OTHER, ""))
    if total:
        tally.add(total, read_decimal(row["商家实收(元)"], "商家实收", line=line))
    amount, fee = (read_money(row[name], name, line=line) for name in ("订单金额(元)", "服务费(元)"))
    if kind is BillRowKind.REFUND:
        amount = Money(-amount.minor)
    if kind is not BillRowKind.OTHER and amount.minor < 0:
        raise BillRefused(f"订单金额 has the wrong sign for a row of {word}", line=line)
    refund = kind is BillRowKind.REFUND
    return BillRow(
        line=line, kind=kind, amount=amount, occurred_at=read_time(row["完成时间"], BEIJING, "完成时间", line=line),
        order_no=row["商户订单号"], channel_trade_no=require(row["支付宝交易号"], "支付宝交易号", line=line),
        refund_no=row["退款批次号/请求号"] if refund else "", fee=Money(-fee.minor), channel_state=word,
    )  # fmt: skip


_FUND_KINDS = {
    "在线支付": BillRowKind.PAYMENT, "交易付款": BillRowKind.PAYMENT, "交易退款": BillRowKind.REFUND,
    "收费": BillRowKind.FEE, "收费退还": BillRowKind.FEE, "退费": BillRowKind.FEE, "服务费": BillRowKind.FEE,
}  # fmt: skip


def _fund_row(row: Mapping[str, str], line: int, tally: _Tally) -> BillRow:
    """A movement of the account: one of two columns is zero."""
    income = read_money(row["收入金额(+元)"], "收入金额", line=line).minor
    spent = abs(read_money(row["支出金额(-元)"], "支出金额", line=line).minor)
    if income < 0 or (income and spent):
        raise BillRefused("money came in and went out in one row", line=line)
    moved = income - spent
    if moved:
        tally.add("收入合计" if moved > 0 else "支出合计", Decimal(moved) / 100)
    kind = _FUND_KINDS.get(row["业务类型"], BillRowKind.OTHER)
    # A payment comes in and a refund goes out; the other way round they are the merchant's own business.
    if (kind is BillRowKind.PAYMENT and moved <= 0) or (kind is BillRowKind.REFUND and moved >= 0):
        kind = BillRowKind.OTHER
    return BillRow(
        line=line, kind=kind, amount=Money(-moved if kind is BillRowKind.REFUND else moved),
        occurred_at=read_time(row["发生时间"], BEIJING, "发生时间", line=line), order_no=row["商户订单号"],
        channel_trade_no=row["业务流水号"], channel_state=row["业务类型"],
    )  # fmt: skip
