"""Bills: UTF-8 with a byte order mark, CRLF, a back-tick before every value; the SHA-1 is over the
uncompressed file. https://pay.weixin.qq.com/doc/v3/merchant/4012791866
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from sandbox.amounts import yuan
from sandbox.bills import FEE_RATE, Bill, BillRow, bill_for
from sandbox.channel import BillFile
from sandbox.clock import day_bounds, wall_clock
from sandbox.context import Context, base_url
from sandbox.faults import Call, serve
from sandbox.records import Account
from sandbox.wechat.orders import TRADE_TYPES
from sandbox.wechat.transport import Asked, Problem, Reply, authenticate, parameter_error

URL_SECONDS = 5 * 60
_READY_HOUR = 10
_OLDEST_DAYS = 93
_HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,"
    "订单金额,申请退款金额,费率备注"
)
_TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
_FUND_HEADER = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
_FUND_TOTALS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


class Bills:
    def __init__(self, context: Context) -> None:
        self.context = context

    def trade(self, asked: Asked) -> Reply:
        kind = asked.request.query.get("bill_type", "ALL")
        if kind not in ("ALL", "SUCCESS", "REFUND"):
            raise parameter_error("bill_type", "应为ALL、SUCCESS或REFUND", "query")
        return self._offer(asked, kind)

    def fund(self, asked: Asked) -> Reply:
        if asked.request.query.get("account_type", "BASIC") not in ("BASIC", "OPERATION", "FEES"):
            raise parameter_error("account_type", "应为BASIC、OPERATION或FEES", "query")
        return self._offer(asked, "FUND")

    def _offer(self, asked: Asked, kind: str) -> Reply:
        date, packed = asked.request.query.get("bill_date", ""), asked.request.query.get("tar_type", "")
        if packed not in ("", "GZIP"):
            raise parameter_error("tar_type", "应为GZIP", "query")
        try:
            start, end = day_bounds(date)
        except ValueError:
            raise parameter_error("bill_date", "格式应为yyyy-MM-dd", "query") from None
        self._check_day(start, end)
        bill = bill_for(self.context.book, asked.account, date, refund_states=True)
        if not bill.rows:
            raise Problem(400, "NO_STATEMENT_EXIST", "账单文件不存在")
        content = render(asked.account, bill, kind).content
        token = self.context.token()
        self.context.store.add_token(
            token, "wechat_bill", {"mchid": asked.account.key, "kind": kind, "date": date, "gzip": packed},
            self.context.clock() + URL_SECONDS,
        )  # fmt: skip
        return Reply(200, {
            "download_url": f"{base_url(asked.request)}/v3/billdownload/file?token={token}",
            "hash_type": "SHA1", "hash_value": hashlib.sha1(content).hexdigest(),
        })  # fmt: skip

    def _check_day(self, start: float, end: float) -> None:
        now = self.context.clock()
        if self.context.settings.same_day_bills and start <= now:
            return
        if now < end or now - start > _OLDEST_DAYS * 86400:
            raise Problem(400, "INVALID_REQUEST", "账单日期应为三个月内的过去日期")
        if now < end + _READY_HOUR * 3600:
            raise Problem(400, "STATEMENT_CREATING", "账单生成中，请稍后再试")

    async def file(self, request: web.Request) -> web.StreamResponse:
        """The download itself: the request is signed, the answer is not."""
        call = Call(channel="wechat", operation="bill_file")
        return await serve(self.context, request, call, lambda: self._file(request), lambda made, _signature: made)

    def _file(self, request: web.Request) -> web.Response:
        try:
            content = self._content(authenticate(self.context, request, b"", wordy=True), request)
        except Problem as problem:
            return web.json_response(problem.body(), status=problem.status)
        return web.Response(body=content, content_type="application/octet-stream")

    def _content(self, account: Account, request: web.Request) -> bytes:
        known = self.context.store.token(request.query.get("token", ""), "wechat_bill")
        if known is None or known[1] < self.context.clock():
            raise Problem(400, "INVALID_REQUEST", "token已失效，请重新获取下载地址")
        data: dict[str, Any] = known[0]
        if data["mchid"] != account.key:
            raise Problem(403, "NO_AUTH", "商户号无权限下载该账单")
        bill = bill_for(self.context.book, account, data["date"], refund_states=True)
        content = render(account, bill, data["kind"]).content
        return gzip.compress(content) if data["gzip"] else content


def render(account: Account, bill: Bill, kind: str) -> BillFile:
    lines = _fund_lines(bill.rows) if kind == "FUND" else _trade_lines(account, bill.rows, kind)
    content = "\ufeff" + "\r\n".join(lines) + "\r\n"
    return BillFile(f"{account.key}{kind}{bill.date}.csv", "text/csv", content.encode())


def _trade_lines(account: Account, rows: Sequence[BillRow], kind: str) -> list[str]:
    wanted = {"SUCCESS": ("payment",), "REFUND": ("refund",)}.get(kind, ("payment", "refund"))
    shown = [row for row in rows if row.kind in wanted]
    payments, refunds = ([r for r in shown if r.kind == k] for k in ("payment", "refund"))
    paid, returned = sum(r.amount for r in payments), sum(r.amount for r in refunds)
    fees = sum(r.fee for r in payments) - sum(r.fee for r in refunds)
    drop = range(14, 20) if kind == "SUCCESS" else ()
    table = [_HEADER.split(",")] + [_trade_fields(account, row) for row in shown]
    cut = [[v for i, v in enumerate(line) if i not in drop] for line in table]
    totals = [str(len(shown)), yuan(paid), yuan(returned), "0.00", _fee(fees), yuan(paid), yuan(returned)]
    return [",".join(cut[0]), *(_ticked(line) for line in cut[1:]), _TOTALS, _ticked(totals)]


def _trade_fields(account: Account, row: BillRow) -> list[str]:
    refund = row.kind == "refund"
    amount = yuan(row.amount)
    fee = -row.fee if refund else row.fee
    return [
        wall_clock(row.occurred_at), account.config["app_id"], account.key, "0", "", row.trade_no, row.order_no,
        row.payer, TRADE_TYPES.get(row.scene, "NATIVE"), "REFUND" if refund else row.status or "SUCCESS", "OTHERS",
        row.currency, "0.00" if refund else amount, "0.00", row.channel_refund_no if refund else "0",
        row.refund_no if refund else "0", amount if refund else "0.00", "0.00", "ORIGINAL" if refund else "",
        (row.status or "SUCCESS") if refund else "", _clean(row.subject), _clean(row.attach), _fee(fee),
        f"{FEE_RATE / 1000:.2f}%", "0.00" if refund else amount, amount if refund else "0.00", "",
    ]  # fmt: skip


def _fund_lines(rows: Sequence[BillRow]) -> list[str]:
    lines, balance, counts, sums = [_FUND_HEADER], 0, {1: 0, -1: 0}, {1: 0, -1: 0}
    for row in rows:
        refund = row.kind == "refund"
        moves = [(-row.amount, "退款"), (row.fee, "扣除交易手续费")] if refund else [
            (row.amount, "交易"), (-row.fee, "扣除交易手续费")]  # fmt: skip
        for amount, word in moves:
            if amount == 0:
                continue
            side = 1 if amount > 0 else -1
            balance, counts[side], sums[side] = balance + amount, counts[side] + 1, sums[side] + abs(amount)
            lines.append(_ticked([
                wall_clock(row.occurred_at), row.channel_refund_no if refund else row.trade_no, row.trade_no,
                word, word,
                "收入" if side > 0 else "支出", yuan(abs(amount)), yuan(balance), "system", "",
                row.refund_no if refund else row.order_no,
            ]))  # fmt: skip
    totals = [str(sum(counts.values())), str(counts[1]), yuan(sums[1]), str(counts[-1]), yuan(sums[-1])]
    return [*lines, _FUND_TOTALS, _ticked(totals)]


def _ticked(fields: Sequence[str]) -> str:
    return ",".join(f"`{value}" for value in fields)


def _fee(fen: int) -> str:
    """Fees are stated with five decimals."""
    return f"{yuan(fen)}000"


def _clean(value: str) -> str:
    """Commas and line ends of merchants' texts are escaped so that lines split at commas."""
    return value.replace(",", "\\ ").replace("\r", "").replace("\n", "\\n")
