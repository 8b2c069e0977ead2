"""A list costs the same statements however many rows it shows."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reconciliation.models import BankProfile, Bill, Case, FeeRate, ReconciliationDay, SettlementBatch
from reconciliation.settlement.changing import rate_change_request
from reconciliation.settlement.models import SettlementCalendar, SettlementTerms
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from tests.reconciliation.conftest import DAY

LISTS = ("bill", "case", "reconciliationday", "settlementbatch", "feerate", "settlementterms", "settlementcalendar",
         "bankprofile")  # fmt: skip


def fill(world: World, number: int) -> None:
    """One more account with one of everything."""
    account, day = factories.make_account(world.merchant), DAY + timedelta(days=number)
    bill = Bill.objects.create(account=account, day=day)
    ReconciliationDay.objects.create(account=account, day=day, matched_at=timezone.now())
    owner = make_staff("finance", username=f"clerk{number}")
    Case.objects.create(account=account, app=world.app, day=day, subject="payment", kind="amount", key=f"K{number}",
                        bill=bill, currency="CNY", difference=1, opened_at=timezone.now(), owner=owner,
                        evidence={})  # fmt: skip
    SettlementBatch.objects.create(batch_no=f"S{number}", account=account, date=day, currency="CNY", first_day=day,
                                   last_day=day)  # fmt: skip
    FeeRate.objects.create(account=account, from_day=day)
    calendar = SettlementCalendar.objects.create(name=f"C{number}")
    SettlementTerms.objects.create(account=account, calendar=calendar)
    BankProfile.objects.create(name=f"B{number}", date_column="a", amount_column="b", reference_column="c")
    values = {"ppm": 3800, "rounding": "half_up", "fixed": 0, "least": 0, "most": None}
    rate_change_request(account=account, method="fake_qr", from_day=day, values=values, user=owner, reason="contract")


def test_no_list_asks_more_for_more_rows(world: World) -> None:
    client = signed_in(make_staff("finance"))

    def statements(name: str) -> int:
        with CaptureQueriesContext(connection) as made:
            assert client.get(f"/admin/reconciliation/{name}/").status_code == 200
        return len(made)

    for number in range(2):
        fill(world, number)
    for name in LISTS:
        statements(name)  # what is remembered between requests is asked for now
    few = {name: statements(name) for name in LISTS}
    for number in range(2, 9):
        fill(world, number)
    assert {name: statements(name) for name in LISTS} == few
    assert max(few.values()) < 16, few
