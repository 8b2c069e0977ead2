"""Moments as text, a million times over. A moment is whole microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
EAST = 8 * HOUR  # the merchants' clocks, and the center's
_EPOCH = date(1970, 1, 1)
_HMS = [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)]
_THREE = [f"{n:03d}" for n in range(1000)]
_DIGITS = [text.replace(":", "") for text in _HMS]


def moment_of(at: datetime) -> int:
    """The moment of an aware time."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


_DAYS = [(_EPOCH + timedelta(days=number)).isoformat() for number in range(32_000)]  # until 2057
_DAY_DIGITS = [text.replace("-", "") for text in _DAYS]


def day_text(number: int) -> str:
    """`2026-11-21` of a day counted from 1970."""
    return _DAYS[number]


def utc(moment: int) -> str:
    """As both databases read it in a session in UTC."""
    second, rest = divmod(moment, 1_000_000)
    day, second = divmod(second, 86_400)
    thousands, rest = divmod(rest, 1000)
    return f"{_DAYS[day]} {_HMS[second]}.{_THREE[thousands]}{_THREE[rest]}"


def digits(moment: int) -> str:
    """The 20 digits in our numbers."""
    second, rest = divmod(moment, 1_000_000)
    day, second = divmod(second, 86_400)
    thousands, rest = divmod(rest, 1000)
    return f"{_DAY_DIGITS[day]}{_DIGITS[second]}{_THREE[thousands]}{_THREE[rest]}"


def iso(moment: int) -> str:
    """As `paycenter.times.iso` writes it in the merchants' zone."""
    second = moment // 1_000_000 + 28_800
    return f"{_DAYS[second // 86_400]}T{_HMS[second % 86_400]}.{_THREE[moment % 1_000_000 // 1000]}+08:00"


def chained(text: str) -> str:
    """As the chain of events spells what `utc` wrote."""
    return f"{text[:10]}T{text[11:]}+00:00"
