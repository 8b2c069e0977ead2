"""What bills that are tables have in common: columns by name, exact amounts, times, days, and stated totals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal

from paycenter.errors import BillRefused, MoneyError
from paycenter.money import Money

_DECIMAL = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,8})?", re.ASCII)
_TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)[ T]?(\d\d):?(\d\d):?(\d\d)", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}(\.0+)?", re.ASCII)
# How far from its day a row may lie: what was cleared late. All rows outside of the day are another day's bill.
_GRACE = timedelta(days=1)


class Columns:
    """The columns that a header line names. Raises BillRefused where a needed one is missing, or one comes twice.

    Columns that nobody asked for are fine: channels add some.
    """

    def __init__(self, names: Sequence[str], needed: Sequence[str], *, line: int) -> None:
        missing = [name for name in needed if name not in names]
        if missing:
            raise BillRefused(f"the columns changed: there is no {', '.join(missing)}", line=line)
        if len(set(names)) != len(names):
            raise BillRefused("the columns changed: a name comes twice", line=line)
        self.names = tuple(names)

    def row(self, values: Sequence[str], *, line: int) -> dict[str, str]:
        """Values by column name."""
        if len(values) != len(self.names):
            raise BillRefused(f"{len(values)} values for {len(self.names)} columns", line=line)
        return dict(zip(self.names, values, strict=True))


def read_decimal(text: str, name: str, *, line: int) -> Decimal:
    """A plain decimal, perhaps negative. Raises BillRefused."""
    if not _DECIMAL.fullmatch(text):
        raise BillRefused(f"{name} is not an amount: {text[:40]!r}", line=line)
    return Decimal(text)


def read_money(text: str, name: str, *, line: int, currency: str = "CNY", positive: bool = False) -> Money:
    """Major units, exactly; zeros beyond the currency's decimals are allowed. Raises BillRefused."""
    value = read_decimal(text, name, line=line)
    if positive and value <= 0:
        raise BillRefused(f"{name} is not more than nothing: {text}", line=line)
    try:
        return Money.from_major(value, currency)
    except MoneyError as exc:
        raise BillRefused(f"{name} is not an amount: {exc}", line=line) from exc


def read_count(text: str, name: str, *, line: int) -> int:
    """A number of rows, which some bills write as `45.0`. Raises BillRefused."""
    if not _NUMBER.fullmatch(text):
        raise BillRefused(f"{name} is not a number: {text[:40]!r}", line=line)
    return int(text.partition(".")[0])


def read_time(text: str, zone: tzinfo, name: str, *, line: int) -> datetime:
    """`yyyy-MM-dd HH:mm:ss` or its digits alone, as an aware moment. Raises BillRefused."""
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, found.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError as exc:
        raise BillRefused(f"{name} is not a time: {text[:40]!r}", line=line) from exc


def require(value: str, name: str, *, line: int) -> str:
    """A text that must be there. Raises BillRefused."""
    if not value:
        raise BillRefused(f"{name} is empty", line=line)
    return value


def agree(name: str, stated: object, found: object, *, line: int) -> None:
    """A total and what its rows make of it. Raises BillRefused."""
    if stated != found:
        raise BillRefused(f"{name} is stated as {stated}, the rows make {found}", line=line)


class DayCheck:
    """Whether rows are of the day: each within a day of it, and not all of them outside."""

    def __init__(self, bounds: tuple[datetime, datetime]) -> None:
        self._start, self._end = bounds
        self._first_outside = 0
        self._any_inside = False

    def see(self, moment: datetime, *, line: int) -> None:
        """Raises BillRefused for a row of another day."""
        if self._start <= moment < self._end:
            self._any_inside = True
        elif self._start - _GRACE <= moment < self._end + _GRACE:
            self._first_outside = self._first_outside or line
        else:
            raise self._other_day(line)

    def finish(self) -> None:
        """After the last row. Raises BillRefused."""
        if self._first_outside and not self._any_inside:
            raise self._other_day(self._first_outside)

    def _other_day(self, line: int) -> BillRefused:
        return BillRefused(f"of another day: this one is {self._start} to {self._end}", line=line)
