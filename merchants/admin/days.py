"""Filters of lists by days as merchants count them: each in its own time zone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q

from merchants.models import Merchant
from merchants.zones import zone_named
from paycenter.staff.lists import DayFilter, day_bounds


@dataclass(frozen=True, slots=True)
class Span:
    """Days of the merchants whose zone has one of these names: half-open, open where an end is None."""

    names: tuple[str, ...]
    start: datetime | None
    end: datetime | None

    def of(self, column: str) -> Q:
        """The rows whose time in `column` lies in it."""
        found = Q() if self.start is None else Q(**{f"{column}__gte": self.start})
        return found if self.end is None else found & Q(**{f"{column}__lt": self.end})


def spans_of(first: date | None, last: date | None) -> list[Span]:
    """What these days are, one span for each zone that merchants have; one at least."""
    names: defaultdict[ZoneInfo, list[str]] = defaultdict(list)
    for name in Merchant.objects.order_by().values_list("timezone", flat=True).distinct():
        names[zone_named(name)].append(name)
    zones = names or {zone_named(""): [""]}
    return [Span(tuple(named), *day_bounds(first, last, zone)) for zone, named in zones.items()]


class MerchantDays(DayFilter):
    """Days as the merchants of the rows count them, as the dashboards' figures do.

    `exact` is the column with the time; `merchant` leads from a row to its merchant. `bounded` narrows to what an
    index can take, from the earliest zone's midnight to the latest one's, before the time itself is compared. Where
    that is a time inside a number, it differs from the row's own by as long as making the row took.
    """

    exact: str = "created_at"
    merchant: str = "merchant"
    APART = timedelta(minutes=10)

    def of_days(self, rows: Any, first: date | None, last: date | None) -> Any:
        if self.first is None and self.last is None:
            return super().of_days(rows, first, last)
        spans = spans_of(first, last)
        start = min((span.start - self.APART for span in spans if span.start), default=None)
        end = max((span.end + self.APART for span in spans if span.end), default=None)
        rows = self.bounded(rows, start, end)
        if len(spans) == 1:
            return rows.filter(spans[0].of(self.exact))
        wanted = Q()
        for span in spans:
            wanted |= Q(**{f"{self.merchant}__timezone__in": span.names}) & span.of(self.exact)
        return rows.filter(wanted)
