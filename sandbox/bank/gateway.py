"""The bank's paths: the page that a payer's browser posts to, and the merchant's server calls."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web

from sandbox.bank import wire
from sandbox.bank.orders import Orders, book_name
from sandbox.bank.refunds import Refunds
from sandbox.bank.statements import Statements
from sandbox.bank.wire import Answer, Fields, Refused
from sandbox.context import Context
from sandbox.faults import Call, count, serve
from sandbox.records import Account, Payment

Handler = Callable[[Account, Fields], dict[str, str]]
Served = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Answers repeat what the question was about.
_REPEATED = ("BillNo", "Date", "RefundNo", "StatementDate")


class Gateway:
    def __init__(self, context: Context) -> None:
        self.context = context
        self._orders = Orders(context)
        refunds = Refunds(context)
        self._calls: Mapping[str, tuple[str, str, Handler]] = {
            "/bank/query": ("query", "query", self._orders.query),
            "/bank/close": ("close", "close", self._orders.close),
            "/bank/refund": ("refund", "refund", refunds.apply),
            "/bank/refund/query": ("refund_query", "query_refund", refunds.query),
            "/bank/statement": ("statement", "bill", Statements(context).answer),
        }

    def routes(self) -> Sequence[web.RouteDef]:
        calls = [web.post(path, self._served(*parts)) for path, parts in self._calls.items()]
        return [web.post("/bank/pay", self._pay), *calls]

    def _served(self, kind: str, operation: str, handler: Handler) -> Served:
        async def serve_call(request: web.Request) -> web.StreamResponse:
            raw = (await request.read()).decode("latin-1")
            return await serve(
                self.context, request, _call(operation, raw), lambda: self._answer(kind, handler, raw),
                lambda answer, signature: wire.render(self.context, answer, signature),
            )  # fmt: skip

        return serve_call

    def _answer(self, kind: str, handler: Handler, raw: str) -> Answer:
        """Who asks is settled before what is asked; only then can an answer be signed."""
        made, account = {"MsgType": f"{kind}.answer"}, None
        try:
            fields = wire.parse(raw)
            account = wire.known_account(self.context, fields)
            wire.authenticate(account, fields, kind)
            made |= {name: fields[name] for name in _REPEATED if name in fields}
            wire.check_timestamp(self.context, fields)
            return Answer({**made, **handler(account, fields), "RspCode": "SUC0000", "RspMsg": "成功"}, account)
        except Refused as refused:
            return Answer({**made, "RspCode": refused.code, "RspMsg": refused.message}, account)

    # -- the page

    async def _pay(self, request: web.Request) -> web.StreamResponse:
        raw = (await request.read()).decode("latin-1")
        return await serve(self.context, request, _call("pay", raw), lambda: self._opened(raw), _render_page)

    def _opened(self, raw: str) -> Payment | Refused:
        try:
            return self.open(wire.parse(raw))
        except Refused as refused:
            return refused

    def open(self, fields: Fields) -> Payment:
        """The order behind a `pay` that a payer's device hands over. Raises Refused."""
        account = wire.known_account(self.context, fields)
        wire.authenticate(account, fields, "pay")
        return self._orders.take(account, fields)

    def open_counted(self, fields: Mapping[str, object]) -> Payment:
        """As a device within the sandbox does it: the request counts as received."""
        pairs = [(str(name), str(value)) for name, value in fields.items()]
        count(self.context, Call(channel="bank", operation="pay", order_no=book_name(dict(pairs))))
        return self.open(wire.checked(pairs))


def _call(operation: str, raw: str) -> Call:
    """Which order a request names, for counting; nothing is trusted yet."""
    try:
        fields = wire.parse(raw)
    except Refused:
        fields = {}
    order_no = book_name(fields) if "BillNo" in fields else ""
    return Call(channel="bank", operation=operation, order_no=order_no, refund_no=fields.get("RefundNo", ""))


def _render_page(result: Payment | Refused, _signature: object) -> web.Response:
    """The bank sends the browser on to its cashier, or shows an error page."""
    if isinstance(result, Payment):
        raise web.HTTPSeeOther(f"/wallet/bank/{result.code}")
    text = (
        "<!doctype html><html lang=zh><meta charset=utf-8><title>银行 - 错误</title>"
        f"<body><h1>无法支付</h1><p>错误代码 {html.escape(result.code)}</p><p>{html.escape(result.message)}</p>"
        "</body></html>"
    )
    return web.Response(text=text, content_type="text/html")
