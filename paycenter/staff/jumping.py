"""Going to a day in a list that comes in pages by key: the page begins there and leads on both ways.

The place is what the list's filter by day makes of the day, so nothing in between is read.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR
from django.http import HttpRequest
from django.utils import timezone

from paycenter.staff.lists import DayFilter, day_bounds, parse_day

MONTHS = 6  # how many are offered


@dataclass(frozen=True, slots=True)
class Jump:
    """How a list is gone to a day in. `day` is the one that was chosen, None where none was."""

    spec: DayFilter
    day: date | None
    others: list[tuple[str, str]]  # what else stands in the address
    months: list[tuple[date, str]]  # (its first day, address)

    def rows(self, rows: Any, *, descending: bool) -> Any:
        """The rows from the chosen day on, in the list's order."""
        start, end = day_bounds(self.day, self.day)
        return self.spec.bounded(rows, None, end) if descending else self.spec.bounded(rows, start, None)


def jump_of(changelist: Any, request: HttpRequest) -> Jump | None:
    """None for lists that are in another order than their days. A chosen month means its last day."""
    spec = next((s for s in changelist.filter_specs if isinstance(s, DayFilter) and s.in_order), None)
    if spec is None:
        return None
    first_name, last_name, all_name = spec.expected_parameters()
    months = [
        (month, changelist.get_query_string({all_name: "1", PAGE_VAR: f"{month:%Y-%m}"}, [first_name, last_name]))
        for month in _latest_months()
    ]
    return Jump(spec, chosen_day(request.GET.get(PAGE_VAR, "")), [*spec.others, (all_name, "1")], months)


def chosen_day(text: str) -> date | None:
    """`2026-11-20` that day, `2026-11` the month's last, None for anything else."""
    if len(text) != len("2026-11"):
        return parse_day(text)
    first = parse_day(f"{text}-01")
    return first.replace(day=calendar.monthrange(first.year, first.month)[1]) if first else None


def _latest_months() -> Iterator[date]:
    first = timezone.localdate().replace(day=1)
    for _n in range(MONTHS):
        yield first
        first = (first - timedelta(days=1)).replace(day=1)
