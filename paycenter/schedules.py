"""When to try again: delays in seconds, as an operator's RetrySchedule row says, else the defaults here."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from paycenter.models import RetrySchedule

CACHE_SECONDS = 5.0
JITTER = 0.1
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds before each try. When they are used up: repeat the last, or give up."""

    delays: tuple[float, ...]
    repeat_last: bool = False

    def delay(self, tries: int) -> float | None:
        """Seconds before the next try when `tries` were made; None when no further one is due."""
        if tries < len(self.delays):
            return self.delays[max(tries, 0)]
        return self.delays[-1] if self.repeat_last and self.delays else None


DEFAULTS: Mapping[str, Schedule] = {
    "query": Schedule((5, 10, 30, 60, 120, 300, 600, 1800), repeat_last=True),
    "query:wechat": Schedule((5, 30, 60, 180, 300, 600, 1800), repeat_last=True),
    # Refunds: asked about after sending, and tried again while the channel gives no word about the payment.
    "refund_query": Schedule((2, 5, 10, 30, 60, 300, 600, 1800, _HOUR), repeat_last=True),
    "refund_send": Schedule((0, 5, 15, 60, 300, 900, 1800), repeat_last=True),
    # The first try follows the commit at once; its 0 stands for that.
    "delivery": Schedule(
        (0, 5, 10, 30, 60, 120, 300, 600, 1800, _HOUR, 2 * _HOUR, 6 * _HOUR, 6 * _HOUR, 6 * _HOUR,
         12 * _HOUR, 24 * _HOUR, 24 * _HOUR)
    ),
    # A channel that has no bill yet, and a difference its answer did not settle.
    "bill": Schedule((600, 600, 1800, _HOUR), repeat_last=True),
    "case": Schedule((0, 300, 1800, 6 * _HOUR)),
    "alert": Schedule((0, 10, 30, 60, 300, 900, 1800, _HOUR)),
}  # fmt: skip


class _Rows:
    """The operator's rows, read at most once in `CACHE_SECONDS` per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._found: dict[str, Schedule] = {}

    def get(self) -> dict[str, Schedule]:
        if time.monotonic() - self._read_at < CACHE_SECONDS:
            return self._found
        with self._lock:
            if time.monotonic() - self._read_at >= CACHE_SECONDS:
                self._found = _read_rows()
                self._read_at = time.monotonic()
        return self._found

    def forget(self) -> None:
        self._read_at = float("-inf")


def _read_rows() -> dict[str, Schedule]:
    found = {}
    for name, delays, repeat in RetrySchedule.objects.values_list("name", "delays", "repeat_last"):
        if _usable(delays):
            found[name] = Schedule(tuple(delays), repeat)
    return found


def _usable(delays: object) -> bool:
    """A row edited into nonsense falls back to the default rather than stopping all retries."""
    return (
        isinstance(delays, list)
        and bool(delays)
        and all(type(d) in (int, float) and 0 <= d <= 30 * 24 * _HOUR for d in delays)
    )


_rows = _Rows()
forget_cached = _rows.forget


def schedule_for(name: str, fallback: str = "") -> Schedule:
    """The schedule `name`, else `fallback`, else the part of `name` before the colon.

    Each is looked up among the operator's rows first, then among the defaults. Raises KeyError
    for a name that nobody defined.
    """
    rows = _rows.get()
    for candidate in (name, fallback, name.partition(":")[0]):
        found = rows.get(candidate) or DEFAULTS.get(candidate)
        if found is not None:
            return found
    raise KeyError(name)


def delay_for(name: str, tries: int, fallback: str = "") -> float | None:
    """Seconds until the next try after `tries` tries (0: before the first), give or take 10 %.

    None when the schedule is used up. `delay_for("query:wechat", 0)` is about 5.
    """
    delay = schedule_for(name, fallback).delay(tries)
    return None if delay is None else delay * random.uniform(1 - JITTER, 1 + JITTER)
