"""When money of a day arrives: T+x, in working days of a calendar or in all days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

_ONE = timedelta(days=1)
LONGEST_PAUSE = 40  # days; no calendar closes banks for longer


@dataclass(frozen=True, slots=True)
class Calendar:
    """Saturdays, Sundays and `holidays` are free, weekends in `workdays` are worked."""

    holidays: frozenset[date] = field(default_factory=frozenset)
    workdays: frozenset[date] = field(default_factory=frozenset)

    def is_working(self, day: date) -> bool:
        if day in self.workdays:
            return True
        return day.weekday() < 5 and day not in self.holidays


@dataclass(frozen=True, slots=True)
class Terms:
    """`days_after` the day of payment; `calendar` None counts every day."""

    days_after: int
    calendar: Calendar | None = None

    def settlement_day(self, day: date) -> date:
        """The day on which the bank receives what was paid on `day`.

        T+0 on a free day is the next working day. Raises ValueError for a calendar without working days.
        """
        if self.calendar is None:
            return day + timedelta(days=self.days_after)
        if self.days_after == 0:
            return self._working(day)
        for _step in range(self.days_after):
            day = self._working(day + _ONE)
        return day

    def days_settled_on(self, settlement: date) -> list[date]:
        """The days whose money arrives on `settlement`, oldest first; empty on a day on which nothing does."""
        return [day for day in self._back_from(settlement) if self.settlement_day(day) == settlement]

    def _working(self, day: date) -> date:
        assert self.calendar is not None  # noqa: S101
        for _try in range(LONGEST_PAUSE):
            if self.calendar.is_working(day):
                return day
            day += _ONE
        raise ValueError("the calendar has no working days")

    def _back_from(self, settlement: date) -> Iterator[date]:
        first = settlement - timedelta(days=self.days_after * 3 + LONGEST_PAUSE)
        return (first + timedelta(days=n) for n in range((settlement - first).days + 1))
