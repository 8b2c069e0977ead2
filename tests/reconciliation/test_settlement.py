"""What should arrive, when, and whether it did."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base.bills import BillKind
from merchants.models import User
from paycenter.errors import BillRefused, TransitionRefused
from reconciliation import files
from reconciliation.bills import bill_import, bill_upload
from reconciliation.models import BankProfile, BankReceipt, Case, FeeRate, SettlementBatch, SettlementRow
from reconciliation.settlement.batches import batch_accept, batch_override, batches_refresh_live, terms_of
from reconciliation.settlement.calendar import Calendar, Terms
from reconciliation.settlement.lines import lines_compare
from reconciliation.settlement.models import SettlementCalendar, SettlementTerms
from reconciliation.settlement.receipts import Imported, receipts_import
from tests.conftest import World
from tests.factories import fresh
from tests.fakes import bills
from tests.fakes.staff import make_staff
from tests.reconciliation.conftest import DAY, reconcile, row_of

pytestmark = pytest.mark.usefixtures("in_english")

FRIDAY, MONDAY = DAY, DAY + timedelta(days=3)  # 2026-11-20 is a Friday


@pytest.fixture(autouse=True)
def _terms(published: Any, world: World) -> None:
    """T+1 in working days."""
    SettlementTerms.objects.create(account=world.account, days_after=1)


@pytest.fixture
def profile(world: World) -> BankProfile:
    return BankProfile.objects.create(
        name="Bank", date_column="日期", date_format="%Y/%m/%d", amount_column="金额", reference_column="流水号",
        purpose_column="摘要", encoding="gbk", senders={"支付渠道": world.account.payment_no},
    )  # fmt: skip


@pytest.fixture
def ann(db: None) -> User:
    return make_staff("finance", username="ann")


def statement(tmp_path: Path, *lines: str, head: str = "日期,流水号,金额,摘要") -> Path:
    path = tmp_path / "statement.csv"
    path.write_bytes("\r\n".join([head, *lines, ""]).encode("gbk"))
    return path


# ---- the calendar ---------------------------------------------------------------------------------------------
GOLDEN_WEEK = Calendar(
    frozenset(date(2026, 10, day) for day in range(1, 8)), frozenset({date(2026, 10, 10)})
)  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "day", "settled"),
    [
        (Terms(1, Calendar()), date(2026, 11, 20), date(2026, 11, 23)),
        (Terms(1, Calendar()), date(2026, 11, 21), date(2026, 11, 23)),
        (Terms(1, Calendar()), date(2026, 11, 22), date(2026, 11, 23)),
        (Terms(0, Calendar()), date(2026, 11, 21), date(2026, 11, 23)),
        (Terms(0, Calendar()), date(2026, 11, 20), date(2026, 11, 20)),
        (Terms(3), date(2026, 11, 20), date(2026, 11, 23)),
        (Terms(1, GOLDEN_WEEK), date(2026, 9, 30), date(2026, 10, 8)),
        (Terms(1, GOLDEN_WEEK), date(2026, 10, 9), date(2026, 10, 10)),
    ],
)
def test_money_arrives_on_working_days(terms: Terms, day: date, settled: date) -> None:
    assert terms.settlement_day(day) == settled
    assert day in terms.days_settled_on(settled)


def test_no_day_is_settled_twice_or_never() -> None:
    terms = Terms(1, GOLDEN_WEEK)
    days = [date(2026, 9, 20) + timedelta(days=n) for n in range(40)]
    settled = [day for n in range(60) for day in terms.days_settled_on(date(2026, 9, 20) + timedelta(days=n))]
    assert [day for day in days if settled.count(day) != 1] == []


def test_a_calendar_is_kept_as_days(world: World) -> None:
    calendar = SettlementCalendar.objects.create(name="China", holidays=["2026-11-23"], workdays=["2026-11-21"])
    SettlementTerms.objects.update(calendar=calendar)
    assert terms_of(world.account).settlement_day(FRIDAY) == date(2026, 11, 21)  # type: ignore[union-attr]


# ---- batches ----------------------------------------------------------------------------------------------------
def test_what_should_arrive_is_added_up_per_settlement_day(world: World, paid: Any) -> None:
    attempt = paid(amount=10_000)
    reconcile(world, [row_of(attempt, fee=60), bills.line(kind="other", amount=1)])
    batch = SettlementBatch.objects.get()
    assert (batch.date, batch.first_day, batch.last_day) == (MONDAY, FRIDAY, FRIDAY + timedelta(days=2))
    assert (batch.paid, batch.refunded, batch.expected, batch.fee, batch.received) == (10_000, 0, 10_000, 60, None)
    assert batch.state == "expected"
    reconcile(world, [], FRIDAY + timedelta(days=1))
    assert SettlementBatch.objects.count() == 1


def test_fees_a_bill_does_not_name_come_from_the_rates(world: World, paid: Any) -> None:
    FeeRate.objects.create(account=world.account, from_day=DAY - timedelta(days=9), ppm=6000)
    reconcile(world, [row_of(paid(amount=10_000)), row_of(paid(amount=5_000))])
    assert SettlementBatch.objects.get().fee == 90


def test_an_account_without_terms_has_no_batches(world: World, paid: Any) -> None:
    SettlementTerms.objects.all().delete()
    reconcile(world, [row_of(paid())])
    assert not SettlementBatch.objects.exists()


def test_an_open_case_blocks_until_it_is_closed(world: World, paid: Any) -> None:
    attempt = paid(amount=10_000)
    reconcile(world, [row_of(attempt, amount=9_999)])
    assert SettlementBatch.objects.get().state == "blocked"
    Case.objects.update(state="closed")
    batches_refresh_live()
    assert SettlementBatch.objects.get().state == "expected"


def test_a_blocked_batch_goes_on_with_a_reason(world: World, paid: Any, ann: User) -> None:
    reconcile(world, [row_of(paid(amount=10_000), amount=9_999)])
    batch = SettlementBatch.objects.select_related("account__merchant").get()
    with pytest.raises(ValueError, match="reason"):
        batch_override(batch=batch, user=ann, reason=" ")
    batch_override(batch=batch, user=ann, reason="month end")
    batches_refresh_live()
    found = fresh(batch)
    assert (found.state, found.reason, found.decided_by) == ("expected", "month end", ann)


# ---- money ------------------------------------------------------------------------------------------------------
def test_received_and_fee_make_what_was_expected(world: World, paid: Any, profile: Any, tmp_path: Path) -> None:
    reconcile(world, [row_of(paid(amount=10_000), fee=60)])
    path = statement(tmp_path, "2026/11/23,B1,99.40,支付渠道结算", "2026/11/23,B2,5.00,别人的钱")
    assert receipts_import(profile=profile, path=path, actor="staff:ann") == Imported(1, 0, 1)
    batch = SettlementBatch.objects.get()
    assert (batch.received, batch.difference, batch.state) == (9_940, 0, "settled")
    assert receipts_import(profile=profile, path=path, actor="staff:ann") == Imported(0, 1, 1)


def test_less_money_is_a_difference_that_somebody_explains(
    world: World, paid: Any, profile: Any, tmp_path: Path, ann: User
) -> None:
    reconcile(world, [row_of(paid(amount=10_000), fee=60)])
    receipts_import(profile=profile, path=statement(tmp_path, "2026/11/23,B1,90.00,支付渠道"), actor="staff:ann")
    batch = SettlementBatch.objects.select_related("account__merchant").get()
    assert (batch.difference, batch.state) == (-940, "different")
    batch_accept(batch=batch, user=ann, reason="held back by the channel")
    assert fresh(batch).state == "accepted"
    with pytest.raises(TransitionRefused):
        batch_accept(batch=fresh_with_account(batch), user=ann, reason="again")


def fresh_with_account(batch: SettlementBatch) -> SettlementBatch:
    return SettlementBatch.objects.select_related("account__merchant").get(pk=batch.pk)


def test_the_rest_that_comes_later_settles_it(world: World, paid: Any, profile: Any, tmp_path: Path) -> None:
    reconcile(world, [row_of(paid(amount=10_000), fee=60)])
    receipts_import(profile=profile, path=statement(tmp_path, "2026/11/23,B1,90.00,支付渠道"), actor="staff:ann")
    receipts_import(profile=profile, path=statement(tmp_path, "2026/11/23,B2,9.40,支付渠道"), actor="staff:ann")
    assert SettlementBatch.objects.get().state == "settled"


def test_money_a_day_late_finds_its_batch_by_the_sum(world: World, paid: Any, profile: Any, tmp_path: Path) -> None:
    reconcile(world, [row_of(paid(amount=10_000), fee=60)])
    receipts_import(profile=profile, path=statement(tmp_path, "2026/11/25,B1,99.40,支付渠道"), actor="staff:ann")
    assert SettlementBatch.objects.get().state == "settled"


@pytest.mark.parametrize(
    ("line", "head", "why"),
    [
        ("2026/11/23,B1,99.405,支付渠道", "日期,流水号,金额,摘要", "line 3: no day or amount"),
        ("2026/11/23,B1,-59223372036854775808.00,支付渠道", "日期,流水号,金额,摘要", "line 3: no day or amount"),
        ("23.11.2026,B1,99.40,支付渠道", "日期,流水号,金额,摘要", "line 3: no day or amount"),
        ("2026/11/23,,99.40,支付渠道", "日期,流水号,金额,摘要", "line 3: a line without"),
        ("2026/11/23,B1,99.40,支付渠道", "日期,流水,金额,摘要", "line 1: columns are missing: 流水号"),
    ],
)
def test_a_statement_is_taken_in_whole_or_not_at_all(
    world: World, profile: Any, tmp_path: Path, line: str, head: str, why: str
) -> None:
    path = statement(tmp_path, "2026/11/23,B0,1.00,支付渠道", line, head=head)
    with pytest.raises(BillRefused, match=why):
        receipts_import(profile=profile, path=path, actor="staff:ann")
    assert not BankReceipt.objects.exists()


def test_a_statement_in_another_encoding_is_refused(profile: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BillRefused, match="cannot be read"):
        receipts_import(profile=profile, path=path, actor="staff:ann")


# ---- line by line -----------------------------------------------------------------------------------------------
def test_lines_are_compared_with_the_movements_of_money(world: World, paid: Any) -> None:
    settled, unsettled, different = paid(amount=1000), paid(amount=2000), paid(amount=3000)
    reconcile(world, [row_of(settled), row_of(unsettled), row_of(different)])
    batch = SettlementBatch.objects.get()
    assert lines_compare(batch) is None
    movements = {
        DAY: [row_of(settled), row_of(different, amount=2999), bills.line(channel_trade_no="STRANGE"),
              bills.line(kind="refund", channel_trade_no="BANK", amount=7), bills.line(kind="fee", amount=-6)],
        DAY + timedelta(days=1): [], DAY + timedelta(days=2): [],
    }  # fmt: skip
    for day, rows in movements.items():
        with files.scratch_file() as path:
            path.write_bytes(bills.make(rows))
            bill = bill_upload(account=world.account, day=day, kind=BillKind.FUND, path=path, name="f", actor="staff:a")
        bill_import(bill_id=bill.pk, actor="t")
    assert lines_compare(batch) == 4
    assert lines_compare(batch) == 4
    assert dict(SettlementRow.objects.values_list("channel_trade_no", "kind")) == {
        unsettled.channel_trade_no: "not_settled", different.channel_trade_no: "amount", "STRANGE": "not_in_bill",
        "BANK": "bank_refund",
    }  # fmt: skip
