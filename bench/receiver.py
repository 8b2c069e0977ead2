"""Apps that receive messages: an address each, answering `success` at once, or never. A process of its own."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.private_demo import ROOT
from deploy.checks.services import free_port

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nsuccess"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class _Receiver(asyncio.Protocol):
    def __init__(self, hangs: bool) -> None:
        self._hangs, self._buffer = hangs, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        length = _LENGTH.search(self._buffer, 0, max(end, 0))
        if end < 0 or length is None or len(self._buffer) < end + 4 + int(length[1]):
            return
        self._buffer = self._buffer[end + 4 + int(length[1]) :]
        if not self._hangs:
            self._transport.write(_ANSWER)


async def _serve(well: Sequence[int], hanging: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in (*well, *hanging):
        hangs = port in hanging
        await loop.create_server(lambda hangs=hangs: _Receiver(hangs), "127.0.0.1", port)  # type: ignore[misc]
    print("ready", flush=True)
    await asyncio.Event().wait()


@contextmanager
def receivers(well: int, hanging: int) -> Iterator[tuple[list[int], list[int]]]:
    """So many receivers' ports: those that answer, and those that never do."""
    ports = [free_port() for _ in range(well + hanging)]
    words = [",".join(map(str, some)) for some in (ports[:well], ports[well:])]
    command = [sys.executable, "-m", "bench.receiver", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    try:
        if process.stdout is not None:
            process.stdout.readline()
        yield ports[:well], ports[well:]
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    asyncio.run(_serve(*([int(port) for port in word.split(",") if port] for word in sys.argv[1:3])))
