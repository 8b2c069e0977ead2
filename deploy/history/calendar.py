"""When people pay: more in the first days of a month, less on Sundays, at noon and in the evening."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import accumulate
from random import Random

from deploy.history.clock import EAST, HOUR

_EPOCH = date(1970, 1, 1)
_WEEK = (1.05, 1.0, 1.0, 1.0, 1.1, 0.9, 0.75)
_HOURS = (4, 2, 1, 1, 1, 2, 8, 25, 50, 62, 70, 72, 85, 60, 52, 55, 60, 66, 78, 92, 96, 74, 38, 14)


def day_number(day: date) -> int:
    """Counted from 1970."""
    return (day - _EPOCH).days


def moments(random: Random, days: list[int], trades: int, now: int) -> list[list[int]]:
    """For each local day the moments at which its orders were made, in order, none after `now`; `trades` in all."""
    weights = [_weight(number, place / max(len(days) - 1, 1)) for place, number in enumerate(days)]
    weights[-1] *= _passed(days[-1], now)
    return [_of_day(random, number, count, now) for number, count in zip(days, _shares(weights, trades), strict=True)]


def _weight(number: int, progress: float) -> float:
    day = _EPOCH + timedelta(days=number)
    due = 1.6 if day.day <= 10 else 1.2 if day.day >= 28 else 1.0
    return _WEEK[day.weekday()] * due * (0.7 + 0.6 * progress)


def _passed(number: int, now: int) -> float:
    """How much of the last day's business is over."""
    hours = (now + EAST - number * 24 * HOUR) / HOUR
    done = sum(weight * min(max(hours - hour, 0.0), 1.0) for hour, weight in enumerate(_HOURS))
    return max(done / sum(_HOURS), 0.001)


def _shares(weights: list[float], trades: int) -> list[int]:
    """Whole numbers in proportion that add up."""
    total = sum(weights)
    ends = [round(trades * upto / total) for upto in accumulate(weights)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _of_day(random: Random, number: int, count: int, now: int) -> list[int]:
    start = number * 24 * HOUR - EAST
    hours = random.choices(range(24), weights=_HOURS, k=count)
    found = [start + hour * HOUR + int(random.random() * HOUR) for hour in hours]
    latest = now - 1
    if start + 24 * HOUR > latest:
        found = [at if at <= latest else start + int(random.random() * max(latest - start, 1)) for at in found]
    found.sort()
    return found
