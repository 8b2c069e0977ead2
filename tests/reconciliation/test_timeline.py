"""A trade's timeline tells what bills and settlements say of it, and only of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from channels.base.bills import BillKind
from reconciliation import files
from reconciliation.bills import bill_import, bill_upload
from reconciliation.models import SettlementBatch
from reconciliation.settlement.lines import lines_compare
from reconciliation.settlement.models import SettlementTerms
from reconciliation.timeline import bill_entries
from tests.conftest import World
from tests.fakes import bills
from tests.fakes.staff import make_staff, signed_in
from tests.reconciliation.conftest import DAY, NOON, reconcile, row_of
from trades.models import Trade


@pytest.fixture(autouse=True)
def _published(published: Any, world: World) -> None:
    """Every test here reads bills, and knows when money arrives."""
    SettlementTerms.objects.create(account=world.account, days_after=1)


def told(trade: Trade) -> list[tuple[str, str, bool]]:
    return [(entry.title, entry.note, entry.good) for entry in bill_entries(trade)]


def test_bill_rows_and_the_batch_are_told(world: World, paid: Any) -> None:
    attempt, other = paid(amount=1000), paid(amount=500)
    back = bills.line(kind="refund", refund_no="RX", amount=300, at=NOON.isoformat(),
                      order_no=attempt.channel_order_no, channel_trade_no=attempt.channel_trade_no)  # fmt: skip
    reconcile(world, [row_of(attempt, fee=6), row_of(other, fee=3), back])
    batch = SettlementBatch.objects.get()
    first, second, third = told(attempt.trade)
    assert "¥10.00" in first[0]
    assert str(DAY) in first[1]
    assert "¥0.06" in first[1]
    assert "¥3.00" in second[0]
    assert (batch.batch_no in third[0], third[2]) == (True, True)
    page = signed_in(make_staff("service")).get(f"/admin/trades/trade/{attempt.trade_id}/change/").content.decode()
    assert "In the channel&#x27;s bill: payment, ¥10.00" in page
    assert batch.batch_no in page
    assert "¥5.00" not in page


def test_a_movement_that_differs_is_told_as_bad(world: World, paid: Any) -> None:
    attempt = paid(amount=1000)
    reconcile(world, [row_of(attempt)])
    with files.scratch_file() as path:
        path.write_bytes(bills.make([row_of(attempt, amount=990)]))
        bill = bill_upload(account=world.account, day=DAY, kind=BillKind.FUND, path=path, name="f", actor="staff:ann")
    assert bill_import(bill_id=bill.pk, actor="t").state == "imported"
    batch = SettlementBatch.objects.get()
    SettlementBatch.objects.filter(pk=batch.pk).update(first_day=DAY, last_day=DAY)
    batch = SettlementBatch.objects.get()
    assert lines_compare(batch) == 1
    bad = [entry for entry in told(attempt.trade) if not entry[2]]
    assert len(bad) == 1
    assert "¥10.00" in bad[0][1]
    assert "¥9.90" in bad[0][1]


def test_a_trade_in_no_bill_costs_three_look_ups(world: World, paid: Any) -> None:
    attempt = paid(amount=1000)
    with CaptureQueriesContext(connection) as queries:
        assert told(attempt.trade) == []
    assert len(queries) == 3
