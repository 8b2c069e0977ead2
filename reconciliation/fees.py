"""What a channel charges for a payment: a ratio with its rounding, a fixed part, limits.

The same arithmetic twice, on purpose: in Python for one payment, as SQL for a million. A test holds them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MILLION = 1_000_000


class Rounding(StrEnum):
    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    UP = "up"
    DOWN = "down"


# The remainder, in millionths of a minor unit, from which one more is charged.
_UP_FROM: Mapping[Rounding, int] = {
    Rounding.HALF_UP: MILLION // 2, Rounding.HALF_EVEN: MILLION // 2 + 1, Rounding.UP: 1, Rounding.DOWN: MILLION,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """`ppm` millionths of the amount, rounded, plus `fixed`, not below `least` nor above `most` minor units."""

    ppm: int = 0
    rounding: Rounding = Rounding.HALF_UP
    fixed: int = 0
    least: int = 0
    most: int | None = None

    def fee(self, amount: int) -> int:
        """The fee of a payment of `amount` minor units (not negative)."""
        whole, rest = divmod(amount * self.ppm, MILLION)
        tie = self.rounding == Rounding.HALF_EVEN and rest == MILLION // 2 and whole % 2 == 1
        charged = whole + (1 if rest >= _UP_FROM[self.rounding] or tie else 0) + self.fixed
        charged = max(charged, self.least)
        return charged if self.most is None else min(charged, self.most)


def fee_sql(amount: str, rate: str) -> str:
    """SQL of `Rate.fee` for the column `amount` and a row `rate` of `rates_sql`; NULL where there is no rate.
    Percent signs are doubled, as in every statement with parameters."""
    whole, rest = f"({amount} * {rate}.ppm / {MILLION})", f"({amount} * {rate}.ppm %% {MILLION})"
    tie = f"{rate}.even = 1 AND {rest} = {MILLION // 2} AND {whole} %% 2 = 1"
    charged = f"({whole} + CASE WHEN {rest} >= {rate}.up_from OR ({tie}) THEN 1 ELSE 0 END + {rate}.fixed)"
    floored = f"CASE WHEN {charged} < {rate}.least THEN {rate}.least ELSE {charged} END"
    return f"CASE WHEN {floored} > {rate}.most THEN {rate}.most ELSE {floored} END"


_COLUMNS = "method, ppm, up_from, even, fixed, least, most"


def rates_sql(rates: Mapping[str, Rate]) -> tuple[str, list[Any]]:
    """`rate(...) AS (VALUES ...)` for a WITH clause, and its parameters. Methods without a rate have no row."""
    rows: Sequence[tuple[str, Rate]] = list(rates.items()) or [("", Rate())]
    one = "(%s, " + ", ".join(["CAST(%s AS bigint)"] * 6) + ")"
    values: list[Any] = []
    for method, rate in rows:
        even = int(rate.rounding == Rounding.HALF_EVEN)
        most = 2**62 if rate.most is None else rate.most
        values += [method, rate.ppm, _UP_FROM[rate.rounding], even, rate.fixed, rate.least, most]
    return f"rate({_COLUMNS}) AS (VALUES {', '.join([one] * len(rows))})", values
