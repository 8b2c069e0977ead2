"""`/gateway.do`: server calls, and the pages a payer opens."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from sandbox.agreements import Agreement
from sandbox.alipay import bills, oauth
from sandbox.alipay.agreements import PAGE as SIGN_PAGE
from sandbox.alipay.agreements import AlipayAgreements
from sandbox.alipay.envelope import (
    Answer,
    Params,
    Refused,
    authenticate,
    biz_content,
    charset_of,
    read_params,
    render,
)
from sandbox.alipay.orders import take_order
from sandbox.alipay.trades import Trades
from sandbox.context import Context, base_url
from sandbox.faults import Call, count, serve
from sandbox.records import Account, Payment, PaymentState

PAGES = ("alipay.trade.page.pay", "alipay.trade.wap.pay")
_OPERATIONS = {
    "alipay.trade.page.pay": "pay", "alipay.trade.wap.pay": "pay", "alipay.trade.app.pay": "pay",
    "alipay.trade.precreate": "pay", "alipay.trade.create": "pay", "alipay.trade.query": "query",
    "alipay.trade.close": "close", "alipay.trade.cancel": "cancel", "alipay.trade.refund": "refund",
    "alipay.trade.fastpay.refund.query": "query_refund",
    "alipay.data.dataservice.bill.downloadurl.query": "bill", "alipay.trade.pay": "pay",
    "alipay.user.agreement.page.sign": "sign", "alipay.user.agreement.query": "query_contract",
    "alipay.user.agreement.unsign": "terminate_contract",
}  # fmt: skip
Handler = Callable[[Account, Params, Mapping[str, Any], str], Mapping[str, Any]]


class Gateway:
    def __init__(self, context: Context) -> None:
        self.context = context
        trades, agreements = Trades(context), AlipayAgreements(context)
        self._agreements = agreements
        self._handlers: Mapping[str, Handler] = {
            "alipay.trade.precreate": trades.precreate,
            "alipay.trade.create": trades.create,
            "alipay.trade.query": trades.query,
            "alipay.trade.pay": agreements.deduct,
            "alipay.user.agreement.query": agreements.query,
            "alipay.user.agreement.unsign": agreements.unsign,
            "alipay.trade.close": trades.close,
            "alipay.trade.cancel": trades.cancel,
            "alipay.trade.refund": trades.refund,
            "alipay.trade.fastpay.refund.query": trades.refund_query,
            "alipay.data.dataservice.bill.downloadurl.query": bills.Downloads(context).url,
            "alipay.system.oauth.token": oauth.Tokens(context).token,
            "alipay.open.app.alipaycert.download": oauth.Tokens(context).certificate,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        params = await read_params(request)
        method = params.get("method", "")
        call = _call(params)
        if method in PAGES:
            return await serve(self.context, request, call, lambda: self._page(params), _render_page)
        if method == SIGN_PAGE:
            return await serve(self.context, request, call, lambda: self._sign_page(params), _render_page)
        base = base_url(request)
        return await serve(
            self.context, request, call, lambda: self.answer(params, base),
            lambda answer, signature: render(self.context, answer, signature),
        )  # fmt: skip

    def answer(self, params: Params, base: str) -> Answer:
        """What the gateway says to a server call, before it is signed."""
        method, charset = params.get("method", ""), charset_of(params)
        try:
            account = authenticate(self.context, params, server_call=True)
            handler = self._handlers.get(method)
            if handler is None:
                raise Refused("40002", "isv.invalid-method", "不存在的方法名")
        except Refused as refused:
            return Answer(method, refused.body(), None, charset)
        try:
            return Answer(method, handler(account, params, biz_content(params), base), account, charset)
        except Refused as refused:
            return Answer(method, refused.body(), account, charset)

    def open_page(self, params: Params) -> Payment:
        """The order behind a page, wap or app request that a payer's device hands over; not yet
        an order for the API until it is scanned. Raises Refused."""
        account = authenticate(self.context, params, server_call=False)
        if params["method"] not in (*PAGES, "alipay.trade.app.pay"):
            raise Refused("40002", "isv.invalid-method", "不存在的方法名")
        return take_order(self.context, account, params, biz_content(params), PaymentState.UNSCANNED)

    def open_counted(self, params: Params) -> Payment:
        """As a device within the sandbox does it: the request counts as received."""
        count(self.context, _call(params))
        return self.open_page(params)

    def open_agreement(self, params: Params) -> Agreement:
        """The contract behind a signing page that a payer's device opens. Raises Refused."""
        account = authenticate(self.context, params, server_call=False)
        return self._agreements.open(account, params, biz_content(params))

    def _sign_page(self, params: Params) -> Agreement | Refused:
        try:
            return self.open_agreement(params)
        except Refused as refused:
            return refused

    def _page(self, params: Params) -> Payment | Refused:
        try:
            return self.open_page(params)
        except Refused as refused:
            return refused


def _render_page(result: Payment | Agreement | Refused, _signature: object) -> web.Response:
    """Alipay sends the browser on to its cashier, or shows an error page."""
    if isinstance(result, Payment):
        raise web.HTTPFound(f"/wallet/alipay/{result.code}")
    if isinstance(result, Agreement):
        raise web.HTTPFound(f"/wallet/contracts/alipay/{result.code}")
    text = (
        "<!doctype html><html lang=zh><meta charset=utf-8><title>支付宝 - 错误</title>"
        f"<body><h1>调试错误，请回到请求来源地，重新发起请求。</h1><p>错误代码 {html.escape(result.sub_code)}</p>"
        f"<p>错误原因: {html.escape(result.sub_msg)}</p></body></html>"
    )
    return web.Response(text=text, content_type="text/html")


def _call(params: Params) -> Call:
    try:
        biz = biz_content(params)
    except Refused:
        biz = {}
    method = params.get("method", "")
    operation = _OPERATIONS.get(method, method or "unknown")
    number = biz.get("out_trade_no") or biz.get("external_agreement_no") or ""
    return Call(channel="alipay", operation=operation, order_no=str(number),
                refund_no=str(biz.get("out_request_no") or ""))  # fmt: skip
