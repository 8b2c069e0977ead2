"""What counts as a difference: pure functions over both sides of one payment or refund.

The matching in `reconciliation.matching` looks at millions of pairs in the database and hands only those
that may differ to `judge`; `match` here does the whole in memory, the plain way, and is what the database's
answer is tested against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from channels.base.bills import BillRowState
from reconciliation.models import CaseKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Ours:
    """What our book says. `succeeded` tells whether the money moved; `fee` is what the account's rates make of
    it, None where there is no rate. `numbers` name it to people."""

    key: str
    amount: int
    currency: str
    succeeded: bool = True
    fee: int | None = None
    record_id: int = 0
    method: str = ""
    state: str = ""
    at: datetime | None = None
    channel_trade_no: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Theirs:
    """What a bill's row says."""

    key: str
    amount: int
    currency: str
    state: str = BillRowState.SUCCEEDED.value
    fee: int | None = None
    bill_id: int = 0
    line: int = 0
    at: datetime | None = None
    order_no: str = ""
    channel_trade_no: str = ""
    refund_no: str = ""
    channel_refund_no: str = ""
    channel_state: str = ""


def judge(ours: Ours | None, theirs: Theirs | None) -> CaseKind | None:
    """The gravest difference between the two sides, None where they agree.

    A refund that the channel had still under way when it wrote the bill agrees with any state of ours.
    """
    if theirs is None:
        return CaseKind.MISSING_AT_CHANNEL if ours is not None and ours.succeeded else None
    moved = theirs.state == BillRowState.SUCCEEDED
    if ours is None:
        return CaseKind.MISSING_HERE if moved else None
    if theirs.state == BillRowState.PROCESSING:
        return None
    if moved != ours.succeeded:
        return CaseKind.STATUS
    if theirs.currency != ours.currency:
        return CaseKind.CURRENCY
    if theirs.amount != ours.amount:
        return CaseKind.AMOUNT
    if moved and None not in (ours.fee, theirs.fee) and ours.fee != theirs.fee:
        return CaseKind.FEE
    return None


def unexplained(kind: CaseKind, ours: Ours | None, theirs: Theirs | None) -> int:
    """How much money a difference is about, in minor units."""
    if ours is None or theirs is None or kind in (CaseKind.STATUS, CaseKind.CURRENCY):
        return max(side.amount for side in (ours, theirs) if side is not None)
    if kind == CaseKind.FEE:
        return abs((ours.fee or 0) - (theirs.fee or 0))
    return abs(ours.amount - theirs.amount)


def match(ours: Iterable[Ours], theirs: Iterable[Theirs]) -> dict[str, CaseKind]:
    """Differences by key between everything of ours and everything in the bills."""
    left = {item.key: item for item in ours}
    right = {item.key: item for item in theirs}
    found = {key: judge(left.get(key), right.get(key)) for key in left.keys() | right.keys()}
    return {key: kind for key, kind in found.items() if kind is not None}
