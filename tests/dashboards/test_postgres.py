"""On PostgreSQL: every question of a dashboard has an index, and counting afresh does not disturb keeping."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboards import keeping, rebuilding
from dashboards.models import PaymentDay
from dashboards.rebuilding import rebuild, rebuild_everything
from tests.conftest import World
from tests.dashboards.oracle import by_app, counted, kept, kept_by_app, numbered
from tests.dashboards.test_pages import PAGES, SEES, staff
from tests.refunds.paying import paid_trade

pytestmark = pytest.mark.postgres
# Tables that grow with the business. The others are merchants, accounts, staff.
LARGE = (
    "trades_trade", "trades_attempt", "trades_abnormalpayment", "refunds_refund", "paycenter_event",
    "paycenter_exchange", "notifications_notification", "dashboards_paymentday", "dashboards_channelday",
    "dashboards_appday", "reconciliation_case", "reconciliation_bill", "reconciliation_settlementbatch",
)  # fmt: skip


ROLES = (("operator", "operations"), ("finance", "finance"), ("merchant", "business"), ("app", "business"))


@pytest.mark.parametrize(("role", "page"), ROLES)
def test_no_question_reads_a_whole_table(world: World, role: str, page: str) -> None:
    assert page in SEES[role]
    paid_trade(world, 100)
    client = staff(role, world)
    with CaptureQueriesContext(connection) as seen:
        assert client.get(PAGES[page]).status_code == 200
    asked = [q["sql"] for q in seen.captured_queries if q["sql"].startswith("SELECT")]
    plans = {sql: _plan(sql) for sql in asked if any(table in sql for table in LARGE)}
    assert plans
    for sql, plan in plans.items():
        assert not [table for table in LARGE if re.search(rf"Seq Scan on {table}\b", plan)], f"{sql}\n{plan}"


def _plan(sql: str) -> str:
    """As PostgreSQL would do it in tables so large that reading all of one is out of the question."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())


def test_days_are_counted_afresh_while_events_come_and_are_folded(
    committed_world: World, in_threads: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PORTION", 3)
    today = timezone.localdate()

    def work(number: int) -> None:
        for round_ in range(6):
            if number == 0:
                paid_trade(committed_world, 100 + round_)
                numbered()
            elif number == 1:
                keeping.fold_events(portions=2)
            else:
                rebuild(today, today + timedelta(days=round_ % 2))

    assert in_threads(work, 4) == [None] * 4
    numbered()
    while keeping.fold_events():
        pass
    expected = counted()
    assert kept() == expected
    assert kept_by_app() == by_app(expected)


def test_all_days_are_counted_side_by_side(
    committed_world: World, in_threads: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While orders are paid and others fold events in, and although every part holds the mark."""
    monkeypatch.setattr(rebuilding, "_ALL_AT_ONCE", 1)
    for _ in range(3):
        paid_trade(committed_world, 100)
    numbered()
    while keeping.fold_events():
        pass
    expected = kept()
    PaymentDay.objects.update(paid_count=77)

    def work(number: int) -> None:
        if number == 0:
            assert rebuild_everything() >= 3  # the days before and after too
        elif number == 1:
            keeping.fold_events()
        else:
            paid_trade(committed_world, 100)

    assert in_threads(work, 3) == [None] * 3
    numbered()
    while keeping.fold_events():
        pass
    assert kept() == counted()
    assert kept() != expected
