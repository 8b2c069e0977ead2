"""What a row of `make bench` is, what it found, and how that is shown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.stage import Stage


class Skipped(Exception):
    """A row that cannot be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Bar:
    """The ratio to be kept and the one aimed at: at most, or at least. Without a value it is only reported."""

    value: float | None
    aim: float
    at_least: bool = False

    def holds(self, ratio: float) -> bool:
        if self.value is None:
            return True
        return ratio >= self.value if self.at_least else ratio <= self.value

    def __str__(self) -> str:
        if self.value is None:
            return "report"
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Our figure and the limit's, each pair measured right after one another, in `unit`."""

    ours: Sequence[float]
    limit: Sequence[float]
    unit: str
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        return [ours / limit for ours, limit in zip(self.ours, self.limit, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios: what disturbs both of a pair disturbs no ratio."""
        return statistics.median(self.ratios)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `measure` raises Skipped where it cannot be measured."""

    name: str
    title: str
    limit: str
    bar: Bar
    measure: Callable[[Stage], Pairs]


@dataclass(slots=True)
class Result:
    """What became of a row; `pairs` is None when it was skipped."""

    row: Row
    pairs: Pairs | None = None
    reason: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool | None:
        """Whether the bar holds; None when nothing was measured."""
        return None if self.pairs is None else self.row.bar.holds(self.pairs.ratio)

    def data(self) -> dict[str, Any]:
        """As it stands in the file of results."""
        head = {"bar": self.row.bar.value, "at_least": self.row.bar.at_least, "aim": self.row.bar.aim}
        if self.pairs is None:
            return {"ratio": None, **head, "ok": None, "skipped": self.reason}
        found = self.pairs
        return {
            "ratio": round(found.ratio, 3), **head, "ok": self.ok, "ratios": [round(r, 3) for r in found.ratios],
            "ours": list(found.ours), "limit": list(found.limit), "unit": found.unit, "note": found.note,
            "seconds": round(self.seconds, 1),
        }  # fmt: skip


HEAD = f"{'':22} {'ratio':>7} {'spread':>15}  {'bar':>7} {'aim':>5}        {'ours':>9} {'limit':>9}"


def line(result: Result) -> str:
    """One line of the table."""
    row, found = result.row, result.pairs
    if found is None:
        return f"{row.name:22} skipped: {result.reason}"
    spread = f"[{min(found.ratios):.2f}, {max(found.ratios):.2f}]"
    word = "MISSED" if not result.ok else "ok" if row.bar.value is not None else ""
    ours, limit = statistics.median(found.ours), statistics.median(found.limit)
    return (
        f"{row.name:22} {found.ratio:7.2f} {spread:>15}  {row.bar!s:>7} {row.bar.aim:5g}  {word:6}"
        f"{ours:9.3f} {limit:9.3f} {found.unit}{'; ' if found.note else ''}{found.note}"
    )


def from_data(row: Row, data: Mapping[str, Any]) -> Result:
    """A result that was written before."""
    if data.get("ratio") is None:
        return Result(row, None, str(data.get("skipped", "")))
    pairs = Pairs(data["ours"], data["limit"], data["unit"], data["note"])
    return Result(row, pairs, "", float(data["seconds"]))


def exit_status(results: Sequence[Result]) -> int:
    """0 when every bar holds, 1 when one is missed, 2 when something was not measured and nothing missed."""
    if any(result.ok is False for result in results):
        return 1
    return 2 if not results or any(result.ok is None for result in results) else 0


@dataclass(slots=True)
class Series:
    """Collects pairs."""

    unit: str
    ours: list[float] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)

    def add(self, ours: float, limit: float) -> None:
        self.ours.append(ours)
        self.limit.append(limit)

    def pairs(self, note: str = "") -> Pairs:
        return Pairs(tuple(self.ours), tuple(self.limit), self.unit, note)
