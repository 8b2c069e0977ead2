"""Time as the providers write it. Chinese providers use Beijing wall-clock time everywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

Clock = Callable[[], float]
"""Unix time in seconds."""

BEIJING = timezone(timedelta(hours=8))


def beijing(when: float) -> datetime:
    return datetime.fromtimestamp(when, BEIJING)


def wall_clock(when: float) -> str:
    """`yyyy-MM-dd HH:mm:ss`, Beijing, without a zone."""
    return beijing(when).strftime("%Y-%m-%d %H:%M:%S")


def parse_wall_clock(text: str) -> float:
    """Unix seconds of a Beijing `yyyy-MM-dd HH:mm:ss`; ValueError otherwise."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).timestamp()


def rfc3339(when: float) -> str:
    """`2018-06-08T10:34:56+08:00`."""
    return beijing(when).replace(microsecond=0).isoformat()


def parse_rfc3339(text: str) -> float:
    """Unix seconds; ValueError where the text has no offset or is no time."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError("the time has no offset")
    return when.timestamp()


def day_bounds(date: str) -> tuple[float, float]:
    """Start and end (exclusive) of a Beijing day `yyyy-MM-dd`; ValueError otherwise."""
    start = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=BEIJING)
    return start.timestamp(), (start + timedelta(days=1)).timestamp()
