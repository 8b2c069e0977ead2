"""AcmePay as a stand-in: its paths, its payer's device, its notices. It imports nothing of the center."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from sandbox.acmepay import orders, wire
from sandbox.acmepay.contract import MODES, sign_contract
from sandbox.acmepay.orders import Fields, Orders
from sandbox.acmepay.wire import Refused
from sandbox.bills import Bill
from sandbox.book import random_digits
from sandbox.channel import BillFile, Channel, Contract, DeviceRefused
from sandbox.claims import Claim, Message, Signing, Subject
from sandbox.context import base_url
from sandbox.faults import Call, Signature, serve
from sandbox.records import Account, Notice, Payment, Refund

Handler = Callable[[Account, Fields, str], dict[str, Any]]
Answer = tuple[Account | None, dict[str, Any]]
PAGE = "/acmepay/pay/"
_SIGNING = {
    Signature.GENUINE: Signing.GENUINE, Signature.BROKEN: Signing.FORGED, Signature.MISSING: Signing.NONE,
}  # fmt: skip


class AcmePay(Channel):
    code = "acmepay"
    names = ("AcmePay（示例）", "AcmePay")
    modes = MODES
    # After 1, 10 and 60 minutes.
    ladder = (60.0, 600.0, 3600.0)
    says_short_balance = True
    tells_console_refunds = True

    @classmethod
    def sign_contract(cls, *, name: str, mode: str, base_url: str) -> Contract:
        return sign_contract(base_url=base_url)

    # -- the vendor's paths

    def routes(self) -> Sequence[web.RouteDef]:
        made = Orders(self.context)
        calls: Mapping[str, tuple[str, Handler]] = {
            "/v1/orders": ("pay", made.create), "/v1/orders/query": ("query", made.query),
            "/v1/orders/close": ("close", made.close), "/v1/refunds": ("refund", made.refund),
            "/v1/refunds/query": ("query_refund", made.query_refund),
        }  # fmt: skip
        served = [web.post(f"/acmepay{path}", self._served(path, *parts)) for path, parts in calls.items()]
        return [*served, web.get(PAGE + "{code}", self._page)]

    def _served(
        self, path: str, operation: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve_call(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            numbers = {name: str(wire.parse(raw).get(name, "")) for name in ("order_no", "refund_no")}

            def render(answer: Answer, signature: Signature) -> web.StreamResponse:
                headers, body = wire.sealed(self.context, answer[0], path, answer[1], _SIGNING[signature])
                return web.Response(body=body, headers=headers)

            return await serve(
                self.context, request, Call(channel="acmepay", operation=operation, **numbers),
                lambda: self._answer(path, handler, request, raw), render,
            )  # fmt: skip

        return serve_call

    def _answer(self, path: str, handler: Handler, request: web.Request, raw: bytes) -> Answer:
        """Who asks is settled before what is asked; only then can an answer repeat it."""
        fields, made = wire.parse(raw), dict[str, Any]()
        account = self.context.store.account("acmepay", str(fields.get("merchant_id", "")))
        try:
            if account is None:
                raise Refused("MERCHANT_UNKNOWN", "no such merchant")
            made["merchant_id"] = account.key
            wire.authenticate(self.context, account, path, request.headers, raw)
            made |= {name: fields[name] for name in ("order_no", "refund_no") if name in fields}
            said = handler(account, fields, base_url(request))
        except Refused as refused:
            return account, {**made, "code": refused.code, "message": refused.message}
        return account, {**made, **said, "code": "OK", "message": "accepted"}

    async def _page(self, request: web.Request) -> web.StreamResponse:
        """The payer's browser, or the app that scanned the code."""
        raise web.HTTPSeeOther(f"/wallet/acmepay/{request.match_info['code']}")

    # -- the payer's device

    def present(self, pay: Mapping[str, Any]) -> Payment | None:
        name = {"qrcode": "content", "redirect": "url"}.get(str(pay.get("type")), "")
        return self.open_code(str(pay.get(name, "")))

    def open_code(self, text: str) -> Payment | None:
        path = urlsplit(text.strip()).path
        if not path.startswith(PAGE):
            return None
        found = self.context.book.find_code("acmepay", path.removeprefix(PAGE))
        if found is None:
            raise DeviceRefused("no such order")
        return found

    def back_url(self, payment: Payment, *, paid: bool) -> str | None:
        """A payer who comes back brings no proof of anything. Behind a code there is no browser to send back."""
        return payment.return_url or None if payment.scene == "page" else None

    def payer(self, payment: Payment) -> str:
        return payment.payer or orders.PAYER

    # -- notices

    def message(self, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
        fields: dict[str, Any] = {
            **orders.order_fields(subject.payment), "event": "payment", "status": "PAID", "order_no": claim.order_no,
            "trade_no": claim.trade_no, "amount": claim.amount, "currency": claim.currency,
        }  # fmt: skip
        url = subject.payment.notify_url
        if subject.refund is not None:
            fields = {**orders.refund_fields(subject.payment, subject.refund), "event": "refund"}
            url = subject.refund.notify_url or url
        fields |= {"merchant_id": claim.merchant_id or account.key, "notice_id": notice.notice_id}
        headers, body = wire.sealed(self.context, account, "notice", fields, claim.signing)
        return Message(url=url, headers=headers, body=body)

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"OK"

    def other_identity(self, account: Account) -> tuple[str, str]:
        """AcmePay has merchants and no apps."""
        return "M" + random_digits(9), ""

    # -- words and statements

    def new_trade_no(self) -> str:
        return orders.new_trade_no()

    def new_refund_no(self) -> str:
        return "C" + random_digits(20)

    def native_state(self, payment: Payment) -> str:
        return orders.STATES[payment.state]

    def native_refund_state(self, refund: Refund) -> str:
        return orders.REFUND_STATES[refund.state]

    def render_bill(self, account: Account, bill: Bill, kind: str) -> BillFile:
        """AcmePay has no statement files."""
        raise web.HTTPNotFound
