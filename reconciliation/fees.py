"""What a channel charges for a payment: a ratio with its rounding, a fixed part, limits.

The same arithmetic twice, on purpose: in Python for one payment, as SQL for a million. A test holds them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection

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


def fee_sql(amount: str, method: str, rates: Mapping[str, Rate]) -> tuple[str, list[Any]]:
    """SQL of `Rate.fee` for the columns `amount` and `method`, and its parameters; NULL where there is no rate.

    Every number is spelt out, so that the database calculates no more than the rate needs. Percent signs are
    doubled, as in every statement with parameters.
    """
    cases = "".join(f" WHEN %s THEN {_rate_sql(amount, rate)}" for rate in rates.values())
    return (f"CASE {method}{cases} END", list(rates)) if rates else ("CAST(NULL AS bigint)", [])


def _rate_sql(amount: str, rate: Rate) -> str:
    product = f"{amount} * {rate.ppm}"
    charged = {
        Rounding.DOWN: f"{product} / {MILLION}", Rounding.UP: f"({product} + {MILLION - 1}) / {MILLION}",
        Rounding.HALF_UP: f"({product} + {MILLION // 2}) / {MILLION}",
        # A tie goes down from an even number: half of the million and nothing else is left out of the rounding up.
        Rounding.HALF_EVEN: f"({product} + {MILLION // 2}) / {MILLION} - CASE WHEN ({product}) %% {MILLION}"
        f" = {MILLION // 2} AND ({product}) / {MILLION} %% 2 = 0 THEN 1 ELSE 0 END",
    }[rate.rounding]  # fmt: skip
    if rate.fixed:
        charged = f"{charged} + {rate.fixed}"
    larger, smaller = ("GREATEST", "LEAST") if connection.vendor == "postgresql" else ("MAX", "MIN")
    if rate.least:
        charged = f"{larger}({charged}, {rate.least})"
    return f"{smaller}({charged}, {rate.most})" if rate.most is not None else charged
