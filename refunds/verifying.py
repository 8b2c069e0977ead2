"""Whether every sum is that of its refunds, asked of the whole book at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

# One statement over each source, one snapshot: what it counts as given back, under way and by others, beside what its
# refunds make.
_SQL = """
SELECT s.{number}, s.{paid}, s.refunded_amount, s.refunding_amount, s.external_refunded,
       coalesce(r.back, 0), coalesce(r.under_way, 0), coalesce(r.elsewhere, 0)
FROM {table} s LEFT JOIN (
  SELECT {link},
    sum(CASE WHEN state = 'succeeded' AND NOT counted_as_external THEN amount ELSE 0 END) AS back,
    sum(CASE WHEN state = 'succeeded' AND counted_as_external THEN amount ELSE 0 END) AS elsewhere,
    sum(CASE WHEN source <> 'external' AND state IN ('pending_approval', 'on_hold', 'approved', 'processing')
        THEN amount ELSE 0 END) AS under_way
  FROM refunds_refund WHERE {only} GROUP BY {link}) r ON r.{link} = s.id
WHERE s.refunded_amount <> coalesce(r.back, 0) OR s.refunding_amount <> coalesce(r.under_way, 0)
   OR s.external_refunded <> coalesce(r.elsewhere, 0) OR s.refunded_amount + s.refunding_amount > s.{paid}
ORDER BY s.id LIMIT 1000
"""
_TRADES = _SQL.format(
    number="trade_no", paid="paid_amount", table="trades_trade", link="trade_id", only="abnormal_id IS NULL"
)
_STRAYS = _SQL.format(
    number="id", paid="amount", table="trades_abnormalpayment", link="abnormal_id", only="abnormal_id IS NOT NULL"
)
# What settles a trade is an attempt that succeeded with that amount.
_SETTLED = """
SELECT t.trade_no, t.paid_amount, a.paid_amount
FROM trades_trade t LEFT JOIN trades_attempt a ON a.id = t.settled_attempt_id
WHERE t.state = 'paid' AND (a.id IS NULL OR a.state <> 'succeeded' OR a.paid_amount <> t.paid_amount)
ORDER BY t.id LIMIT 1000
"""


@dataclass(frozen=True, slots=True)
class WrongSum:
    """`number` of a trade, or the id of stray money; `words` what does not fit, in minor units."""

    number: str
    words: str


def wrong_sums() -> Iterator[WrongSum]:
    """Every trade and every stray payment whose sums are not those of its refunds; at most 1,000 of each kind."""
    with connection.cursor() as cursor:
        for kind, sql in (("trade", _TRADES), ("abnormal payment", _STRAYS)):
            cursor.execute(sql)
            for number, paid, *sums in cursor.fetchall():
                here, refunds = tuple(sums[:3]), tuple(int(one) for one in sums[3:])
                yield WrongSum(str(number), f"{kind} {number} of {paid}: refunded, under way, by others are {here},"
                                            f" its refunds make {refunds}")  # fmt: skip
        cursor.execute(_SETTLED)
        for number, paid, brought in cursor.fetchall():
            yield WrongSum(str(number), f"trade {number} counts {paid} as paid, its attempt brought {brought}")
