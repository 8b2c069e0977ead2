"""Quiet hours of alert rules."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifications.models import AlertRule, AlertSeverity


def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name, None where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def quiet_until(rule: AlertRule, severity: str, now: datetime) -> datetime | None:
    """When the quiet hours end that hold an alert of this severity back now; None where nothing does.

    Hours that end before they begin go over midnight; equal ones are none.
    """
    first, last, zone = rule.quiet_from, rule.quiet_until, zone_of(rule.quiet_zone)
    if first is None or last is None or first == last or zone is None:
        return None
    if rule.critical_passes and severity == AlertSeverity.CRITICAL:
        return None
    here = now.astimezone(zone)
    if not _within(here.time(), first, last):
        return None
    end = datetime.combine(here.date(), last, zone)
    return end if here.time() < last else datetime.combine(here.date() + timedelta(days=1), last, zone)


def _within(moment: time, first: time, last: time) -> bool:
    return first <= moment < last if first < last else moment >= first or moment < last
