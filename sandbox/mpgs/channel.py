"""MPGS as a stand-in: its doors, its payment page, its webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from sandbox.bills import Bill
from sandbox.book import random_digits
from sandbox.channel import BillFile, Channel, Contract, DeviceRefused
from sandbox.claims import Claim, Message, Subject
from sandbox.mpgs import notices, orders, statements
from sandbox.mpgs.contract import MODES, sign_contract
from sandbox.mpgs.doors import Doors
from sandbox.mpgs.page import PATH, Page, returning
from sandbox.records import Account, Notice, Payment, PaymentState, Refund, RefundState


class Mpgs(Channel):
    code = "mpgs"
    names = ("国际卡（MPGS）", "International cards (MPGS)")
    modes = MODES
    # About twenty tries over three days; the steps between are ours.
    ladder = (60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, *(14400.0,) * 4, *(28800.0,) * 6)
    # Nobody is meant to rely on what an unsigned webhook says.
    states_currency = False
    tells_console_refunds = True
    preludes = (notices.AUTHENTICATED,)

    @classmethod
    def sign_contract(cls, *, name: str, mode: str, base_url: str) -> Contract:
        return sign_contract(name=name, mode=mode, base_url=base_url)

    def routes(self) -> Sequence[web.RouteDef]:
        page = Page(self.context)
        hosted = PATH + "{session}"
        return [*Doors(self.context).routes(), web.get(hosted, page.show), web.post(hosted, page.act)]

    # -- the payer's device

    def present(self, pay: Mapping[str, Any]) -> Payment | None:
        return self.open_code(str(pay.get("url", ""))) if pay.get("type") == "redirect" else None

    def open_code(self, text: str) -> Payment | None:
        """The address of a payment page."""
        path = urlsplit(text.strip()).path
        if not path.startswith(PATH):
            return None
        found = self.context.book.find_code(self.code, path.removeprefix(PATH))
        if found is None:
            raise DeviceRefused("no such checkout session")
        return found

    def back_url(self, payment: Payment, *, paid: bool) -> str | None:
        return (returning(payment) if paid else str(payment.extra.get("cancel_url") or "")) or None

    # -- webhooks

    def message(self, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
        return notices.message(self.context, account, subject, claim, notice)

    def acknowledged(self, status: int, body: bytes) -> bool:
        return 200 <= status < 300

    def other_identity(self, account: Account) -> tuple[str, str]:
        for other in self.context.store.accounts(self.code):
            if other.key != account.key:
                return other.key, ""
        return "TEST" + random_digits(8), ""

    def payer(self, payment: Payment) -> str:
        return orders.CARD

    def new_trade_no(self) -> str:
        return random_digits(12)

    def new_refund_no(self) -> str:
        return "portal" + random_digits(14)

    # -- words and bills

    def native_state(self, payment: Payment) -> str:
        return "NO_ORDER" if payment.state is PaymentState.UNSCANNED else orders.status(self.context, payment)

    def native_refund_state(self, refund: Refund) -> str:
        return "FAILURE" if refund.state is RefundState.FAIL else refund.state.name

    def render_bill(self, account: Account, bill: Bill, kind: str) -> BillFile:
        return statements.render(account, bill)
