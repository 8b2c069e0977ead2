"""Open-loop load on a running demo: calls start on time, whatever becomes of those before them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

NO_ANSWER = -1  # in the place of an errno: the connection failed, or what came was no envelope


@dataclass(frozen=True, slots=True)
class Answer:
    """How one call ended. `began` is in seconds from the stream's start, `took` in milliseconds."""

    began: float
    took: float
    errno: int
    status: int


class Caller:
    """An app that signs with HMAC-SHA256."""

    def __init__(self, document: Mapping[str, Any], session: aiohttp.ClientSession) -> None:
        self.base = document["base_url"]
        self.app = document["apps"][0]
        self.merchant_no = document["merchants"][0]["merchant_no"]
        self.session = session

    async def gopay(self, method: str) -> tuple[int, int]:
        """errno and HTTP status of one new payment."""
        order = {
            "merchant_no": self.merchant_no, "method": method, "app_order_no": f"BENCH{secrets.token_hex(8)}",
            "amount": 100, "subject": "bench",
        }  # fmt: skip
        body = json.dumps(order).encode()
        try:
            async with self.session.post(
                f"{self.base}/v1/gopay", data=body, headers=self._signed("/v1/gopay", body)
            ) as answer:
                return int((await answer.json())["errno"]), answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError):
            return NO_ANSWER, 0

    def _signed(self, path: str, body: bytes) -> dict[str, str]:
        stamp, nonce = str(int(time.time())), secrets.token_hex(12)
        text = f"POST\n{path}\n{stamp}\n{nonce}\n".encode() + body + b"\n"
        digest = hmac.digest(self.app["hmac_secret"].encode(), text, hashlib.sha256)
        return {
            "X-App-Id": self.app["app_id"], "X-Timestamp": stamp, "X-Nonce": nonce, "X-Sign-Type": "HMAC-SHA256",
            "X-Signature": base64.b64encode(digest).decode(), "Content-Type": "application/json",
        }  # fmt: skip


@dataclass(slots=True)
class Stream:
    """Payments through one method at a constant rate a second."""

    caller: Caller
    method: str
    rate: float
    answers: list[Answer] = field(default_factory=list)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, seconds: float) -> None:
        """Start calls for so long; returns when the last one has started, not ended."""
        began = time.perf_counter()
        for number in range(int(self.rate * seconds)):
            await asyncio.sleep(began + number / self.rate - time.perf_counter())
            task = asyncio.create_task(self._one(began))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _one(self, began: float) -> None:
        started = time.perf_counter()
        errno, status = await self.caller.gopay(self.method)
        self.answers.append(Answer(started - began, (time.perf_counter() - started) * 1000, errno, status))

    async def ended(self) -> None:
        """Wait for the calls that are still open."""
        await asyncio.gather(*self._open)

    def errnos(self) -> Counter[int]:
        return Counter(answer.errno for answer in self.answers)

    def took(self, *, before: float = float("inf"), errno: int | None = None) -> list[float]:
        """Milliseconds of the calls that began in the first `before` seconds, and ended with `errno` if given."""
        return [a.took for a in self.answers if a.began < before and errno in (None, a.errno)]


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-len(ordered) * share // 1) - 1))]
