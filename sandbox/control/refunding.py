"""`/control/refunds`: how a refund ends, refunds from the channel's own console, what it believes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from sandbox.context import Context
from sandbox.control import requests
from sandbox.control.requests import ControlError
from sandbox.records import Outcome, Refund, RefundState


class Refunding:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.post("/control/refunds", self.from_console),
            web.post("/control/refunds/{refund_no}", self.outcome),
            web.get("/control/refunds/{refund_no}", self.show),
        ]

    async def from_console(self, request: web.Request) -> web.Response:
        """A person gives money back in the channel's own portal: nobody here asked for it."""
        data = await requests.fields(request, required=("attempt_no", "amount"))
        amount = requests.amount(data)
        if amount is None:
            raise ControlError(400, "amount is missing")
        payment = requests.known_payment(self.context, requests.text(data, "attempt_no"))
        channel = self.context.channel_of(payment)
        number = channel.new_refund_no()
        refund = self.context.book.add_refund(
            payment, refund_no=number, channel_refund_no=number, amount=amount, console=True,
            notify_url=payment.notify_url if channel.tells_console_refunds else "",
        )  # fmt: skip
        refund = self.context.notifier.settle(refund, RefundState.SUCCESS)
        return web.json_response(describe(self.context, refund))

    async def outcome(self, request: web.Request) -> web.Response:
        """Said before the request it waits for it; after, it happens now."""
        data = await requests.fields(request, required=("outcome",))
        outcome = requests.choice(data, "outcome", tuple(Outcome))
        refund_no = request.match_info["refund_no"]
        known = self.context.book.find_refund(refund_no)
        if known is not None and known.state is not RefundState.PENDING:
            raise ControlError(409, f"the refund has ended already: {known.state}")
        self.context.book.set_outcome(refund_no, outcome)
        if known is None:
            return web.json_response({"refund_no": refund_no, "state": None, "outcome": outcome})
        settled = self.context.notifier.settle(known, self.context.book.ending(refund_no))
        return web.json_response(describe(self.context, settled))

    async def show(self, request: web.Request) -> web.Response:
        refund_no = request.match_info["refund_no"]
        known = self.context.book.find_refund(refund_no)
        if known is not None:
            return web.json_response(describe(self.context, known))
        calls = self.context.store.calls(refund_no)
        if not calls:
            raise ControlError(404, f"no channel ever heard of a refund {refund_no}")
        return web.json_response({"refund_no": refund_no, "state": "none", "amount": None, "calls": calls})


def describe(context: Context, refund: Refund) -> dict[str, Any]:
    payment = context.book.payment(refund.payment_id)
    return {
        "refund_no": refund.refund_no, "channel": refund.channel, "attempt_no": payment.attempt_no,
        "channel_refund_no": refund.channel_refund_no, "state": refund.state, "amount": refund.amount,
        "currency": payment.currency, "console": refund.console, "created_at": refund.created_at,
        "settled_at": refund.settled_at,
        "channel_state": context.channel_of(payment).native_refund_state(refund),
        "calls": context.store.calls(refund.refund_no),
    }  # fmt: skip
