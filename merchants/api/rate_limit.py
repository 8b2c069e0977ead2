"""How many signed requests an app may make per second, and how many refused ones are worth a log row."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import redis
import structlog
from django.conf import settings
from django.core.cache import cache
from redis.backoff import NoBackoff
from redis.retry import Retry

from merchants.api.errors import TooManyRequests
from merchants.models import App

# Refused before the signature was right: strangers must not be able to fill the exchange log.
REFUSED_ROWS_PER_MINUTE = 60
_PATIENCE = 0.5  # seconds to wait for Redis
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
        return _next(key, seconds=window * 2)
    except Exception as exc:
        log.warning("requests are not counted", error=type(exc).__name__)
        return 0


def _next(key: str, *, seconds: int) -> int:
    """Count `key` up, which is forgotten after so many seconds."""
    shared = _shared()
    if shared is None:
        cache.add(key, 0, timeout=seconds)
        return int(cache.incr(key))
    # Django's cache would make a client and three round trips of it.
    count = int(shared.incr(key))
    if count == 1:
        shared.expire(key, seconds)
    return count


@lru_cache(maxsize=1)
def _shared() -> Any:
    """The Redis that all processes count in; None where each counts for itself."""
    if not settings.REDIS_URL:
        return None
    # No second try: by then the request would have been answered.
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=Retry(NoBackoff(), 0)
    )
