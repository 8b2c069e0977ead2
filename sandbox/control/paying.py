"""`POST /control/pay` and `POST /control/notify`: the payer pays; the channel, or a forger, tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from sandbox.claims import Kind, Signing
from sandbox.context import Context
from sandbox.control import requests
from sandbox.control.requests import ControlError
from sandbox.records import Notice, Payment, PaymentState, Refund

_OPTIONAL = ("pay", "amount", "notify")
# What can be said of a refund: the truth, or a fake by others.
_ABOUT_REFUNDS = (Kind.NORMAL, Kind.TWICE, Kind.FORGED, Kind.UNSIGNED, Kind.OTHER_MERCHANT)


class Paying:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Sequence[web.RouteDef]:
        return [web.post("/control/pay", self.pay), web.post("/control/notify", self.notify)]

    async def pay(self, request: web.Request) -> web.Response:
        """Money moves in the channel's book, then the notification asked for is owed."""
        data = await requests.fields(request, required=("attempt_no",), optional=_OPTIONAL)
        amount, kind = requests.amount(data), self._kind(data)
        payment = self._payment(data)
        channel = self.context.channel_of(payment)
        if kind is Kind.WRONG_CURRENCY and not channel.states_currency:
            raise ControlError(400, f"a notice of {channel.code} states no currency")
        with self.context.store.together():
            scanned = self.context.book.scan(payment)
            payment = self.context.book.pay(scanned, amount=amount, payer=channel.payer(scanned))
            if kind is not Kind.NONE:
                self._owe(payment, kind, None, now=True)
        return web.json_response({
            "attempt_no": payment.attempt_no, "channel": payment.channel, "state": payment.state,
            "amount": payment.total, "channel_trade_no": payment.trade_no, "notify": kind,
            "return_url": channel.back_url(payment, paid=True),
        })  # fmt: skip

    async def notify(self, request: web.Request) -> web.Response:
        """One notification, paid or not: what it claims about an unpaid order is a fake. With `refund_no`
        it is about that refund."""
        data = await requests.fields(request, required=("attempt_no",), optional=(*_OPTIONAL, "refund_no"))
        amount, kind = requests.amount(data), self._kind(data)
        payment = self._payment(data)
        channel = self.context.channel_of(payment)
        if kind is Kind.NONE:
            raise ControlError(400, "notify none: there is nothing to send")
        if kind is Kind.WRONG_CURRENCY and not channel.states_currency:
            raise ControlError(400, f"a notice of {channel.code} states no currency")
        refund = self._refund(data, payment, kind) if data.get("refund_no") is not None else None
        if not (refund or payment).notify_url:
            raise ControlError(409, "the order or refund names no notification address")
        notice = self._owe(payment, kind, amount, now=False, refund=refund)
        sent = await self.context.notifier.send_now(notice)
        if kind is Kind.TWICE:
            sent = await self.context.notifier.send_now(notice)
        body = {"status": sent.status, "body": sent.body.decode("utf-8", "replace")}
        return web.json_response(body | ({"error": sent.error} if sent.error else {}))

    def _kind(self, data: Mapping[str, Any]) -> Kind:
        return Kind(requests.choice(data, "notify", tuple(Kind), Kind.NORMAL))

    def _payment(self, data: Mapping[str, Any]) -> Payment:
        """The order meant; with `pay`, after the payer's device did its part."""
        attempt_no = requests.text(data, "attempt_no")
        if data.get("pay") is None:
            return requests.known_payment(self.context, attempt_no)
        pay = data["pay"]
        if not isinstance(pay, dict) or not isinstance(pay.get("type"), str):
            raise ControlError(400, "pay must be the object that gopay answered")
        for channel in self.context.channels.values():
            opened = channel.present(pay)
            if opened is not None:
                return self._same(opened, attempt_no)
        raise ControlError(400, "no channel knows what to do with this pay object")

    def _refund(self, data: Mapping[str, Any], payment: Payment, kind: Kind) -> Refund:
        """The ended refund that a notification is about."""
        if kind not in _ABOUT_REFUNDS:
            raise ControlError(400, f"notify of a refund must be one of {', '.join(_ABOUT_REFUNDS)}")
        number = requests.text(data, "refund_no")
        found = next((r for r in self.context.book.refunds(payment) if r.refund_no == number), None)
        if found is None:
            raise ControlError(404, f"the order has no refund {number}")
        if not self.context.notifier.tells(found):
            raise ControlError(409, f"{found.channel} tells nothing of a refund that is {found.state}")
        return found

    def _same(self, opened: Payment, attempt_no: str) -> Payment:
        if opened.attempt_no != attempt_no:
            raise ControlError(400, f"the pay object belongs to attempt {opened.attempt_no}")
        return self.context.book.scan(opened)

    def _owe(
        self, payment: Payment, kind: Kind, amount: int | None, *, now: bool, refund: Refund | None = None
    ) -> Notice:
        changes = self._changes(payment, kind)
        if amount is not None:
            changes = {"amount": amount} | changes
        genuine = kind in (Kind.NORMAL, Kind.TWICE)
        copies = 2 if kind is Kind.TWICE else 1
        return self.context.notifier.owe(
            payment, refund, changes=changes, copies=copies, retries=genuine and now,
            now=now and bool(payment.notify_url),
        )  # fmt: skip

    def _changes(self, payment: Payment, kind: Kind) -> dict[str, Any]:
        """What a fake says instead of the truth."""
        channel = self.context.channel_of(payment)
        if kind is Kind.FORGED:
            return {"signing": Signing.FORGED}
        if kind is Kind.UNSIGNED:
            return {"signing": Signing.NONE}
        if kind is Kind.WRONG_AMOUNT:
            return {"amount": payment.total + 1}
        if kind is Kind.WRONG_CURRENCY:
            return {"currency": "EUR" if payment.currency != "EUR" else "USD"}
        if kind is Kind.OTHER_MERCHANT:
            merchant_id, app_id = channel.other_identity(self.context.store.account_of(payment))
            return {"merchant_id": merchant_id, "app_id": app_id}
        return self._another_order(payment) if kind is Kind.OTHER_ORDER else {}

    def _another_order(self, payment: Payment) -> dict[str, Any]:
        """What is true of another paid order of this contract (one of the same amount, if there is
        one, as the hardest to tell apart), or words about an order that nobody knows."""
        channel = self.context.channel_of(payment)
        row = self.context.store.one(
            "SELECT id FROM payment WHERE channel = ? AND account = ? AND state = ? AND id <> ? "
            "ORDER BY paid_amount = ? DESC, id DESC LIMIT 1",
            payment.channel, payment.account, PaymentState.PAID, payment.id, payment.total,
        )  # fmt: skip
        if row is not None:
            other = self.context.book.payment(row["id"])
            return {"order_no": other.order_no, "trade_no": other.trade_no,
                    "amount": other.total, "paid_at": other.paid_at}
        return {"order_no": channel.unused_order_no(payment), "trade_no": channel.new_trade_no()}
