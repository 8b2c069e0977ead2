"""WeChat Pay's bills: asked for by a signed call, downloaded by another, and proved by the hash of the first.

Asking and downloading: https://pay.weixin.qq.com/doc/v3/merchant/4012084430 . Columns of the trade bill:
https://pay.weixin.qq.com/docs/merchant/products/bill-download/format-trade.html . More: docs/channels/bills.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Protocol

from channels.base import BillKind, BillRow, BillRowKind, BillRowState, BillRule, FetchedBill
from channels.base.beijing import BEIJING
from channels.base.bill_files import sha1_of_plain, text_lines
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
from channels.wechat.gateway import Answer, Gateway
from paycenter.errors import BillNotReady, BillRefused, UnknownOutcome
from paycenter.money import Money

RULE = BillRule(ready_at=time(10, 0), kinds=(BillKind.TRADE, BillKind.FUND))
_CALLS = {
    BillKind.TRADE: "/v3/bill/tradebill?bill_date={day}&bill_type=ALL&tar_type=GZIP",
    BillKind.FUND: "/v3/bill/fundflowbill?bill_date={day}&account_type=BASIC&tar_type=GZIP",
}
_NO_MONEY, _BEING_MADE = "NO_STATEMENT_EXIST", "STATEMENT_CREATING"


def fetch(gateway: Gateway, mch_id: str, *, day: date, kind: BillKind, into: Path, now: datetime) -> FetchedBill:
    """See `Provider.fetch_bill`."""
    answer = gateway.call("GET", _CALLS[kind].format(day=day.isoformat()), operation="bill")
    if not answer.ok:
        return _no_bill(answer, day, kind, now)
    url, hashed = str(answer.data.get("download_url", "")).strip(), str(answer.data.get("hash_value", ""))
    if not url or not hashed or answer.data.get("hash_type") != "SHA1":
        raise UnknownOutcome("the answer names no bill, or no hash that we know")
    gateway.download(url, into)
    try:
        if sha1_of_plain(into) != hashed.lower():
            raise BillRefused("its hash is not the one that WeChat Pay published")
    except BillRefused:
        into.unlink()
        raise
    return FetchedBill(day, kind, f"{mch_id}_{kind}_{day.isoformat()}.csv.gz")


def _no_bill(answer: Answer, day: date, kind: BillKind, now: datetime) -> FetchedBill:
    if answer.code == _NO_MONEY:
        return FetchedBill(day, kind, "", empty=True)
    # A day that is not over is called an invalid request.
    if answer.code == _BEING_MADE or now < RULE.bounds(day)[1]:
        raise BillNotReady(f"WeChat Pay has no bill of {day} yet: {answer.code}")
    raise UnknownOutcome(f"WeChat Pay gives no bill: {answer.code} {answer.message}")


def read(path: Path, *, day: date, kind: BillKind, mch_id: str) -> Iterator[BillRow]:
    """See `Provider.read_bill`. A fund-flow bill does not say whose it is."""
    table: _Table = _Trades(mch_id) if kind is BillKind.TRADE else _Funds()
    days, columns, totals, ended = DayCheck(RULE.bounds(day)), None, None, False
    for line, text in text_lines(path, "utf-8"):
        if not text:
            continue
        if columns is None:
            columns = table.columns(text.split(","), line)
        elif ended:
            raise BillRefused("text after the totals", line=line)
        elif totals is not None:
            table.check(totals.row(_ticked(text, line), line=line), line)
            ended = True
        elif not text.startswith("`"):
            totals = Columns(text.split(","), table.totals, line=line)
        else:
            row = table.row(columns.row(_ticked(text, line), line=line), line)
            days.see(row.occurred_at, line=line)
            yield row
    if not ended:
        raise BillRefused("the totals are missing: the file is cut off, or none of WeChat Pay's")
    days.finish()


def _ticked(text: str, line: int) -> list[str]:
    """Values, each behind a back-tick. Merchants' commas and line ends are escaped, and quotes mean nothing."""
    if not text.startswith("`") or text.count(",") != text.count(",`"):
        raise BillRefused("a value without the back-tick before it", line=line)
    return text[1:].split(",`")


class _Table(Protocol):
    """One kind of bill: its columns, its rows, and what its totals are the totals of."""

    totals: Sequence[str]

    def columns(self, names: list[str], line: int) -> Columns: ...

    def row(self, row: Mapping[str, str], line: int) -> BillRow: ...

    def check(self, stated: Mapping[str, str], line: int) -> None: ...


# The few merchants with the format of before 2018 have other names for these.
_OLD_NAMES = {"总金额": "订单金额", "退款金额": "申请退款金额"}
# Which column each total is the sum of; of the old format's totals, those whose columns are there.
_SUMS = {
    "应结订单总金额": "应结订单金额", "退款总金额": "退款金额", "充值券退款总金额": "充值券退款金额",
    "手续费总金额": "手续费", "订单总金额": "订单金额", "申请退款总金额": "申请退款金额",
    "总交易额": "总金额", "总退款金额": "退款金额",
}  # fmt: skip
_STATES = {"SUCCESS": BillRowState.SUCCEEDED, "FAIL": BillRowState.FAILED}
_FEN = Decimal("0.01")


class _Trades:
    totals: Sequence[str] = ("总交易单数", "手续费总金额")

    def __init__(self, mch_id: str) -> None:
        self._mch_id = mch_id
        self._count = 0
        self._sums: dict[str, Decimal] = {}
        self._total, self._refunded = "", ""

    def columns(self, names: list[str], line: int) -> Columns:
        if "退款申请时间" in names or "退款状态" not in names:
            raise BillRefused("not a trade bill of WeChat Pay with payments and refunds (ALL)", line=line)
        self._total, self._refunded = (
            old if old in names and new not in names else new for old, new in _OLD_NAMES.items()
        )  # fmt: skip
        self._sums = {name: Decimal(0) for name in _SUMS.values() if name in names}
        return Columns(names, (
            "交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "货币种类", "微信退款单号", "商户退款单号",
            "退款状态", "手续费", self._total, self._refunded,
        ), line=line)  # fmt: skip

    def row(self, row: Mapping[str, str], line: int) -> BillRow:
        if row["商户号"] != self._mch_id:
            raise BillRefused(f"of another merchant: {row['商户号'][:32]}", line=line)
        self._count += 1
        for name in self._sums:
            self._sums[name] += read_decimal(row[name], name, line=line)
        word = row["交易状态"]
        if word not in ("SUCCESS", "REFUND", "REVOKED"):
            raise BillRefused(f"交易状态 is no word we know: {word[:32]}", line=line)
        common = {
            "line": line, "occurred_at": read_time(row["交易时间"], BEIJING, "交易时间", line=line),
            "order_no": require(row["商户订单号"], "商户订单号", line=line),
            "channel_trade_no": require(row["微信订单号"], "微信订单号", line=line),
            "fee": _fee(row["手续费"], line),
        }  # fmt: skip
        if word == "REFUND":
            return self._refund(row, line, common)
        amount = read_money(row[self._total], self._total, currency=row["货币种类"], line=line, positive=True)
        # Taken back by the cashier of a shop right after it was paid: no payment of a page.
        kind = BillRowKind.PAYMENT if word == "SUCCESS" else BillRowKind.OTHER
        return BillRow(kind=kind, amount=amount, channel_state=word, **common)  # type: ignore[arg-type]

    def _refund(self, row: Mapping[str, str], line: int, common: Mapping[str, object]) -> BillRow:
        """Written when the refund is accepted; its state is never brought up to date. CHANGE has not ended either."""
        state = row["退款状态"]
        return BillRow(
            kind=BillRowKind.REFUND, state=_STATES.get(state, BillRowState.PROCESSING), channel_state=state,
            amount=read_money(row[self._refunded], self._refunded, currency=row["货币种类"], line=line, positive=True),
            refund_no=require(row["商户退款单号"], "商户退款单号", line=line),
            channel_refund_no=require(row["微信退款单号"], "微信退款单号", line=line), **common,  # type: ignore[arg-type]
        )  # fmt: skip

    def check(self, stated: Mapping[str, str], line: int) -> None:
        agree("总交易单数", read_count(stated["总交易单数"], "总交易单数", line=line), self._count, line=line)
        for name, column in _SUMS.items():
            if name in stated and column in self._sums:
                agree(name, read_decimal(stated[name], name, line=line), self._sums[column], line=line)


def _fee(text: str, line: int) -> Money:
    """Stated with five decimals, of which WeChat Pay fills two: 1 % of 0.01 is `0.00000` in its bills, 39 % of 0.03
    is `0.01000`. Should it ever fill more, they are rounded half up, as those were."""
    fee = read_decimal(text, "手续费", line=line)
    return Money.from_major(fee.quantize(_FEN, ROUND_HALF_UP))


_MOVES = {"交易": BillRowKind.PAYMENT, "退款": BillRowKind.REFUND, "扣除交易手续费": BillRowKind.FEE}
_SIDES = {"收入": 1, "支出": -1}


class _Funds:
    totals: Sequence[str] = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_SIDES, 0)
        self._sums = dict.fromkeys(_SIDES, Decimal(0))

    def columns(self, names: list[str], line: int) -> Columns:
        needed = ("记账时间", "微信支付业务单号", "资金流水单号", "业务类型", "收支类型", "收支金额(元)", "业务凭证号")
        return Columns(names, needed, line=line)

    def row(self, row: Mapping[str, str], line: int) -> BillRow:
        side, word = row["收支类型"], row["业务类型"]
        if side not in _SIDES:
            raise BillRefused(f"收支类型 is neither income nor spending: {side[:32]}", line=line)
        amount = read_money(row["收支金额(元)"], "收支金额", line=line, positive=True)
        self._counts[side] += 1
        self._sums[side] += Decimal(row["收支金额(元)"])
        kind, sign = _MOVES.get(word, BillRowKind.OTHER), _SIDES[side]
        expected = {BillRowKind.PAYMENT: 1, BillRowKind.REFUND: -1}.get(kind, sign)
        if sign != expected:  # a refund that came back, a payment that was undone
            kind = BillRowKind.OTHER
        refund = kind is BillRowKind.REFUND
        plain = kind in (BillRowKind.PAYMENT, BillRowKind.REFUND)
        return BillRow(
            line=line, kind=kind, amount=amount if plain else Money(sign * amount.minor), channel_state=word,
            occurred_at=read_time(row["记账时间"], BEIJING, "记账时间", line=line),
            order_no="" if refund else row["业务凭证号"], refund_no=row["业务凭证号"] if refund else "",
            channel_trade_no=row["资金流水单号"], channel_refund_no=row["微信支付业务单号"] if refund else "",
        )  # fmt: skip

    def check(self, stated: Mapping[str, str], line: int) -> None:
        count = read_count(stated["资金流水总笔数"], "资金流水总笔数", line=line)
        agree("资金流水总笔数", count, sum(self._counts.values()), line=line)
        for side in _SIDES:
            agree(f"{side}笔数", read_count(stated[f"{side}笔数"], side, line=line), self._counts[side], line=line)
            agree(f"{side}金额", read_decimal(stated[f"{side}金额"], side, line=line), self._sums[side], line=line)
