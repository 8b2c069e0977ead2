"""The time zones in which merchants count their days."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from merchants.models import Merchant


@lru_cache(maxsize=64)
def zone_named(name: str) -> ZoneInfo:
    """The zone of this name; the center's own where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("Asia/Shanghai")


def merchant_zones() -> dict[int, ZoneInfo]:
    """Each merchant's business time zone."""
    return {pk: zone_named(name) for pk, name in Merchant.objects.values_list("pk", "timezone")}
