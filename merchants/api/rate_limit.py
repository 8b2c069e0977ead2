"""How many signed requests an app may make per second, and how many refused ones are worth a log row."""

from __future__ import annotations

import time

import structlog
from django.core.cache import cache

from merchants.api.errors import TooManyRequests
from merchants.models import App

# Refused before the signature was right: strangers must not be able to fill the exchange log.
REFUSED_ROWS_PER_MINUTE = 60
log = structlog.get_logger(__name__)


def spend(app: App) -> None:
    """Count one request of the app in the present second. Raises TooManyRequests above its limit.

    Called after the signature, so that strangers cannot use up an app's budget.
    """
    if _count(f"rate:{app.pk}", window=1) > app.requests_per_second:
        raise TooManyRequests(retry_after=1)


def is_worth_logging(peer: str) -> bool:
    """Whether one more refused request of this peer gets a row in the exchange log."""
    return _count(f"refused:{peer}", window=60) <= REFUSED_ROWS_PER_MINUTE


def _count(name: str, *, window: int) -> int:
    """Requests in the present window of `window` seconds, this one included.

    Without a working cache nobody is limited: losing it must not stop payments.
    """
    key = f"{name}:{int(time.time() // window)}"
    try:
        cache.add(key, 0, timeout=window * 2)
        return int(cache.incr(key))
    except Exception as exc:
        log.warning("requests are not counted", error=type(exc).__name__)
        return 0
