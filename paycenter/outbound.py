"""The process-wide HTTP client for calls to channels, apps and alert robots."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from paycenter.egress import EgressPolicy
from paycenter.http import HttpClient


@lru_cache(maxsize=4)
def _client(allowed: tuple[str, ...]) -> HttpClient:
    return HttpClient(EgressPolicy(allowed))


def client() -> HttpClient:
    """Reaches public addresses, and the networks of `EGRESS_ALLOWED` (development only)."""
    return _client(tuple(settings.EGRESS_ALLOWED))
