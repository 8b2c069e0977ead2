"""Does a channel that hangs slow the others? `make bench-limping`; bench/README.md explains it.

Starts a demo of its own on PostgreSQL and Redis, measures, and ends it. The exit status is 1 when a bar is
missed and 2 when it could not be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import aiohttp
import psycopg

from bench.load import Caller, Stream, percentile
from bench.private_demo import ROOT, NotStarted, PrivateDemo, private_demo, use_its_settings
from bench.processor import Processor
from bench.verdict import FIRST_SECONDS, Half, judge, print_report, say

LIMPING, SOUND = "alipay_qr", "wechat_native"
LIMPING_RATE, SOUND_RATE = 50.0, 10.0  # calls a second, constant
HANG_SECONDS = 30
HANGING_OPERATIONS = ("pay", "query", "close", "refund")  # the probe asks with `query`
RECOVERY_LIMIT = 60.0
TROUBLE = ("PoolTimeout", "couldn't get a connection", "too many clients", "OperationalError", "Traceback")


class Switchboard:
    """The limping channel at the sandbox, and its breaker and switch at the center."""

    def __init__(self, demo: PrivateDemo, session: aiohttp.ClientSession) -> None:
        self.sandbox, self.session = demo.document["sandbox_url"], session
        accounts = demo.document["merchants"][0]["accounts"]
        self.payment_no = next(a["payment_no"] for a in accounts if LIMPING in a["methods"])

    async def hang(self) -> None:
        for operation in HANGING_OPERATIONS:
            fault = {"channel": "alipay", "operation": operation, "fault": "timeout", "times": 1_000_000,
                     "seconds": HANG_SECONDS}  # fmt: skip
            async with self.session.post(f"{self.sandbox}/control/faults", json=fault) as answer:
                answer.raise_for_status()

    async def heal(self) -> None:
        async with self.session.delete(f"{self.sandbox}/control/faults") as answer:
            answer.raise_for_status()

    async def switch(self, position: str) -> None:
        await asyncio.to_thread(self._switch, position)

    def _switch(self, position: str) -> None:
        from merchants.models import PaymentAccount
        from trades.shedding import switch_set

        account = PaymentAccount.objects.get(payment_no=self.payment_no)
        switch_set(account=account, switch=position, actor="system:bench", reason="measuring")
        _disconnect()

    async def closed_again(self) -> None:
        """Wait until the product's own probe has closed the breaker. Raises NotStarted."""
        limit = time.monotonic() + RECOVERY_LIMIT
        while await asyncio.to_thread(self._is_open):
            if time.monotonic() > limit:
                raise NotStarted(f"the breaker did not close within {RECOVERY_LIMIT:.0f} s")
            await asyncio.sleep(0.2)
        await asyncio.sleep(1.5)  # every process has looked again

    def _is_open(self) -> bool:
        from trades.models import ChannelHealth

        found = ChannelHealth.objects.filter(account__payment_no=self.payment_no, opened_at__isnull=False).exists()
        _disconnect()
        return found


def _disconnect() -> None:
    from django.db import connection

    connection.close()


_CLIENTS = "SELECT state FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


class Connections(threading.Thread):
    """Watches how many database connections there are, four times a second."""

    def __init__(self, url: str) -> None:
        super().__init__(name="connections", daemon=True)
        self.url, self.ending = url, threading.Event()
        self.open = self.busy = self.allowed = 0

    def run(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            self.allowed = int(connection.execute("SHOW max_connections").fetchone()[0])  # type: ignore[index]
            while not self.ending.wait(0.25):
                states = [row[0] for row in connection.execute(_CLIENTS)]
                self.open = max(self.open, len(states))
                self.busy = max(self.busy, sum(state != "idle" for state in states))

    def __enter__(self) -> Connections:
        self.start()
        return self

    def __exit__(self, *_why: object) -> None:
        self.ending.set()
        self.join()

    def found(self) -> dict[str, int]:
        return {"most_open": self.open, "most_busy": self.busy, "allowed": self.allowed}


class Measurement:
    """The runs of one measurement, on one demo."""

    def __init__(self, demo: PrivateDemo, session: aiohttp.ClientSession, given: argparse.Namespace) -> None:
        self.caller, self.board = Caller(demo.document, session), Switchboard(demo, session)
        self.seconds, self.arrivals, self.sound = given.seconds, given.arrivals, given.sound
        self.halves: list[Half] = []
        self._limping: list[tuple[Half, Stream]] = []

    async def run(self, number: int) -> None:
        """Every stretch once; every second run has them in the other order."""
        stretches = [self._alone, self._well, self._hangs]
        for stretch in stretches if number % 2 else reversed(stretches):
            await stretch(number)
        for half, limping in self._limping:  # all their calls have ended by now
            half.limping = dict(limping.errnos())
            refused = limping.took(errno=50301)
            half.refused_p99 = percentile(refused, 0.99) if refused else None
        self._limping.clear()

    def forget(self) -> None:
        """Start over: what was measured so far does not count."""
        self.halves.clear()
        self._limping.clear()

    async def _alone(self, number: int) -> None:
        await self.stretch("alone", number, self.seconds, arrivals=0.0)

    async def _well(self, number: int) -> None:
        limping = await self.stretch("well", number, self.seconds)
        await limping.ended()

    async def _hangs(self, number: int) -> None:
        """With the breaker; then with the switch held on, so that the concurrency limit stands alone."""
        await self.board.hang()
        # Long enough to see the breaker open, when the first calls have timed out after 8 s.
        first = await self.stretch("hangs", number, max(self.seconds, 11.0))
        await self.board.switch("on")
        second = await self.stretch("hangs, no breaker", number, self.seconds)
        await self.board.heal()
        await self.board.switch("auto")
        await asyncio.gather(first.ended(), second.ended(), self.board.closed_again())

    async def stretch(self, name: str, number: int, seconds: float, arrivals: float | None = None) -> Stream:
        """Both streams for so long. Returns the limping one, whose last calls may still be open."""
        limping = Stream(self.caller, LIMPING, self.arrivals if arrivals is None else arrivals)
        sound = Stream(self.caller, SOUND, self.sound)
        processor = Processor()
        await asyncio.gather(limping.run(seconds), sound.run(seconds))
        used = processor.used()
        await sound.ended()
        took = sound.took()
        half = Half(
            name=name, run=number, p50=percentile(took, 0.5), p99=percentile(took, 0.99), slowest=max(took),
            first_p99=percentile(sound.took(before=FIRST_SECONDS), 0.99), calls=len(took), load=os.getloadavg()[0],
            ours=used.ours, others=used.others, sound=dict(sound.errnos()),
        )  # fmt: skip
        self.halves.append(half)
        self._limping.append((half, limping))
        say(
            f"run {number}  {name:18} p50 {half.p50:6.1f}  p99 {half.p99:6.1f}  first {FIRST_SECONDS:.0f} s p99"
            f" {half.first_p99:6.1f}  slowest {half.slowest:6.1f} ms  {half.calls} calls"
            f"  processors {half.ours:.2f} + others' {half.others:.2f}  load {half.load:.1f}"
        )
        return limping


async def measure(demo: PrivateDemo, given: argparse.Namespace) -> list[Half]:
    """The halves of all runs. Raises NotStarted."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        measurement = Measurement(demo, session, given)
        await (await measurement.stretch("warm-up", 0, 3.0)).ended()
        measurement.forget()
        for number in range(1, given.runs + 1):
            await measurement.run(number)
        return measurement.halves


def leave_unpaid_orders_alone() -> None:
    """Stop the worker's queries of the run's unpaid orders: they would be more work in the half that is well."""
    from paycenter.models import RetrySchedule

    RetrySchedule.objects.filter(name__startswith="query").update(delays=[3600], repeat_last=True)
    _disconnect()


def trouble_in(log: str) -> Counter[str]:
    """Lines that tell of an exhausted pool or a defect, by the word they contain."""
    return Counter(word for line in log.splitlines() for word in TROUBLE if word in line)


def bench(given: argparse.Namespace) -> int:
    with private_demo() as demo:
        use_its_settings(demo)
        if not given.queries:
            leave_unpaid_orders_alone()
            time.sleep(5)  # schedules are read every five seconds
        with Connections(demo.database_url) as connections:
            halves = asyncio.run(measure(demo, given))
        logs = {name: trouble_in(demo.log(name)) for name in ("web", "worker")}
    result = judge(halves, logs, connections.found())
    print_report(result)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(result, indent=1, ensure_ascii=False))
    return 0 if result["ok"] else 1


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """As an exception, so that everything started is ended on the way out."""
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", default=5, type=int)
    parser.add_argument("--seconds", default=12.0, type=float, help="of a stretch")
    parser.add_argument("--arrivals", default=LIMPING_RATE, type=float, help="calls a second for the limping channel")
    parser.add_argument("--sound", default=SOUND_RATE, type=float, help="calls a second for the sound channel")
    parser.add_argument("--queries", action="store_true", help="let the worker query the run's unpaid orders as usual")
    parser.add_argument("--json", default=ROOT / "var" / "bench-limping.json", type=Path)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return bench(given)
    except NotStarted as exc:
        print(f"not measured: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
