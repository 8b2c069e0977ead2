"""Times as the contract writes them."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in the center's zone with its offset, to the millisecond; None stays None."""
    return None if moment is None else timezone.localtime(moment).isoformat(timespec="milliseconds")
