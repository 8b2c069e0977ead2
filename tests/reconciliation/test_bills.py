"""Bills in: fetched when the channel has them, uploaded, refused whole, and never twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine

from channels.base.bills import BillKind
from notifications.models import Alert
from paycenter.models import Event
from reconciliation import bills as center
from reconciliation import files, loading, sweeps
from reconciliation.bills import BillConflict, bill_fetch, bill_import, bill_refetch, bill_upload
from reconciliation.days import bills_plan
from reconciliation.models import Bill, BillRow, ReconciliationDay
from tests.conftest import World
from tests.factories import fresh
from tests.fakes import bills
from tests.reconciliation.conftest import DAY, row_of, take_in

NEXT_MORNING = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)  # 10:30 in China


def planned(world: World, day: date = DAY) -> Bill:
    return Bill.objects.create(account=world.account, day=day, next_fetch_at=NEXT_MORNING)


# ---- planning -----------------------------------------------------------------------------------------------
def test_every_day_that_is_over_is_planned_once(world: World, published: Any, paid: Any) -> None:
    with time_machine.travel(NEXT_MORNING - timedelta(days=3), tick=False):
        type(world.account).objects.update(created_at=datetime.now(UTC))
        paid(at=datetime.now(UTC))
    with time_machine.travel(NEXT_MORNING, tick=False):
        assert bills_plan() == 3
        assert bills_plan() == 0
    days = sorted(Bill.objects.values_list("day", flat=True))
    assert days == [date(2026, 11, 18), date(2026, 11, 19), DAY]
    assert Bill.objects.get(day=DAY).next_fetch_at == datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
    assert ReconciliationDay.objects.count() == 3


def test_an_account_that_never_took_money_has_no_bills(world: World, published: Any) -> None:
    assert bills_plan() == 0


def test_an_account_whose_channel_publishes_none_has_days_but_no_bills(world: World, published: Any, paid: Any) -> None:
    published.rule = None
    paid()
    type(world.account).objects.update(created_at=datetime.now(UTC) - timedelta(days=2))
    assert bills_plan() == 0
    assert ReconciliationDay.objects.count() >= 2


# ---- fetching -----------------------------------------------------------------------------------------------
def test_a_bill_that_is_not_there_yet_is_asked_for_again(world: World, published: Any, paid: Any) -> None:
    published.bills[DAY], published.not_ready = bills.make([row_of(paid())]), 2
    planned(world)
    with time_machine.travel(NEXT_MORNING, tick=False) as clock:
        for hours in (0, 1, 2):
            clock.move_to(NEXT_MORNING + timedelta(hours=hours))
            sweeps.bills_fetch_due()
            sweeps.bills_import_due()
    bill = Bill.objects.get()
    assert (published.asked, bill.state, bill.rows_read, bill.next_fetch_at) == (3, "imported", 1, None)
    assert files.bill_path(bill.file_path).read_bytes() == published.bills[DAY]
    assert not Alert.objects.filter(kind="reconciliation").exists()


def test_an_empty_day_is_an_answer(world: World, published: Any) -> None:
    published.bills[DAY] = None
    bill = bill_fetch(bill_id=planned(world).pk, actor="test")
    assert (bill.state, bill.next_fetch_at) == ("empty", None)
    assert ReconciliationDay.objects.get().next_match_at is not None


def test_a_day_that_turns_out_empty_keeps_no_rows_of_an_earlier_file(world: World, published: Any, paid: Any) -> None:
    bill = take_in(world, [row_of(paid())])
    published.bills[DAY] = None
    bill_refetch(bill=bill, actor="staff:ann")
    sweeps.bills_fetch_due()
    found = Bill.objects.get()
    assert (found.state, found.totals, BillRow.objects.count()) == ("empty", {}, 0)


def test_somebody_is_told_when_a_bill_does_not_come(world: World, published: Any) -> None:
    bill = planned(world)
    with time_machine.travel(NEXT_MORNING + timedelta(days=2), tick=False):
        bill_fetch(bill_id=bill.pk, actor="test")
    assert Alert.objects.get(kind="reconciliation").key == f"bill-missing:{bill.pk}"


def test_a_defect_in_a_provider_is_an_unknown_outcome(world: World, published: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(bills.FakeProvider, "fetch_bill", lambda *_: 1 / 0)
    bill = bill_fetch(bill_id=planned(world).pk, actor="test")
    assert bill.state == "awaited"
    assert "ZeroDivisionError" in bill.fetch_error
    assert bill.next_fetch_at is not None


# ---- reading ------------------------------------------------------------------------------------------------
def test_rows_are_kept_as_the_channel_wrote_them(world: World, published: Any, paid: Any) -> None:
    attempt = paid()
    refund = bills.line(kind="refund", refund_no="R1", channel_refund_no="CR1", order_no="X", amount=5, fee=-1)
    bill = take_in(world, [row_of(attempt, fee=7, order_day="20261120"), refund, bills.line(kind="other", amount=9)])
    assert bill.state == "imported"
    payment, back, other = BillRow.objects.order_by("line")
    assert (payment.key, payment.fee, payment.line) == (f"20261120{attempt.channel_order_no}", 7, 2)
    assert (back.key, back.channel_refund_no, back.fee) == ("R1", "CR1", -1)
    assert other.key == "@4"
    assert fresh(bill).totals == {
        "CNY": {"count": 1, "paid": 1234, "refunds": 1, "refunded": 5, "fee": 6, "without_fee": 0}
    }


REFUSED = {
    "truncated": (lambda rows: bills.make(rows).rpartition(b'{"end"')[0], "the end is missing"),
    "doubled": (lambda rows: bills.make(rows + rows), "the same row as in line 2"),
    "another account": (lambda rows: bills.make(rows, merchant="other"), "another merchant"),
    "bad total": (lambda rows: bills.make(rows, end=7), "the end says 7 rows"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_bill_that_cannot_be_believed_imports_nothing(
    world: World, published: Any, paid: Any, monkeypatch: Any, case: str
) -> None:
    monkeypatch.setattr(center, "PORTION", 1)
    rows = [row_of(paid()), row_of(paid())]
    with files.scratch_file() as path:
        path.write_bytes(REFUSED[case][0](rows))
        bill = bill_upload(account=world.account, day=DAY, kind=BillKind.TRADE, path=path, name="b", actor="staff:ann")
    bill = bill_import(bill_id=bill.pk, actor="test")
    assert bill.state == "refused"
    assert REFUSED[case][1] in bill.refusal
    assert bill.refusal_line
    assert not BillRow.objects.exists()
    assert not ReconciliationDay.objects.filter(next_match_at__isnull=False).exists()
    assert Alert.objects.filter(key=f"bill-refused:{bill.pk}").exists()
    assert Event.objects.filter(type="bill.refused", object_id=bill.pk).count() == 1


def test_a_defect_in_reading_refuses_the_bill(world: World, published: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(bills.FakeProvider, "read_bill", lambda *_: 1 / 0)
    bill = take_in(world, [])
    assert (bill.state, bill.refusal) == ("refused", "it cannot be read: ZeroDivisionError")


def test_a_better_file_replaces_a_refused_one(world: World, published: Any, paid: Any) -> None:
    attempt = paid()
    with files.scratch_file() as path:
        path.write_bytes(bills.make([row_of(attempt)], end=5))
        first = bill_upload(account=world.account, day=DAY, kind=BillKind.TRADE, path=path, name="b", actor="staff:a")
    assert bill_import(bill_id=first.pk, actor="t").state == "refused"
    bill = take_in(world, [row_of(attempt)])
    assert (bill.pk, bill.state, bill.refusal, BillRow.objects.count()) == (first.pk, "imported", "", 1)


def test_the_same_file_again_changes_nothing(world: World, published: Any, paid: Any) -> None:
    rows = [row_of(paid())]
    first = take_in(world, rows)
    version = fresh(first).version
    again = take_in(world, rows)
    assert (again.pk, again.version, BillRow.objects.count()) == (first.pk, version, 1)


def test_another_file_for_an_imported_day_needs_a_word(world: World, published: Any, paid: Any) -> None:
    take_in(world, [row_of(paid())])
    other = [row_of(paid())]
    with pytest.raises(BillConflict):
        take_in(world, other)
    assert take_in(world, other, replace=True).state == "imported"
    assert BillRow.objects.count() == 1


def test_a_reader_that_died_is_followed_by_another(world: World, published: Any, paid: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(center, "PORTION", 1)
    rows = [row_of(paid()), row_of(paid())]
    real = loading.add_rows
    calls = iter([real, None])

    def dies(found: Any) -> None:
        work = next(calls)
        if work is None:
            raise MemoryError
        work(found)

    monkeypatch.setattr(loading, "add_rows", dies)
    with pytest.raises(MemoryError):
        take_in(world, rows)
    assert Bill.objects.get().state == "importing"
    monkeypatch.setattr(loading, "add_rows", real)
    assert sweeps.bills_import_due() == 0  # the dead one's lease
    Bill.objects.update(next_import_at=datetime.now(UTC))
    assert sweeps.bills_import_due() == 1
    assert (Bill.objects.get().state, BillRow.objects.count()) == ("imported", 2)


def test_a_reader_that_was_overtaken_stops(world: World, published: Any, paid: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(center, "PORTION", 1)
    rows = [row_of(paid()), row_of(paid())]

    def overtaken(count: int) -> None:
        Bill.objects.update(run=99)

    with files.scratch_file() as path:
        path.write_bytes(bills.make(rows))
        bill = bill_upload(account=world.account, day=DAY, kind=BillKind.TRADE, path=path, name="b", actor="staff:a")
    with pytest.raises(center.Overtaken):
        bill_import(bill_id=bill.pk, actor="t", progress=overtaken)
    assert Bill.objects.get().state == "importing"


def test_progress_is_seen_while_a_bill_is_read(world: World, published: Any, paid: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(center, "PORTION", 1)
    seen = []
    with files.scratch_file() as path:
        path.write_bytes(bills.make([row_of(paid()), row_of(paid())]))
        bill = bill_upload(account=world.account, day=DAY, kind=BillKind.TRADE, path=path, name="b", actor="staff:a")
    bill_import(bill_id=bill.pk, actor="t", progress=lambda n: seen.append((n, Bill.objects.get().rows_read)))
    assert seen == [(1, 1), (2, 2)]


def test_a_bill_is_fetched_again_on_demand(world: World, published: Any, paid: Any) -> None:
    bill = take_in(world, [row_of(paid())])
    published.bills[DAY] = bills.make([row_of(paid())])
    bill_refetch(bill=bill, actor="staff:ann")
    sweeps.bills_fetch_due()
    sweeps.bills_import_due()
    assert BillRow.objects.get().order_no != ""
    assert Bill.objects.get().sha256 != bill.sha256


def test_files_stay_below_their_root(published: Any) -> None:
    with pytest.raises(ValueError, match="not a bill"):
        files.bill_path("../../etc/passwd")
    with files.scratch_file() as path:
        path.write_bytes(b"x")
        kept = files.keep(path, payment_no="Z1", day="2026-11-20", name="../../../evil name.zip")
    assert kept.path.startswith("Z1/2026-11-20/")
    assert files.bill_path(kept.path).parent.parent.parent == files.bills_root()
