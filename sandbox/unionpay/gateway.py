"""`/gateway/api/…Req.do`: the pages a payer's browser posts to, and the calls of merchants' servers."""

from __future__ import annotations

import html
from collections.abc import Callable

from aiohttp import web

from sandbox.context import Context, base_url
from sandbox.faults import Call, count, serve
from sandbox.records import Account, Payment, PaymentState, Refund, RefundState
from sandbox.unionpay import bills
from sandbox.unionpay.notices import encrypted_card, trace
from sandbox.unionpay.orders import take_order
from sandbox.unionpay.refunds import REFUND, REVOCATION, known_refund, request_of, take_refund
from sandbox.unionpay.wire import OK, Answer, Params, Refused, authenticate, clearing_day, read_form, render

Act = Callable[[Account, Params, str], dict[str, str]]
_REFUND_WORDS = {
    RefundState.PENDING: ("05", "交易已受理，请稍后查询交易结果[2050005]"), RefundState.SUCCESS: OK,
    RefundState.FAIL: ("01", "交易失败[2010001]"),
}  # fmt: skip


class Gateway:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.book = context.book

    # -- what browsers post

    async def front(self, request: web.Request) -> web.StreamResponse:
        params = await read_form(request)
        return await serve(
            self.context, request, _call("pay", params), lambda: self._page(params), _render_page
        )

    def open_counted(self, params: Params) -> Payment:
        """As a browser within the sandbox does it: the request counts as received. Raises Refused."""
        count(self.context, _call("pay", params))
        return self.open_page(params)

    def open_page(self, params: Params) -> Payment:
        account = authenticate(self.context, params)
        return take_order(self.context, account, params, "front")

    def _page(self, params: Params) -> Payment | Refused:
        try:
            return self.open_page(params)
        except Refused as refused:
            return refused

    # -- what servers post

    async def app(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, await read_form(request), "pay", self._tn)

    async def back(self, request: web.Request) -> web.StreamResponse:
        params = await read_form(request)
        refund = params.get("txnType") in (REFUND, REVOCATION)
        return await self._serve(
            request, params, "refund" if refund else "pay", self._refund if refund else self._qr_code
        )

    async def query(self, request: web.Request) -> web.StreamResponse:
        params = await read_form(request)
        return await self._serve(request, params, self._queried(params), self._state)

    def _queried(self, params: Params) -> str:
        """A query does not say what it is about; a refund that was asked for and refused is asked for like others."""
        number, merchant = params.get("orderId", ""), params.get("merId", "")
        if self.book.find("unionpay", merchant, number) is not None:
            return "query"
        known = self.book.find_refund(number, channel="unionpay", account=merchant) is not None
        return "query_refund" if known or "refund" in self.context.store.calls(number) else "query"

    async def file(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(
            request, await read_form(request), "bill", lambda a, p, _base: bills.download(self.context, a, p)
        )

    async def _serve(
        self, request: web.Request, params: Params, operation: str, act: Act
    ) -> web.StreamResponse:
        base = base_url(request)
        return await serve(
            self.context, request, self._call(operation, params), lambda: self.answer(params, act, base),
            lambda answer, signature: render(self.context, answer, signature),
        )  # fmt: skip

    def answer(self, params: Params, act: Act, base: str) -> Answer:
        account = self.context.store.account("unionpay", params.get("merId", ""))
        try:
            fields = act(authenticate(self.context, params), params, base)
        except Refused as refused:
            return Answer(params, {"respCode": refused.code, "respMsg": refused.message}, account)
        return Answer(params, {"respCode": OK[0], "respMsg": OK[1], **fields}, account)

    def _call(self, operation: str, params: Params) -> Call:
        if operation not in ("refund", "query_refund"):
            return _call(operation, params)
        payment = self.book.find_trade("unionpay", params.get("merId", ""), params.get("origQryId", ""))
        return Call(channel="unionpay", operation=operation, refund_no=params.get("orderId", ""),
                    order_no=payment.order_no if payment else "")  # fmt: skip

    def _tn(self, account: Account, params: Params, base: str) -> dict[str, str]:
        return {"tn": take_order(self.context, account, params, "app").code}

    def _qr_code(self, account: Account, params: Params, base: str) -> dict[str, str]:
        return {"qrCode": f"{base}/00010000/{take_order(self.context, account, params, 'qr').code}"}

    def _refund(self, account: Account, params: Params, base: str) -> dict[str, str]:
        return take_refund(self.context, account, params)

    def _state(self, account: Account, params: Params, base: str) -> dict[str, str]:
        """An order is found by number and time together, and only once its payer has paid."""
        if (params["txnType"], params["txnSubType"]) != ("00", "00"):
            raise Refused("10", "报文格式错误[txnType, txnSubType]")
        refund = known_refund(self.context, account, params["orderId"])
        if refund is not None:
            return self._refund_state(refund, params)
        payment = self.book.find("unionpay", account.key, params["orderId"])
        if payment is None or payment.state is not PaymentState.PAID:
            raise _not_found()
        if payment.extra["txnTime"] != params["txnTime"]:
            raise _not_found()
        day = clearing_day(payment.paid_at or self.context.clock()).strftime("%m%d")
        return {
            "accNo": encrypted_card(account), "currencyCode": "156", "issuerIdentifyMode": "0",
            "origRespCode": OK[0], "origRespMsg": OK[1], "payCardType": "01", "queryId": payment.trade_no,
            "reqReserved": str(payment.extra["reqReserved"]), "settleAmt": str(payment.total),
            "settleCurrencyCode": "156", "settleDate": day, **trace(payment.trade_no),
            "txnAmt": str(payment.total), "txnSubType": str(payment.extra["txnSubType"]), "txnType": "01",
        }  # fmt: skip

    def _refund_state(self, refund: Refund, params: Params) -> dict[str, str]:
        request = request_of(self.context, refund)
        if request.get("txnTime") != params["txnTime"]:
            raise _not_found()
        code, message = _REFUND_WORDS[refund.state]
        day = clearing_day(refund.settled_at or refund.created_at).strftime("%m%d")
        return {
            "currencyCode": "156", "origRespCode": code, "origRespMsg": message,
            "queryId": refund.channel_refund_no, "settleAmt": str(refund.amount), "settleCurrencyCode": "156",
            "settleDate": day, **trace(refund.channel_refund_no), "txnAmt": str(refund.amount),
            "txnSubType": "00", "txnType": request["txnType"],
        }  # fmt: skip


def _not_found() -> Refused:
    return Refused("34", "查无此交易[2600000]")


def _call(operation: str, params: Params) -> Call:
    return Call(channel="unionpay", operation=operation, order_no=params.get("orderId", ""))


def _render_page(result: Payment | Refused, _signature: object) -> web.Response:
    """UnionPay sends the browser on to its cashier, or shows an error page."""
    if isinstance(result, Payment):
        raise web.HTTPFound(f"/wallet/unionpay/{result.code}")
    text = (
        "<!doctype html><html lang=zh><meta charset=utf-8><title>银联在线支付 - 错误</title>"
        f"<body><h1>{html.escape(result.message)}</h1><p>{html.escape(result.code)}</p></body></html>"
    )
    return web.Response(text=text, content_type="text/html")
