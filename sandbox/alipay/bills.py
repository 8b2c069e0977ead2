"""Alipay's bills: an address that lives 30 seconds, behind it a ZIP of GBK files with GBK names.

https://opendocs.alipay.com/open/02e7gr
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from sandbox.alipay.envelope import Params, Refused
from sandbox.amounts import yuan
from sandbox.bills import Bill, BillRow, bill_for
from sandbox.channel import BillFile
from sandbox.clock import beijing, day_bounds, wall_clock
from sandbox.context import Context
from sandbox.faults import Call, serve
from sandbox.records import Account

URL_SECONDS = 30
# The bill of a day can be had the next morning.
_READY_HOUR = 9
_TRADE_HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
_FUND_HEADER = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,"
    "交易渠道,业务类型,备注"
)


class Downloads:
    def __init__(self, context: Context) -> None:
        self.context = context

    def url(self, account: Account, params: Params, biz: Mapping[str, Any], base: str) -> dict[str, Any]:
        kind, date = str(biz.get("bill_type", "")), str(biz.get("bill_date", ""))
        if kind not in ("trade", "signcustomer"):
            raise Refused("40004", "isv.TYPE_NOT_SUPPORTED", "账单类型不支持")
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
            raise Refused("40004", "isv.INVAILID_ARGUMENTS", "入参不合法")
        try:
            self._check_ready(date)
            bill = bill_for(self.context.book, account, date, refund_states=False)
        except ValueError:
            raise Refused("40004", "isv.INVAILID_ARGUMENTS", "入参不合法") from None
        token = self.context.token()
        self.context.store.add_token(
            token, "alipay_bill", {"app_id": account.key, "kind": kind, "date": date},
            self.context.clock() + URL_SECONDS,
        )  # fmt: skip
        name = render(account, bill, kind).filename
        answer = {"code": "10000", "msg": "Success", "bill_download_url": f"{base}/downloads/alipay/{token}/{name}"}
        return answer if bill.rows else answer | {"bill_file_code": "EMPTY_DATA_WITH_BILL_FILE"}

    def _check_ready(self, date: str) -> None:
        _start, end = day_bounds(date)
        ready = end + _READY_HOUR * 3600
        if self.context.clock() < ready and not self.context.settings.same_day_bills:
            raise Refused("40004", "isp.BILL_NOT_EXIST", "账单不存在")

    async def file(self, request: web.Request) -> web.StreamResponse:
        call = Call(channel="alipay", operation="bill_file")
        return await serve(self.context, request, call, lambda: self._file(request), lambda made, _signature: made)

    def _file(self, request: web.Request) -> web.Response:
        known = self.context.store.token(request.match_info["token"], "alipay_bill")
        if known is None or known[1] < self.context.clock():
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>",
                                content_type="application/xml")  # fmt: skip
        account = self.context.store.account("alipay", known[0]["app_id"])
        if account is None:
            raise web.HTTPNotFound
        bill = bill_for(self.context.book, account, known[0]["date"], refund_states=False)
        made = render(account, bill, known[0]["kind"])
        return web.Response(body=made.content, content_type=made.content_type)


def render(account: Account, bill: Bill, kind: str) -> BillFile:
    """The ZIP: a detail file and a summary file, both GBK, entry names GBK without the UTF-8 flag."""
    number = f"{account.config['seller_id']}0156"
    day = bill.date.replace("-", "")
    if kind == "signcustomer":
        detail, titles = _fund_detail(number, bill), ("账务明细", "账务明细(汇总)")
    else:
        detail, titles = _trade_detail(number, bill), ("业务明细", "业务明细(汇总)")
    files = {
        f"{number}_{day}_{titles[0]}.csv": detail,
        f"{number}_{day}_{titles[1]}.csv": _summary(number, bill, titles[1]),
    }
    return BillFile(f"{number}_{day}.csv.zip", "application/zip", _zip(files))


def _zip(files: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(_GbkName(name), text.encode("gbk", "replace"))
    return out.getvalue()


class _GbkName(zipfile.ZipInfo):
    """An entry whose name is GBK bytes with the UTF-8 flag unset, as Alipay's are."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.compress_type = zipfile.ZIP_DEFLATED

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def _trade_detail(number: str, bill: Bill) -> str:
    payments = [r for r in bill.rows if r.kind == "payment"]
    refunds = [r for r in bill.rows if r.kind == "refund"]
    received, returned = sum(r.amount for r in payments), sum(r.amount for r in refunds)
    lines = [
        *_head("业务", number, bill),
        "#-----------------------------------------业务明细列表----------------------------------------",
        _TRADE_HEADER,
        *(_trade_line(row) for row in bill.rows),
        "#-----------------------------------------业务明细列表结束------------------------------------",
        f"#交易合计：{len(payments)}笔，商家实收共{yuan(received)}元，商家优惠共0.00元",
        f"#退款合计：{len(refunds)}笔，商家实收退款共{yuan(-returned)}元，商家优惠退款共0.00元",
        _exported(bill),
    ]
    return "\r\n".join(lines) + "\r\n"


def _trade_line(row: BillRow) -> str:
    sign = -1 if row.kind == "refund" else 1
    amount = yuan(sign * row.amount)
    # Text ends with a TAB (against spreadsheets), numbers do not; a refund gives its fee back.
    fields = [
        _text(row.trade_no), _text(row.order_no), _text("退款" if sign < 0 else "交易"), _clean(row.subject),
        wall_clock(row.created_at), wall_clock(row.occurred_at), "\t", "\t", "\t", "\t", _text(row.payer),
        amount, amount, "0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00\t", "0.00", _text(row.refund_no),
        yuan(-sign * row.fee), "0.00", _clean(row.subject),
    ]  # fmt: skip
    return ",".join(fields)


def _fund_detail(number: str, bill: Bill) -> str:
    lines = [
        *_head("账务", number, bill),
        "#-----------------------------------------账务明细列表----------------------------------------",
        _FUND_HEADER,
    ]
    balance = income = spent = 0
    entries = [entry for row in bill.rows for entry in _fund_entries(row)]
    for position, (row, amount, business) in enumerate(entries):
        balance, income, spent = balance + amount, income + max(amount, 0), spent + max(-amount, 0)
        fields = [
            _text(f"{row.trade_no[:8]}{row.trade_no[-6:]}{position:04d}"), _text(row.trade_no), _text(row.order_no),
            _text(_clean(row.subject)), wall_clock(row.occurred_at), _text(row.payer), yuan(max(amount, 0)),
            yuan(min(amount, 0)), yuan(balance), "支付宝", business, row.refund_no,
        ]  # fmt: skip
        lines.append(",".join(fields))
    lines += [
        "#----------------------------------------账务明细列表结束-------------------------------------",
        f"#支出合计：{sum(1 for e in entries if e[1] < 0)}笔，共{yuan(-spent)}元",
        f"#收入合计：{sum(1 for e in entries if e[1] > 0)}笔，共{yuan(income)}元",
        _exported(bill),
    ]
    return "\r\n".join(lines) + "\r\n"


def _fund_entries(row: BillRow) -> Sequence[tuple[BillRow, int, str]]:
    """What a row moved on the account: the money, and the fee taken or given back."""
    if row.kind == "payment":
        return [(row, row.amount, "在线支付"), (row, -row.fee, "收费")][: 2 if row.fee else 1]
    return [(row, -row.amount, "交易退款"), (row, row.fee, "收费退还")][: 2 if row.fee else 1]


def _summary(number: str, bill: Bill, title: str) -> str:
    payments = [r for r in bill.rows if r.kind == "payment"]
    refunds = [r for r in bill.rows if r.kind == "refund"]
    net = sum(r.amount for r in payments) - sum(r.amount for r in refunds)
    fees = sum(r.fee for r in payments) - sum(r.fee for r in refunds)
    lines = [
        *_head(title[:2], number, bill),
        f"#-----------------------------------------{title}----------------------------------------",
        "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,服务费（元）,实收净额（元）",
        f"合计\t,\t,{len(payments)},{len(refunds)},{yuan(net)},{yuan(net)},{yuan(-fees)},{yuan(net - fees)}",
        f"#-----------------------------------------{title}结束------------------------------------",
        _exported(bill),
    ]
    return "\r\n".join(lines) + "\r\n"


def _head(word: str, number: str, bill: Bill) -> list[str]:
    start, end = (beijing(t).strftime("%Y年%m月%d日 %H:%M:%S") for t in day_bounds(bill.date))
    return [f"#支付宝{word}明细查询", f"#账号：[{number}]", f"#起始日期：[{start}]   终止日期：[{end}]"]


def _exported(bill: Bill) -> str:
    return f"#导出时间：[{beijing(bill.made_at).strftime('%Y年%m月%d日 %H:%M:%S')}]"


def _text(value: str) -> str:
    return f"{value}\t"


def _clean(value: str) -> str:
    return value.replace(",", " ").replace("\r", " ").replace("\n", " ")
