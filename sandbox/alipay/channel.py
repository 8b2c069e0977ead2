"""Alipay as a stand-in: its paths, its payer's device, its notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from sandbox.agreements import Agreement, AgreementNotice
from sandbox.alipay import agreements, bills, notices, oauth
from sandbox.alipay.contract import sign_contract
from sandbox.alipay.envelope import Refused, parse_params
from sandbox.alipay.gateway import Gateway
from sandbox.alipay.trades import trade_status
from sandbox.bills import Bill
from sandbox.book import random_digits, serial_number
from sandbox.channel import BillFile, Channel, Contract, DeviceRefused
from sandbox.claims import Claim, Message, Subject
from sandbox.records import Account, Notice, Payment, PaymentState, Refund, RefundState


class Alipay(Channel):
    code = "alipay"
    names = ("支付宝", "Alipay")
    modes = ("key", "certificate")
    # At once, then after 4 min, 10 min, 10 min, 1 h, 2 h, 6 h, 15 h.
    ladder = (240.0, 600.0, 600.0, 3600.0, 7200.0, 21600.0, 54000.0)
    states_currency = False
    tells_console_refunds = True
    tells_failed_refunds = False
    says_short_balance = True
    bills_refund_states = False

    @classmethod
    def sign_contract(cls, *, name: str, mode: str, base_url: str) -> Contract:
        return sign_contract(mode=mode, base_url=base_url)

    def routes(self) -> Sequence[web.RouteDef]:
        gateway, downloads = Gateway(self.context), bills.Downloads(self.context)

        async def authorize(request: web.Request) -> web.Response:
            return oauth.authorize(self.context, request)

        async def scanned(request: web.Request) -> web.Response:
            raise web.HTTPFound(f"/wallet/alipay/{request.match_info['code']}")

        return [
            web.post("/gateway.do", gateway.handle),
            web.get("/gateway.do", gateway.handle),
            web.get("/oauth2/publicAppAuthorize.htm", authorize),
            web.get("/qr/{code:bax[a-z0-9]+}", scanned),
            web.get("/downloads/alipay/{token}/{filename}", downloads.file),
        ]

    # -- the payer's device

    def present(self, pay: Mapping[str, Any]) -> Payment | None:
        kind, params = pay.get("type"), pay.get("params")
        if kind == "redirect":
            return self._opened(str(pay.get("url", "")), {})
        if kind == "form" and isinstance(pay.get("fields"), Mapping):
            return self._opened(str(pay.get("action", "")), pay["fields"])
        if kind == "qrcode":
            return self.open_code(str(pay.get("content", "")))
        if kind == "sdk" and isinstance(params, Mapping):
            if "order_string" in params:
                return self._app(str(params["order_string"]))
            if set(params) == {"trade_no"}:
                return self._jsapi(str(params["trade_no"]))
        return None

    def _opened(self, address: str, fields: Mapping[str, Any]) -> Payment | None:
        parts = urlsplit(address)
        if parts.path != "/gateway.do":
            return None
        params = parse_params(parts.query) | {str(k): str(v) for k, v in fields.items()}
        return self._accepted(params)

    def _app(self, order_string: str) -> Payment:
        return self._accepted(parse_params(order_string))

    def _accepted(self, params: Mapping[str, str]) -> Payment:
        try:
            return self.context.book.scan(Gateway(self.context).open_counted(params))
        except Refused as refused:
            raise DeviceRefused(f"{refused.sub_code} {refused.sub_msg}") from refused

    def _jsapi(self, trade_no: str) -> Payment:
        row = self.context.store.one("SELECT account FROM payment WHERE channel = 'alipay' AND trade_no = ?", trade_no)
        found = self.context.book.find_trade("alipay", row["account"], trade_no) if row else None
        if found is None:
            raise DeviceRefused("my.tradePay: no such tradeNO")
        return found

    def open_code(self, text: str) -> Payment | None:
        parts = urlsplit(text.strip())
        if parts.path == "/gateway.do":
            return self._opened(text.strip(), {})
        if "method=alipay.trade.app.pay" in text:
            return self._app(text.strip())
        code = parts.path.rsplit("/", 1)[-1]
        found = self.context.book.find_code("alipay", code) if code.startswith("bax") else None
        if found is None:
            return None
        if self.context.clock() >= found.code_expires_at and found.state is PaymentState.UNPAID:
            raise DeviceRefused("the code has expired")
        return found

    def back_url(self, payment: Payment, *, paid: bool) -> str | None:
        if not paid:
            return str(payment.extra.get("quit_url") or "") or None
        return notices.return_url(self.context, payment) if payment.return_url else None

    def present_agreement(self, pay: Mapping[str, Any]) -> Agreement | None:
        parts = urlsplit(str(pay.get("url", "")))
        params = parse_params(parts.query)
        if parts.path != "/gateway.do" or params.get("method") != agreements.PAGE:
            return None
        try:
            return Gateway(self.context).open_agreement(params)
        except Refused as refused:
            raise DeviceRefused(f"{refused.sub_code} {refused.sub_msg}") from refused

    # -- notifications

    def agreement_message(self, account: Account, agreement: Agreement, told: AgreementNotice) -> Message:
        return agreements.message(self.context, account, agreement, told)

    def message(self, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
        return notices.message(self.context, account, subject, claim, notice)

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"success"

    def other_identity(self, account: Account) -> tuple[str, str]:
        for other in self.context.store.accounts(self.code):
            if other.key != account.key:
                return other.config["seller_id"], other.key
        return "2088" + random_digits(12), "2021" + random_digits(12)

    def payer(self, payment: Payment) -> str:
        return payment.payer or oauth.PAYER_ID

    def new_trade_no(self) -> str:
        return serial_number(self.context.clock(), "22001")

    def new_refund_no(self) -> str:
        return "console" + random_digits(21)

    # -- words and bills

    def native_state(self, payment: Payment) -> str:
        if payment.state is PaymentState.UNSCANNED:
            return "NOT_EXIST"
        return trade_status(self.context, payment)

    def native_refund_state(self, refund: Refund) -> str:
        return "REFUND_SUCCESS" if refund.state is RefundState.SUCCESS else ""

    def render_bill(self, account: Account, bill: Bill, kind: str) -> BillFile:
        return bills.render(account, bill, {"fund": "signcustomer"}.get(kind, kind))


