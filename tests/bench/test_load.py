"""The load keeps its rate whatever becomes of the calls."""

from __future__ import annotations

import asyncio

import pytest

from bench.load import Caller, Stream, percentile


class HangingCaller(Caller):
    """Answers only when it is let."""

    def __init__(self) -> None:
        self.let, self.started = asyncio.Event(), 0

    async def gopay(self, method: str) -> tuple[int, int]:
        self.started += 1
        await self.let.wait()
        return 50401, 504


@pytest.mark.clock
def test_calls_start_on_time_although_none_has_ended() -> None:
    async def run() -> Stream:
        caller = HangingCaller()
        stream = Stream(caller, "fake_qr", rate=50.0)
        await stream.run(0.4)
        await asyncio.sleep(0)
        assert (caller.started, stream.answers) == (20, [])
        caller.let.set()
        await stream.ended()
        return stream

    stream = asyncio.run(run())

    assert stream.errnos() == {50401: 20}
    assert 0.3 <= max(answer.began for answer in stream.answers) < 1.0
    assert 0 < len(stream.took(before=0.2)) < len(stream.took(errno=50401)) == 20


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100)])
def test_percentile(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value
