"""The bank as a stand-in: its paths, its payer's device, its notices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from sandbox.bank import notices, orders, refunds, statements, wire
from sandbox.bank.contract import BRANCH_DIGITS, MERCHANT_DIGITS, MODES, sign_contract
from sandbox.bank.gateway import Gateway
from sandbox.bank.wire import Refused
from sandbox.bills import Bill
from sandbox.book import NotPossible, random_digits, serial_number
from sandbox.channel import BillFile, Channel, Contract, DeviceRefused
from sandbox.claims import Claim, Message, Subject
from sandbox.records import Account, Notice, Payment, Refund


class Bank(Channel):
    code = "bank"
    names = ("银行网关", "Bank gateway")
    modes = MODES
    # At once, then after 1, 2, 5, 10, 30 minutes, 1, 2, 6 and 15 hours.
    ladder = (60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 54000.0)
    states_currency = False
    tells_console_refunds = True
    bills_refund_states = False

    @classmethod
    def sign_contract(cls, *, name: str, mode: str, base_url: str) -> Contract:
        return sign_contract(mode=mode, base_url=base_url)

    def routes(self) -> Sequence[web.RouteDef]:
        return Gateway(self.context).routes()

    # -- the payer's device

    def present(self, pay: Mapping[str, Any]) -> Payment | None:
        fields = pay.get("params")
        if pay.get("type") == "form" and urlsplit(str(pay.get("action", ""))).path == "/bank/pay":
            fields = pay.get("fields")
        elif pay.get("type") != "sdk" or not isinstance(fields, Mapping) or "BillNo" not in fields:
            return None
        return self._accepted(fields) if isinstance(fields, Mapping) else None

    def _accepted(self, fields: Mapping[str, Any]) -> Payment:
        try:
            return Gateway(self.context).open_counted(fields)
        except Refused as refused:
            if refused.code == "ORD0003":
                raise NotPossible(str(refused)) from refused
            raise DeviceRefused(str(refused)) from refused

    def open_code(self, text: str) -> Payment | None:
        """The bank has no codes; what its SDK was given may be pasted as a form."""
        if "MsgType=pay" not in text or "BillNo=" not in text:
            return None
        try:
            return self._accepted(wire.parse(text.strip()))
        except Refused as refused:
            raise DeviceRefused(str(refused)) from refused

    def back_url(self, payment: Payment, *, paid: bool) -> str | None:
        """A payer who turns back brings no proof of anything."""
        if not payment.return_url:
            return None
        return notices.return_url(self.context, payment) if paid else payment.return_url

    # -- notices

    def message(self, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
        return notices.message(self.context, account, subject, claim, notice)

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"SUCCESS"

    def other_identity(self, account: Account) -> tuple[str, str]:
        for other in self.context.store.accounts(self.code):
            if other.key != account.key:
                return other.config["branch_id"], other.config["co_no"]
        return random_digits(BRANCH_DIGITS), random_digits(MERCHANT_DIGITS)

    def payer(self, payment: Payment) -> str:
        return payment.payer or orders.PAYER

    def new_trade_no(self) -> str:
        return serial_number(self.context.clock(), "55")

    def new_refund_no(self) -> str:
        return "C" + random_digits(20)

    # -- words and statements

    def merchant_order_no(self, payment: Payment) -> str:
        return orders.wire_name(payment.order_no)["BillNo"]

    def unused_order_no(self, payment: Payment) -> str:
        """Of the same day, and never given out by a merchant who counts from 1."""
        head, number = payment.order_no.rsplit("-", 1)
        return f"{head}-{'0' * len(number)}"

    def native_state(self, payment: Payment) -> str:
        return orders.status_of(payment)

    def native_refund_state(self, refund: Refund) -> str:
        return refunds.STATES[refund.state]

    def render_bill(self, account: Account, bill: Bill, kind: str) -> BillFile:
        """The bank has one kind of statement."""
        return statements.render(account, bill)
