"""What a dashboard is made of. Every chart is also a table: for readers of screens, and as CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from paycenter.money import Money
from paycenter.staff.display import money


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a table. `plain` is what a file gets instead of `text`; `tone` as in `paycenter.staff.display`."""

    text: str
    plain: Any = None
    link: str = ""
    tone: str = ""
    numeric: bool = False

    @property
    def for_file(self) -> Any:
        return self.text if self.plain is None else self.plain


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `note` is small print, `change` how it differs from the period before."""

    title: str
    value: str
    note: str = ""
    link: str = ""
    tone: str = "calm"
    icon: str = "monitoring"
    change: str = ""

    @property
    def size(self) -> str:
        """`long` and `longer` values are set smaller, so that no amount breaks."""
        return "" if len(self.value) <= 9 else "long" if len(self.value) <= 13 else "longer"


def _labelled(heads: Sequence[str], rows: list[list[Cell]]) -> list[list[tuple[str, Cell]]]:
    """Each cell with its head, for phones, where a row is a block of lines."""
    return [list(zip(heads, row, strict=True)) for row in rows]


@dataclass(frozen=True, slots=True)
class Table:
    """`empty` says what to do where there are no rows; `more` is an address that shows all of them."""

    id: str
    title: str
    heads: Sequence[str]
    rows: list[list[Cell]]
    empty: str
    more: str = ""
    note: str = ""
    wide: bool = False

    @property
    def labelled(self) -> list[list[tuple[str, Cell]]]:
        return _labelled(self.heads, self.rows)

    @property
    def is_filled(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.rows)


@dataclass(frozen=True, slots=True)
class Series:
    """One line or colour of a chart, a value per label; None where there is none. `dashed` is the period before."""

    name: str
    cells: list[Cell]
    dashed: bool = False

    @property
    def values(self) -> list[Any]:
        return [cell.plain for cell in self.cells]


@dataclass(frozen=True, slots=True)
class Chart:
    """`kind` is `bar`, `stack`, `line` or `across` (bars lying); `unit` stands behind the values, if it is `%`.

    `summary` says in words what a glance at it tells.
    """

    id: str
    title: str
    kind: str
    labels: list[str]
    series: list[Series]
    summary: str
    empty: str
    unit: str = ""
    wide: bool = False
    over: str = ""  # what the labels are

    @property
    def is_filled(self) -> bool:
        """Whether there is anything to draw."""
        return any(float(value or 0) for one in self.series for value in one.values)

    @property
    def heads(self) -> list[str]:
        return [self.over or _("Day"), *(one.name for one in self.series)]

    @property
    def rows(self) -> list[list[Cell]]:
        return [[Cell(label), *(one.cells[at] for one in self.series)] for at, label in enumerate(self.labels)]

    @property
    def labelled(self) -> list[list[tuple[str, Cell]]]:
        return _labelled(self.heads, self.rows)

    @property
    def drawing(self) -> dict[str, Any]:
        """What the script needs to draw it."""
        series = [
            {"name": s.name, "values": s.values, "texts": [c.text for c in s.cells], "dashed": s.dashed}
            for s in self.series
        ]  # fmt: skip
        return {"kind": self.kind, "labels": self.labels, "series": series, "unit": self.unit}

    @property
    def json(self) -> str:
        return json.dumps(self.drawing, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Figures on top, then charts and tables in their order. `notice` is said above everything."""

    title: str
    figures: list[Figure]
    panels: list[Chart | Table]
    now: list[Figure] = field(default_factory=list)
    currencies: list[str] = field(default_factory=list)
    currency: str = ""
    notice: str = ""

    @property
    def headlines(self) -> Table:
        """The figures as a table, for a file."""
        rows = [
            [Cell(one.title), Cell(one.value), Cell(one.note), Cell(one.change)] for one in (*self.now, *self.figures)
        ]
        return Table("figures", self.title, [_("Figure"), _("Value"), _("Note"), _("Against before")], rows, "")


def amount(minor: int, currency: str, link: str = "", tone: str = "") -> Cell:
    """An amount: with its symbol on the page, in major units in a file. `link` leads to what it adds up."""
    return Cell(money(minor, currency), Money(minor, currency).major, link if minor else "", tone, numeric=True)


def number(value: int, link: str = "", tone: str = "") -> Cell:
    return Cell(f"{value:,}", value, link if value else "", tone, numeric=True)


def share(part: int, whole: int, link: str = "", *, worse_above: float | None = None) -> Cell:
    """How many per cent `part` is of `whole`; a dash of nothing. `link` leads to the part, if there is any."""
    if not whole:
        return Cell("–", None, numeric=True)
    value = part * 100 / whole
    tone = "bad" if worse_above is not None and value > worse_above else ""
    return Cell(f"{value:.1f} %", round(value, 1), link if part else "", tone, numeric=True)


def seconds(microseconds: int, count: int) -> Cell:
    """A mean duration, milliseconds in a file; a dash of nothing."""
    if not count:
        return Cell("–", None, numeric=True)
    ms = microseconds // count // 1000
    return Cell(duration(ms), ms, numeric=True)


def duration(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def change(now: int, before: int) -> str:
    """`+12.3 %` against the period before; says so where that had nothing, "" where neither had."""
    if before > 0:
        return f"{signed((now - before) * 100 / before)} %"
    return _("nothing before") if now > 0 else ""


def signed(value: float) -> str:
    """With its sign, one decimal; never a negative nought."""
    return f"{round(value, 1) + 0.0:+.1f}"
