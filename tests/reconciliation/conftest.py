from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from channels.base.bills import BillKind
from reconciliation import files
from reconciliation.bills import bill_import, bill_upload
from reconciliation.models import Bill, ReconciliationDay
from reconciliation.reconciling import day_match
from tests import factories
from tests.conftest import World
from tests.fakes import bills
from trades.models import Attempt
from trades.querying import attempt_query

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)  # in China


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> bills.Published:
    """What the fake channel has published; bills are kept in a folder of the test's own."""
    settings.VAR_DIR = tmp_path
    return bills.install(monkeypatch)


@pytest.fixture
def paid(world: World) -> Callable[..., Attempt]:
    """Make a payment that arrived at `at`."""

    def make(amount: int = 1234, at: datetime = NOON, method: str = "fake_qr", **values: Any) -> Attempt:
        attempt = factories.trade_pay(app=world.app, order=world.order(amount=amount, **values), method=method)
        world.book.pay(attempt.channel_order_no, at=at)
        attempt_query(attempt_id=attempt.pk, actor="test")
        return Attempt.objects.select_related("trade").get(pk=attempt.pk)

    return make


def row_of(attempt: Attempt, **changed: Any) -> dict[str, Any]:
    """The bill's row of a payment."""
    values = {
        "order_no": attempt.channel_order_no, "channel_trade_no": attempt.channel_trade_no or "CH?",
        "amount": attempt.paid_amount or attempt.amount, "at": (attempt.paid_at or NOON).isoformat(),
    }  # fmt: skip
    return bills.line(**{**values, **changed})


def take_in(world: World, rows: list[dict[str, Any]], day: date = DAY, **values: Any) -> Bill:
    """Upload a bill with these rows and read it."""
    with files.scratch_file() as path:
        path.write_bytes(bills.make(rows))
        bill = bill_upload(account=world.account, day=day, kind=BillKind.TRADE, path=path, name="b.jsonl",
                           actor="staff:ann", **values)  # fmt: skip
    return bill_import(bill_id=bill.pk, actor="test")


def reconcile(world: World, rows: list[dict[str, Any]], day: date = DAY) -> int | None:
    """Take the day's bill in and compare."""
    take_in(world, rows, day, replace=True)
    return day_match(day_id=ReconciliationDay.objects.get(account=world.account, day=day).pk)
