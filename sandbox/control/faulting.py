"""`/control/faults`: order misbehaviour, see what is still ordered, clear it."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from sandbox.context import Context
from sandbox.control import requests
from sandbox.control.requests import ControlError
from sandbox.faults import OPERATIONS, Fault

_LONGEST_SECONDS = 600


class Faulting:
    def __init__(self, context: Context) -> None:
        self.context = context

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.post("/control/faults", self.add),
            web.get("/control/faults", self.list),
            web.delete("/control/faults", self.clear),
        ]

    async def add(self, request: web.Request) -> web.Response:
        data = await requests.fields(
            request, required=("channel", "operation", "fault"), optional=("times", "seconds")
        )
        channel = requests.choice(data, "channel", tuple(self.context.channels))
        operation = requests.choice(data, "operation", OPERATIONS)
        fault = Fault(requests.choice(data, "fault", tuple(Fault)))
        times = requests.amount(data, "times") or 1
        seconds = data.get("seconds")
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)
                                    or not 0 <= seconds <= _LONGEST_SECONDS):  # fmt: skip
            raise ControlError(400, f"seconds must be a number from 0 to {_LONGEST_SECONDS}")
        self.context.faults.add(channel, operation, fault, times, seconds)
        return web.json_response({"faults": self.context.faults.pending()})

    async def list(self, request: web.Request) -> web.Response:
        return web.json_response({"faults": self.context.faults.pending()})

    async def clear(self, request: web.Request) -> web.Response:
        return web.json_response({"cleared": self.context.faults.clear()})
