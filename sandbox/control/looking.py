"""`/control/payments` and `/control/bill`: what the channel believes, and how its bill may differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from aiohttp import web

from sandbox.bills import BadEdit, add_edits, bill_for
from sandbox.clock import day_bounds
from sandbox.context import Context
from sandbox.control import requests
from sandbox.control.refunding import describe as describe_refund
from sandbox.control.requests import ControlError
from sandbox.records import Payment


class Looking:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/control/payments/{attempt_no}", self.payment),
            web.get("/control/bill/{payment_no}/{date}", self.bill),
            web.post("/control/bill/{payment_no}/{date}/edits", self.edit_bill),
        ]

    async def payment(self, request: web.Request) -> web.Response:
        """An order that was only asked about, or refused, has state `none`."""
        attempt_no = request.match_info["attempt_no"]
        calls = self.context.store.calls(attempt_no)
        found = self.context.book.find_attempt(attempt_no)
        if found is not None:
            return web.json_response(self._describe(found))
        if not calls:
            raise ControlError(404, f"no channel ever heard of an attempt {attempt_no}")
        return web.json_response({"attempt_no": attempt_no, "state": "none", "amount": None, "calls": calls})

    def _describe(self, payment: Payment) -> dict[str, Any]:
        book = self.context.book
        return {
            "attempt_no": payment.attempt_no, "channel": payment.channel,
            "channel_order_no": self.context.channel_of(payment).merchant_order_no(payment),
            "channel_trade_no": payment.trade_no, "state": payment.state, "amount": payment.total,
            "ordered_amount": payment.amount, "currency": payment.currency, "scene": payment.scene,
            "refunded_amount": book.refunded(payment, settled=True),
            "channel_state": self.context.channel_of(payment).native_state(payment),
            "created_at": payment.created_at, "expires_at": payment.expires_at, "paid_at": payment.paid_at,
            "closed_at": payment.closed_at,
            "refunds": [describe_refund(self.context, r) for r in book.refunds(payment)],
            "notifications": self.context.notifier.sends(payment),
            "calls": self.context.store.calls(payment.order_no),
        }  # fmt: skip

    async def bill(self, request: web.Request) -> web.Response:
        """`?kind=fund` is the fund-flow bill; any day can be had, also today's."""
        account = requests.known_account(self.context, request.match_info["payment_no"])
        kind = requests.choice(request.query, "kind", ("trade", "fund"), "trade")
        date = _date(request)
        channel = self.context.channels[account.channel]
        bill = bill_for(self.context.book, account, date, refund_states=channel.bills_refund_states)
        made = channel.render_bill(account, bill, kind)
        disposition = f"attachment; filename*=UTF-8''{quote(made.filename)}"
        return web.Response(body=made.content, content_type=made.content_type,
                            headers={"Content-Disposition": disposition})  # fmt: skip

    async def edit_bill(self, request: web.Request) -> web.Response:
        account = requests.known_account(self.context, request.match_info["payment_no"])
        try:
            count = add_edits(self.context.book, account, _date(request), await requests.any_json(request))
        except BadEdit as exc:
            raise ControlError(400, str(exc)) from exc
        return web.json_response({"edits": count})


def _date(request: web.Request) -> str:
    date = request.match_info["date"]
    try:
        day_bounds(date)
    except ValueError:
        raise ControlError(400, "the date must be YYYY-MM-DD") from None
    return date
