"""The clock of Chinese channels: no zone in what they write and no summer time, always Beijing."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8), "Beijing")
_DIGITS = "%Y%m%d%H%M%S"


def beijing_digits(moment: datetime) -> str:
    """An aware moment as `YYYYMMDDhhmmss`."""
    return moment.astimezone(BEIJING).strftime(_DIGITS)


def from_beijing_digits(text: str) -> datetime | None:
    """The aware moment of `YYYYMMDDhhmmss`; None where it is no time."""
    try:
        return datetime.strptime(text, _DIGITS).replace(tzinfo=BEIJING) if len(text) == 14 else None
    except ValueError:
        return None
