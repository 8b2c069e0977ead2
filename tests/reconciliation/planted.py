"""A day with differences put into it on purpose, and the list of what has to be found."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests import factories
from tests.conftest import World
from tests.fakes import bills
from tests.reconciliation.conftest import NOON
from trades.models import Attempt, Trade

KINDS = (
    "same", "same", "same", "duplicate", "amount", "currency", "fee", "channel_failed", "unpaid_here", "missing_here",
    "missing_at_channel", "in_another_bill", "at_another_time", "processing", "by_the_channels_number",
)  # fmt: skip
FOUND_AS = {
    "amount": "amount", "currency": "currency", "fee": "fee", "channel_failed": "status", "unpaid_here": "status",
    "missing_here": "missing_here", "missing_at_channel": "missing_at_channel",
}  # fmt: skip
PPM = 6000
_count = itertools.count(1)


@dataclass
class Plan:
    """`rows` of the day's bill, `earlier` of the bill of the day before, and what differs by key."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    earlier: list[dict[str, Any]] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)


def plant(world: World, wishes: Iterable[tuple[str, int]]) -> Plan:
    """Make the day: one payment per (kind, amount)."""
    plan = Plan()
    trade = factories.trade_open(app=world.app, order=world.order())
    for kind, amount in wishes:
        _plant_one(world, trade, plan, kind, amount)
    return plan


def _plant_one(world: World, trade: Trade, plan: Plan, kind: str, amount: int) -> None:
    number = f"N{next(_count):09d}"
    if kind in FOUND_AS:
        plan.expected[number] = FOUND_AS[kind]
    if kind != "missing_here":
        at = NOON + timedelta(days=3) if kind == "at_another_time" else NOON
        _attempt(world, trade, number, amount, kind != "unpaid_here", at)
    row = bills.line(order_no=number, channel_trade_no=f"CH{number}", amount=amount, at=NOON.isoformat(),
                     fee=(amount * PPM + 500_000) // 1_000_000)  # fmt: skip
    changes: dict[str, dict[str, Any]] = {
        "amount": {"amount": amount + 1, "fee": None}, "currency": {"currency": "USD"}, "fee": {"fee": row["fee"] + 1},
        "channel_failed": {"state": "failed"}, "processing": {"state": "processing", "amount": amount},
        "by_the_channels_number": {"order_no": ""},
    }  # fmt: skip
    row |= changes.get(kind, {})
    if kind == "in_another_bill":
        plan.earlier.append(row)
    elif kind != "missing_at_channel":
        plan.rows.append(row)


def _attempt(world: World, trade: Trade, number: str, amount: int, paid: bool, at: datetime) -> None:
    money = {"paid_amount": amount, "paid_currency": "CNY", "paid_at": at, "channel_trade_no": f"CH{number}"}
    Attempt.objects.create(
        attempt_no=number, trade=trade, account=world.account, channel="fakepay", method="fake_qr",
        channel_order_no=number, amount=amount, currency="CNY", state="succeeded" if paid else "closed",
        created_at=NOON, sent_at=NOON, expire_at=NOON, **(money if paid else {}),
    )  # fmt: skip



