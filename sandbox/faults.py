"""Misbehaviour on demand, and the one path on which every provider call is counted and served."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from sandbox.store import Store

if TYPE_CHECKING:
    from sandbox.context import Context

T = TypeVar("T")
# `token`: where a provider gives out access tokens; `bill_file`: the download, where it is a call of its own.
OPERATIONS = (
    "pay", "query", "close", "refund", "query_refund", "bill", "bill_file", "token", "query_contract",
    "terminate_contract",
)  # fmt: skip


class Fault(StrEnum):
    TIMEOUT = "timeout"  # nothing is done, no answer
    RESET = "reset"  # nothing is done, the connection is reset
    HTTP500 = "http500"  # nothing is done
    BAD_SIGNATURE = "bad_signature"  # done, the answer's signature is wrong
    NO_SIGNATURE = "no_signature"  # done, the answer is unsigned
    GARBAGE = "garbage"  # done, the answer is not the provider's format
    SLOW = "slow"  # done and answered, late
    DRIP = "drip"  # done and answered, a byte at a time
    LOST_REPLY = "lost_reply"  # done, then no answer


_DEFAULT_SECONDS = {Fault.TIMEOUT: 30.0, Fault.SLOW: 3.0, Fault.DRIP: 3.0}


class Signature(StrEnum):
    GENUINE = "genuine"
    BROKEN = "broken"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Armed:
    """A fault about to happen; `seconds` is how long it holds the caller."""

    fault: Fault
    seconds: float


class Faults:
    """The faults that were ordered, oldest first; kept over a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, channel: str, operation: str, fault: Fault, times: int, seconds: float | None) -> None:
        self._store.insert(
            "fault", channel=channel, operation=operation, fault=fault, times=times, seconds=seconds
        )

    def clear(self) -> int:
        return self._store.run("DELETE FROM fault")

    def pending(self) -> list[dict[str, object]]:
        names = "channel, operation, fault, times, seconds"
        return [dict(row) for row in self._store.all(f"SELECT {names} FROM fault ORDER BY id")]

    def take(self, channel: str, operation: str) -> Armed | None:
        """The next fault for this call, used up by one."""
        row = self._store.one(
            "SELECT * FROM fault WHERE channel = ? AND operation = ? ORDER BY id LIMIT 1", channel, operation
        )
        if row is None:
            return None
        if row["times"] <= 1:
            self._store.run("DELETE FROM fault WHERE id = ?", row["id"])
        else:
            self._store.run("UPDATE fault SET times = times - 1 WHERE id = ?", row["id"])
        fault = Fault(row["fault"])
        seconds = row["seconds"] if row["seconds"] is not None else _DEFAULT_SECONDS.get(fault, 0.0)
        return Armed(fault, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a merchant: which operation, about which numbers (as the merchant sent them)."""

    channel: str
    operation: str
    order_no: str = ""
    refund_no: str = ""


def count(context: Context, call: Call) -> None:
    # What is no readable text (half a character, say) names nothing.
    for number in {n for n in (call.order_no, call.refund_no) if n and n.isprintable()}:
        context.store.count_call(call.channel, number[:64], call.operation)


async def serve(
    context: Context, request: web.Request, call: Call,
    act: Callable[[], T], render: Callable[[T, Signature], web.StreamResponse],
) -> web.StreamResponse:  # fmt: skip
    """Count the call, let an ordered fault happen around `act`, and render what came of it."""
    count(context, call)
    armed = context.faults.take(call.channel, call.operation)
    if armed is None:
        return render(act(), Signature.GENUINE)
    if armed.fault in (Fault.TIMEOUT, Fault.SLOW):
        await asyncio.sleep(armed.seconds)
    if armed.fault in (Fault.TIMEOUT, Fault.RESET):
        return _drop(request)
    if armed.fault is Fault.HTTP500:
        return web.Response(status=500, text="<html><body>Internal Server Error</body></html>",
                            content_type="text/html")  # fmt: skip
    return await _mangled(request, armed, act(), render)


async def _mangled(
    request: web.Request, armed: Armed, result: T, render: Callable[[T, Signature], web.StreamResponse]
) -> web.StreamResponse:
    if armed.fault is Fault.LOST_REPLY:
        await asyncio.sleep(armed.seconds)
        return _drop(request)
    if armed.fault is Fault.GARBAGE:
        return web.Response(body=b"\x1f\x8b{]<garbage>\xff\xfe", content_type="application/json")
    if armed.fault is Fault.DRIP:
        return await _dripped(request, render(result, Signature.GENUINE), armed.seconds)
    signature = {Fault.BAD_SIGNATURE: Signature.BROKEN, Fault.NO_SIGNATURE: Signature.MISSING}
    return render(result, signature.get(armed.fault, Signature.GENUINE))


async def _dripped(request: web.Request, whole: web.StreamResponse, seconds: float) -> web.StreamResponse:
    """The genuine answer, its body spread evenly over `seconds` (an empty one comes at their end)."""
    body = whole.body if isinstance(whole, web.Response) else None
    if not isinstance(body, bytes) or not body:
        await asyncio.sleep(seconds)
        return whole
    slow = web.StreamResponse(status=whole.status, headers=whole.headers)
    slow.content_length = len(body)
    with suppress(ConnectionError):
        await slow.prepare(request)
        for at in range(len(body)):
            await slow.write(body[at : at + 1])
            await asyncio.sleep(seconds / len(body))
        await slow.write_eof()
    return slow


def _drop(request: web.Request) -> web.Response:
    """End the connection with a reset; the response returned here never leaves."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if isinstance(sock, socket.socket) or hasattr(sock, "setsockopt"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()
