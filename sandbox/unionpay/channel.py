"""UnionPay as a stand-in: its paths, its payer's device, its notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from sandbox.bills import Bill
from sandbox.book import random_digits
from sandbox.channel import BillFile, Channel, Contract, DeviceRefused
from sandbox.claims import Claim, Message, Subject
from sandbox.records import Account, Notice, Payment, PaymentState, Refund, RefundState
from sandbox.unionpay import bills, notices
from sandbox.unionpay.contract import sign_contract
from sandbox.unionpay.gateway import Gateway
from sandbox.unionpay.orders import query_id
from sandbox.unionpay.wire import Refused

_FRONT = "/gateway/api/frontTransReq.do"


class UnionPay(Channel):
    code = "unionpay"
    names = ("银联", "UnionPay")
    modes = ("production", "test")
    # Five sends: at once, then after 1, 2, 4 and 15 minutes.
    ladder = (60.0, 120.0, 240.0, 900.0)
    tells_failed_refunds = False
    bills_refund_states = False

    @classmethod
    def sign_contract(cls, *, name: str, mode: str, base_url: str) -> Contract:
        return sign_contract(name=name, mode=mode, base_url=base_url)

    def routes(self) -> Sequence[web.RouteDef]:
        gateway = Gateway(self.context)

        async def scanned(request: web.Request) -> web.Response:
            raise web.HTTPFound(f"/wallet/unionpay/{request.match_info['code']}")

        async def returning(request: web.Request) -> web.Response:
            found = self.context.book.find_code(self.code, request.match_info["code"])
            if found is None:
                raise web.HTTPNotFound
            return notices.front_page(self.context, found)

        return [
            web.post(_FRONT, gateway.front),
            web.post("/gateway/api/appTransReq.do", gateway.app),
            web.post("/gateway/api/backTransReq.do", gateway.back),
            web.post("/gateway/api/queryTrans.do", gateway.query),
            web.post("/filedownload/", gateway.file),
            web.get("/gateway/api/front/{code}", returning),
            web.get("/00010000/{code:[0-9]{32}}", scanned),
        ]

    # -- the payer's device

    def present(self, pay: Mapping[str, Any]) -> Payment | None:
        kind, params, fields = pay.get("type"), pay.get("params"), pay.get("fields")
        if kind == "form" and isinstance(fields, Mapping) and urlsplit(str(pay.get("action", ""))).path == _FRONT:
            return self._posted({str(k): str(v) for k, v in fields.items()})
        if kind == "qrcode":
            return self.open_code(str(pay.get("content", "")))
        if kind == "sdk" and isinstance(params, Mapping) and set(params) == {"tn"}:
            found = self._living(str(params["tn"]))
            if found is None:
                raise DeviceRefused("UPPayPlugin: no such tn")
            return found
        return None

    def _posted(self, params: Mapping[str, str]) -> Payment:
        try:
            return Gateway(self.context).open_counted(params)
        except Refused as refused:
            raise DeviceRefused(str(refused)) from refused

    def open_code(self, text: str) -> Payment | None:
        """A code's address, or a bare tn."""
        parts = urlsplit(text.strip())
        head, _slash, code = parts.path.rpartition("/")
        return self._living(code) if code.isdigit() and head in ("", "/00010000") else None

    def _living(self, code: str) -> Payment | None:
        found = self.context.book.find_code(self.code, code)
        if found is not None and found.state is PaymentState.CLOSED:
            raise DeviceRefused("订单已超时")
        return found

    def back_url(self, payment: Payment, *, paid: bool) -> str | None:
        """After paying, a page that posts the front notice; who turns back brings nothing."""
        if not payment.return_url or not paid:
            return payment.return_url or None
        return f"{self.context.store.setting('base_url') or ''}/gateway/api/front/{payment.code}"

    # -- notifications

    def message(self, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
        return notices.message(self.context, account, subject, claim)

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status in (200, 302)

    def other_identity(self, account: Account) -> tuple[str, str]:
        for other in self.context.store.accounts(self.code):
            if other.key != account.key:
                return other.key, ""
        return "777290" + random_digits(9), ""

    def payer(self, payment: Payment) -> str:
        return notices.CARD

    def new_trade_no(self) -> str:
        return query_id(self.context)

    def new_refund_no(self) -> str:
        return query_id(self.context)

    # -- words and bills

    def native_state(self, payment: Payment) -> str:
        return "00" if payment.state is PaymentState.PAID else "34"

    def native_refund_state(self, refund: Refund) -> str:
        return {RefundState.PENDING: "05", RefundState.SUCCESS: "00", RefundState.FAIL: "01"}[refund.state]

    def render_bill(self, account: Account, bill: Bill, kind: str) -> BillFile:
        return bills.render(self.context.book, account, bill)
