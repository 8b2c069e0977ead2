"""Does a channel that hangs slow the others? Measured against a running `make demo`.

    .venv/bin/python -m bench.limping_channel [var/demo.json] [--runs 5] [--seconds 15]

Every run has two halves, in turn: 50 payments a second arrive for Alipay while it is well, then while
each of its calls hangs for 30 s. In both, WeChat Pay's `gopay` is timed by a few steady clients. The table
gives the medians over the runs; the exit status is 1 when the second half is more than 1.2 times the
first (at p99 also allowed: 30 ms more), or any WeChat call failed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

ARRIVALS = 50  # payments a second for the channel that limps
CLIENTS = 4  # clients of the sound channel, each with a pause between its calls
PAUSE = 0.1
HANG_SECONDS = 30


class Demo:
    """A signed client of a running demo."""

    def __init__(self, document: dict[str, Any], session: aiohttp.ClientSession) -> None:
        self.base, self.sandbox = document["base_url"], document["sandbox_url"]
        self.app, self.merchant = document["apps"][0], document["merchants"][0]["merchant_no"]
        self.session = session

    async def gopay(self, method: str) -> tuple[int, float]:
        """errno and seconds of one new payment."""
        order = {
            "merchant_no": self.merchant, "method": method, "app_order_no": f"BENCH{secrets.token_hex(8)}",
            "amount": 100, "subject": "bench",
        }  # fmt: skip
        body, stamp, nonce = json.dumps(order).encode(), str(int(time.time())), secrets.token_hex(12)
        text = f"POST\n/v1/gopay\n{stamp}\n{nonce}\n".encode() + body + b"\n"
        digest = hmac.new(self.app["hmac_secret"].encode(), text, hashlib.sha256).digest()
        headers = {
            "X-App-Id": self.app["app_id"], "X-Timestamp": stamp, "X-Nonce": nonce, "X-Sign-Type": "HMAC-SHA256",
            "X-Signature": base64.b64encode(digest).decode(), "Content-Type": "application/json",
        }  # fmt: skip
        started = time.perf_counter()
        async with self.session.post(f"{self.base}/v1/gopay", data=body, headers=headers) as answer:
            errno = (await answer.json())["errno"]
        return errno, time.perf_counter() - started

    async def hang(self) -> None:
        fault = {
            "channel": "alipay", "operation": "pay", "fault": "timeout", "times": 1_000_000, "seconds": HANG_SECONDS,
        }  # fmt: skip
        async with self.session.post(f"{self.sandbox}/control/faults", json=fault) as answer:
            answer.raise_for_status()

    async def heal(self) -> None:
        async with self.session.delete(f"{self.sandbox}/control/faults") as answer:
            answer.raise_for_status()

    async def wait_until_well(self) -> None:
        """Until the breaker has closed again by itself."""
        for _ in range(60):
            if (await self.gopay("alipay_qr"))[0] == 0:
                return
            await asyncio.sleep(1)
        raise SystemExit("Alipay did not recover within a minute")


async def arrivals(demo: Demo, method: str, ends: float, outcomes: Counter[int]) -> None:
    """Start payments at a steady rate, whatever becomes of them."""
    started: set[asyncio.Task[None]] = set()

    async def one() -> None:
        errno, _seconds = await demo.gopay(method)
        outcomes[errno] += 1

    while time.monotonic() < ends:
        task = asyncio.create_task(one())
        started.add(task)
        task.add_done_callback(started.discard)
        await asyncio.sleep(1 / ARRIVALS)
    await asyncio.gather(*started, return_exceptions=True)


async def steady(demo: Demo, method: str, ends: float, times: list[float], outcomes: Counter[int]) -> None:
    while time.monotonic() < ends:
        errno, seconds = await demo.gopay(method)
        times.append(seconds * 1000)
        outcomes[errno] += 1
        await asyncio.sleep(PAUSE)


async def half(demo: Demo, seconds: float) -> tuple[list[float], Counter[int], Counter[int]]:
    """Milliseconds of the sound channel's calls, and what each channel's calls ended with."""
    ends = time.monotonic() + seconds
    times: list[float] = []
    sound, limping = Counter[int](), Counter[int]()
    await asyncio.gather(
        arrivals(demo, "alipay_qr", ends, limping),
        *(steady(demo, "wechat_native", ends, times, sound) for _ in range(CLIENTS)),
    )
    return times, sound, limping


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


async def measure(document: dict[str, Any], runs: int, seconds: float) -> bool:
    connector = aiohttp.TCPConnector(limit=0)
    figures: dict[str, list[tuple[float, float]]] = {"well": [], "hangs": []}
    failed = 0
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        demo = Demo(document, session)
        await half(demo, 3)  # warm up
        for run in range(runs):
            for name in ("well", "hangs"):
                await (demo.hang() if name == "hangs" else demo.wait_until_well())
                times, sound, limping = await half(demo, seconds)
                await demo.heal()
                failed += sum(count for errno, count in sound.items() if errno != 0)
                figures[name].append((percentile(times, 0.5), percentile(times, 0.99)))
                print(
                    f"run {run + 1} Alipay {name:5}: WeChat p50 {figures[name][-1][0]:6.1f} ms"
                    f"  p99 {figures[name][-1][1]:6.1f} ms  {len(times)} calls;"
                    f" Alipay's answers {dict(limping)}",
                    flush=True,
                )
    return report(figures, failed)


def report(figures: dict[str, list[tuple[float, float]]], failed: int) -> bool:
    """Print the medians over the runs; whether the bars hold."""
    medians = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in figures.items()
    }
    p50 = medians["hangs"][0] / medians["well"][0]
    p99, more = medians["hangs"][1] / medians["well"][1], medians["hangs"][1] - medians["well"][1]
    print(f"median of runs: p50 {medians['well'][0]:.1f} → {medians['hangs'][0]:.1f} ms = {p50:.2f} × (bar 1.2)")
    print(
        f"                p99 {medians['well'][1]:.1f} → {medians['hangs'][1]:.1f} ms = {p99:.2f} ×, {more:+.0f} ms"
        " (bar 1.2 × or +30 ms)"
    )
    print(f"WeChat calls that failed: {failed}")
    return p50 <= 1.2 and (p99 <= 1.2 or more <= 30) and failed == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("demo", nargs="?", default="var/demo.json", type=Path)
    parser.add_argument("--runs", default=5, type=int)
    parser.add_argument("--seconds", default=15.0, type=float)
    given = parser.parse_args()
    try:
        document = json.loads(given.demo.read_text())
    except OSError:
        print(f"{given.demo} is not there: start `make demo` first", file=sys.stderr)
        return 2
    return 0 if asyncio.run(measure(document, given.runs, given.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
