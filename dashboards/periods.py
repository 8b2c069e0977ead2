"""Which days a dashboard shows, and which it compares them with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from paycenter.staff.lists import parse_day

CHOICES = (7, 30, 90)
LONGEST = 366
_ONE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both included. `preset` is how many days up to today, 0 for days of one's own."""

    first: date
    last: date
    preset: int = 0

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range(self.length)]

    @property
    def previous(self) -> Period:
        """As many days, just before."""
        return Period(self.first - timedelta(days=self.length), self.first - _ONE)

    @property
    def query(self) -> str:
        """The part of an address that chooses these days."""
        return f"days={self.preset}" if self.preset else f"from={self.first}&to={self.last}"


def period_of(query: Mapping[str, str], today: date) -> Period:
    """The days an address chooses: `days=7`, or `from` and `to`. Whatever makes no sense shows the last 30."""
    first, last = parse_day(query.get("from")), parse_day(query.get("to"))
    if first is None and last is None:
        text = query.get("days", "")
        preset = int(text) if text in map(str, CHOICES) else 30
        return Period(today - timedelta(days=preset - 1), today, preset)
    last = min(last or today, today)
    first = min(first or last, today)
    if last < first:
        first, last = last, first
    return Period(max(first, last - timedelta(days=LONGEST - 1)), last)
