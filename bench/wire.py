"""A cheap HTTP/1.1 client: sends requests made beforehand over kept connections, one at a time on each.

Cheap because it shares the machine with what it measures; it reads no more than status and length.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_EMPTY = 204  # has no length
LIMIT = 300.0  # seconds for one volley


class Unexpected(Exception):
    """Answers were not what they were to be."""


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The bytes of a request on a kept connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(slots=True)
class Volley:
    """How many answers there were by status, and the seconds from the first request to the last answer."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: bytes = b""
    seconds: float = 0.0


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], found: Volley, expected: bytes, ended: asyncio.Future[None]) -> None:
        self._requests, self._found, self._expected, self._ended = requests, found, expected, ended
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        status, length = _STATUS.match(self._buffer), _LENGTH.search(self._buffer, 0, end + 2)
        if status is None or (length is None and int(status[1]) != _EMPTY):
            self._found.wrong = self._buffer
            self._transport.abort()
            return
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        self._found.statuses[int(status[1])] += 1
        if self._expected not in self._buffer:
            self._found.wrong = self._buffer
        self._buffer = self._buffer[whole:]
        self._next()

    def _next(self) -> None:
        following = next(self._requests, None)
        if following is None:
            self._transport.close()
        else:
            self._transport.write(following)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


async def _volley(port: int, requests: Sequence[bytes], side_by_side: int, expected: bytes) -> Volley:
    loop, found, left = asyncio.get_running_loop(), Volley(), iter(requests)
    began, ends = time.perf_counter(), []
    for _ in range(side_by_side):
        ended = loop.create_future()
        ends.append(ended)
        await loop.create_connection(lambda e=ended: _Connection(left, found, expected, e), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.wait_for(asyncio.gather(*ends), LIMIT)
    found.seconds = time.perf_counter() - began
    return found


def volley(port: int, requests: Sequence[bytes], *, side_by_side: int, expected: bytes = b"") -> Volley:
    """Send them all. Raises Unexpected unless each is answered 200 or 204 with `expected` in it."""
    found = asyncio.run(_volley(port, requests, side_by_side, expected))
    if found.statuses[200] + found.statuses[_EMPTY] != len(requests) or found.wrong:
        raise Unexpected(f"{len(requests)} requests: {dict(found.statuses)}, {found.wrong[:600]!r}")
    return found
