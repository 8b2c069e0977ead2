"""Moments as text, a million times over. A moment is whole microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
EAST = 8 * HOUR  # the merchants' clocks, and the center's
_EPOCH = date(1970, 1, 1)
_HMS = [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)]
_DIGITS = [text.replace(":", "") for text in _HMS]


def moment_of(at: datetime) -> int:
    """The moment of an aware time."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@lru_cache(maxsize=8192)
def day_text(number: int) -> str:
    """`2026-11-21` of a day counted from 1970."""
    return (_EPOCH + timedelta(days=number)).isoformat()


@lru_cache(maxsize=8192)
def _day_digits(number: int) -> str:
    return day_text(number).replace("-", "")


def utc(moment: int) -> str:
    """As both databases read it in a session in UTC."""
    day, rest = divmod(moment, DAY)
    second, micro = divmod(rest, SECOND)
    return f"{day_text(day)} {_HMS[second]}.{micro:06d}"


def digits(moment: int) -> str:
    """The 20 digits in our numbers."""
    day, rest = divmod(moment, DAY)
    second, micro = divmod(rest, SECOND)
    return f"{_day_digits(day)}{_DIGITS[second]}{micro:06d}"


def iso(moment: int) -> str:
    """As `paycenter.times.iso` writes it in the merchants' zone."""
    day, rest = divmod(moment + EAST, DAY)
    second, micro = divmod(rest, SECOND)
    return f"{day_text(day)}T{_HMS[second]}.{micro // 1000:03d}+08:00"


def chained(moment: int) -> str:
    """As the chain of events spells it."""
    day, rest = divmod(moment, DAY)
    second, micro = divmod(rest, SECOND)
    return f"{day_text(day)}T{_HMS[second]}.{micro:06d}+00:00"
