"""`/control/contracts`: the payer signs, turns back, sets a limit or ends a contract; what the channel believes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from sandbox.agreements import Agreement
from sandbox.claims import Signing
from sandbox.context import Context
from sandbox.control import requests
from sandbox.control.requests import ControlError

_OUTCOMES = ("sign", "cancel", "terminate", "limit")
_FAKES = {"forged": Signing.FORGED, "unsigned": Signing.NONE}


class Agreeing:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Sequence[web.RouteDef]:
        path = "/control/contracts/{contract_no}"
        return [
            web.post(path, self.act), web.get(path, self.look), web.post(f"{path}/notify", self.notify),
        ]  # fmt: skip

    async def act(self, request: web.Request) -> web.Response:
        """`pay` is what signing answered: opened as the payer's device would, signatures checked."""
        data = await requests.fields(request, required=("outcome",), optional=("pay", "amount"))
        outcome, amount = requests.choice(data, "outcome", _OUTCOMES), requests.amount(data)
        if (outcome == "limit") != (amount is not None):
            raise ControlError(400, "amount belongs to the outcome limit, and it to an amount")
        found, book = self._agreement(request, data), self.context.agreements
        if outcome == "limit":
            found = book.limit(found, amount or 0)
        else:
            found = {"sign": book.sign, "cancel": book.cancel, "terminate": book.end}[outcome](found)
        return web.json_response(self._describe(found))

    async def look(self, request: web.Request) -> web.Response:
        contract_no = request.match_info["contract_no"]
        found = self.context.agreements.find_number(contract_no)
        if found is not None:
            return web.json_response(self._describe(found))
        calls = self.context.store.calls(contract_no)
        if not calls:
            raise ControlError(404, f"no channel ever heard of a contract {contract_no}")
        return web.json_response({"contract_no": contract_no, "state": "none", "calls": calls})

    async def notify(self, request: web.Request) -> web.Response:
        """One notification of the present state, genuine or a fake; answers what the merchant said."""
        data = await requests.fields(request, required=(), optional=("notify",))
        kind = requests.choice(data, "notify", ("normal", *_FAKES), "normal")
        found = self._agreement(request, {})
        if not found.notify_url:
            raise ControlError(409, "the contract names no notification address")
        told = self.context.agreements.owe(found, signing=_FAKES.get(kind, Signing.GENUINE), now=False)
        sent = await self.context.agreements.send_now(told, self.context.notifier)
        body = {"status": sent.status, "body": sent.body.decode("utf-8", "replace")}
        return web.json_response(body | ({"error": sent.error} if sent.error else {}))

    def _agreement(self, request: web.Request, data: Mapping[str, Any]) -> Agreement:
        contract_no, pay = request.match_info["contract_no"], data.get("pay")
        if pay is None:
            found = self.context.agreements.find_number(contract_no)
            if found is None:
                raise ControlError(404, f"no channel has seen a contract {contract_no}")
            return found
        if not isinstance(pay, dict):
            raise ControlError(400, "pay must be the object that signing answered")
        for channel in self.context.channels.values():
            opened = channel.present_agreement(pay)
            if opened is not None and opened.contract_no != contract_no:
                raise ControlError(400, f"the pay object belongs to contract {opened.contract_no}")
            if opened is not None:
                return opened
        raise ControlError(400, "no channel knows what to do with this pay object")

    def _describe(self, agreement: Agreement) -> dict[str, Any]:
        return {
            "contract_no": agreement.contract_no, "channel": agreement.channel, "state": agreement.state,
            "channel_contract_no": agreement.channel_no, "amount": agreement.highest,
            "return_url": agreement.return_url or None, "signed_at": agreement.signed_at,
            "ended_at": agreement.ended_at, "calls": self.context.store.calls(agreement.contract_no),
        }  # fmt: skip
