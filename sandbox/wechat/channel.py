"""WeChat Pay as a stand-in: its paths, its payer's device, its notifications."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from sandbox import keys
from sandbox.agreements import Agreement, AgreementNotice
from sandbox.bills import Bill
from sandbox.book import random_digits
from sandbox.channel import BillFile, Channel, Contract, DeviceRefused
from sandbox.claims import Claim, Message, Subject
from sandbox.clock import rfc3339
from sandbox.faults import Call
from sandbox.records import Account, Notice, Payment, PaymentState, Refund
from sandbox.wechat import bills, device, notices, notices_v2, oauth, papay, v2
from sandbox.wechat.contract import MODES, sign_contract
from sandbox.wechat.orders import PRODUCTS, Orders, new_trade_no, trade_state
from sandbox.wechat.refunds import STATES, Refunds, new_refund_no
from sandbox.wechat.transport import Asked, Handler, Problem, Reply, exchange, seal

Served = Callable[[web.Request], Awaitable[web.StreamResponse]]
_ORDERS = "/v3/pay/transactions"
_NUMBER = r"{out_trade_no:[^/]+}"


class WeChat(Channel):
    code = "wechat"
    names = ("微信支付", "WeChat Pay")
    modes = MODES
    # At once, then 15 s, 15 s, 30 s, 3 min, 10, 20, 30, 30, 30, 60 min, 3 h, 3 h, 3 h, 6 h, 6 h.
    ladder = (15.0, 15.0, 30.0, 180.0, 600.0, 1200.0, 1800.0, 1800.0, 1800.0, 3600.0,
              10800.0, 10800.0, 10800.0, 21600.0, 21600.0)  # fmt: skip

    says_short_balance = True

    @classmethod
    def sign_contract(cls, *, name: str, mode: str, base_url: str) -> Contract:
        return sign_contract(name=name, mode=mode, base_url=base_url)

    def routes(self) -> Sequence[web.RouteDef]:
        orders, refunds, statements = Orders(self.context), Refunds(self.context), bills.Bills(self.context)

        def creating(scene: str) -> Handler:
            return lambda asked: orders.create(scene, asked)

        served = self._served
        create = [web.post(f"{_ORDERS}/{s}", served("pay", creating(s), wordy=False)) for s in PRODUCTS]
        return [
            *create, *self._deduction_routes(),
            web.get(f"{_ORDERS}/id/{{transaction_id}}", served("query", orders.query, wordy=False)),
            web.get(f"{_ORDERS}/out-trade-no/{_NUMBER}", served("query", orders.query, wordy=False)),
            web.post(f"{_ORDERS}/out-trade-no/{_NUMBER}/close", served("close", orders.close, wordy=False)),
            web.post("/v3/refund/domestic/refunds", served("refund", refunds.apply)),
            web.get("/v3/refund/domestic/refunds/{out_refund_no}", served("query_refund", refunds.query)),
            web.get("/v3/certificates", served("certificates", self._certificates)),
            web.get("/v3/bill/tradebill", served("bill", statements.trade)),
            web.get("/v3/bill/fundflowbill", served("bill", statements.fund)),
            web.get("/v3/billdownload/file", statements.file),
            web.get(device.H5_PATH, self._h5_page),
            web.get("/connect/oauth2/authorize", self._authorize),
            web.get("/sns/oauth2/access_token", self._access_token),
        ]

    def _served(self, operation: str, handler: Handler, *, wordy: bool = True) -> Served:
        async def serve(request: web.Request) -> web.StreamResponse:
            order_no, refund_no = _numbers(request, await request.read())
            call = Call(channel=self.code, operation=operation, order_no=order_no, refund_no=refund_no)
            return await exchange(self.context, request, call, handler, wordy=wordy)

        return serve

    def _deduction_routes(self) -> Sequence[web.RouteDef]:
        """API v2, which deduction still speaks."""
        desk = papay.Papay(self.context)

        def posted(path: str, operation: str, handler: v2.HandlerV2) -> web.RouteDef:
            async def serve(request: web.Request) -> web.StreamResponse:
                call = Call(channel=self.code, operation=operation, order_no=_number_v2(await request.read()))
                return await v2.exchange(self.context, request, call, handler)

            return web.post(path, serve)

        return [
            web.get(papay.PAGE, self._sign_page),
            posted("/papay/querycontract", "query_contract", desk.query_contract),
            posted("/papay/deletecontract", "terminate_contract", desk.terminate),
            posted("/pay/pappayapply", "pay", desk.deduct),
            posted("/pay/paporderquery", "query", desk.query_deduction),
            posted("/pay/orderquery", "query", desk.query_order),
            posted("/pay/closeorder", "close", desk.close),
        ]  # fmt: skip

    async def _authorize(self, request: web.Request) -> web.Response:
        return oauth.authorize(self.context, request)

    async def _access_token(self, request: web.Request) -> web.Response:
        return oauth.access_token(self.context, request)

    def _certificates(self, asked: Asked) -> Reply:
        """Merchants of the public-key kind have no platform certificate."""
        pem = asked.account.secrets.get("platform_cert")
        if pem is None:
            raise Problem(404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥")
        certificate = keys.certificate(pem)
        return Reply(200, {"data": [{
            "serial_no": keys.serial_hex(pem),
            "effective_time": rfc3339(certificate.not_valid_before_utc.timestamp()),
            "expire_time": rfc3339(certificate.not_valid_after_utc.timestamp()),
            "encrypt_certificate": seal(asked.account.config["api_v3_key"], pem.encode(), "certificate"),
        }]})  # fmt: skip

    # -- the payer's device

    async def _sign_page(self, request: web.Request) -> web.Response:
        """The page of a contract; it knows no way back but to where the payer came from."""
        try:
            agreement = papay.Papay(self.context).open(dict(request.query), request.headers.get("Referer", ""))
        except v2.TurnedAway as turned:
            return web.Response(status=200, text=f"商家系统错误，请联系商家处理 ({turned})")
        raise web.HTTPFound(f"/wallet/contracts/wechat/{agreement.code}")

    def present_agreement(self, pay: Mapping[str, Any]) -> Agreement | None:
        parts = urlsplit(str(pay.get("url", "")))
        if parts.path != papay.PAGE:
            return None
        try:
            return papay.Papay(self.context).open(dict(parse_qsl(parts.query)))
        except v2.TurnedAway as turned:
            raise DeviceRefused(str(turned)) from turned

    async def _h5_page(self, request: web.Request) -> web.Response:
        try:
            payment = device.open_code(self.context, str(request.url))
        except DeviceRefused as refused:
            return web.Response(status=200, text=f"支付请求已失效，请重新发起支付 ({refused})")
        if payment is None:
            return web.Response(status=200, text="商家参数格式有误，请联系商家解决")
        raise web.HTTPFound(f"/wallet/wechat/{payment.code}")

    def present(self, pay: Mapping[str, Any]) -> Payment | None:
        kind, params = pay.get("type"), pay.get("params")
        if kind in ("redirect", "qrcode"):
            return device.open_code(self.context, str(pay.get("url") or pay.get("content") or ""))
        if kind == "sdk" and isinstance(params, Mapping):
            return device.invoke(self.context, params)
        return None

    def open_code(self, text: str) -> Payment | None:
        return device.open_code(self.context, text)

    def back_url(self, payment: Payment, *, paid: bool) -> str | None:
        return payment.return_url or None

    # -- notifications

    def agreement_message(self, account: Account, agreement: Agreement, told: AgreementNotice) -> Message:
        return notices_v2.contract_message(account, agreement, told)

    def message(self, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
        return notices.message(self.context, account, subject, claim, notice)

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status in (200, 204)

    def other_identity(self, account: Account) -> tuple[str, str]:
        for other in self.context.store.accounts(self.code):
            if other.key != account.key:
                return other.key, other.config["app_id"]
        return "16" + random_digits(8), "wx" + self.context.token()[:16]

    def payer(self, payment: Payment) -> str:
        return payment.payer or oauth.openid_for(self.context.store.account_of(payment).config["app_id"])

    def new_trade_no(self) -> str:
        return new_trade_no(self.context.clock())

    def new_refund_no(self) -> str:
        return new_refund_no(self.context.clock())

    # -- words and bills

    def native_state(self, payment: Payment) -> str:
        return "NOT_EXIST" if payment.state is PaymentState.UNSCANNED else trade_state(self.context, payment)

    def native_refund_state(self, refund: Refund) -> str:
        return STATES[refund.state]

    def render_bill(self, account: Account, bill: Bill, kind: str) -> BillFile:
        return bills.render(account, bill, {"trade": "ALL", "fund": "FUND"}.get(kind, kind))


def _numbers(request: web.Request, body: bytes) -> tuple[str, str]:
    """(order number, refund number) that a request names, for counting; nothing is trusted yet."""
    info = request.match_info
    try:
        data = json.loads(body) if body else {}
    except ValueError:
        data = {}
    data = data if isinstance(data, dict) else {}
    order_no = info.get("out_trade_no") or data.get("out_trade_no") or ""
    return str(order_no), str(info.get("out_refund_no") or data.get("out_refund_no") or "")


def _number_v2(body: bytes) -> str:
    """The order or contract that a request of API v2 names, for counting; nothing is trusted yet."""
    try:
        fields = v2.read(body)
    except ValueError:
        return ""
    return fields.get("out_trade_no") or fields.get("contract_code") or ""
