"""Every difference is found and named, nothing else is; what another day explains is no difference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import PaymentState
from notifications.models import Alert
from paycenter.models import Event
from paycenter.money import Money
from reconciliation import matching, sweeps
from reconciliation.models import Case, FeeRate, ReconciliationDay
from reconciliation.reconciling import day_match
from tests.conftest import World
from tests.factories import fresh
from tests.fakes import bills
from tests.reconciliation.conftest import DAY, NOON, reconcile, row_of, take_in
from trades.models import AbnormalPayment, Attempt
from trades.querying import attempt_query

TOMORROW = DAY + timedelta(days=1)


@pytest.fixture(autouse=True)
def _published(published: Any) -> None:
    """Every test here reads bills."""


def kinds() -> dict[str, str]:
    """Live cases: what they are, by order number."""
    return dict(Case.objects.exclude(state__in=["settled", "closed"]).values_list("key", "kind"))


def test_a_day_that_agrees_has_no_cases(world: World, paid: Any) -> None:
    assert reconcile(world, [row_of(paid()), row_of(paid(amount=99))]) == 0
    day = ReconciliationDay.objects.get()
    assert day.ours == {"CNY": {"count": 2, "paid": 1333, "refunds": 0, "refunded": 0}}
    assert day.theirs["CNY"]["paid"] == 1333
    assert day.matched_at is not None
    assert day.next_match_at is None


def test_every_kind_of_difference_is_named(world: World, paid: Any, settings: Any) -> None:
    settings.RECONCILIATION_CARRY_DAYS = 0
    FeeRate.objects.create(account=world.account, method="", from_day=DAY, ppm=6000)
    same, amount, currency, status, fee, missing = (paid(amount=10_000) for _ in range(6))
    unpaid = paid_later(world)
    rows = [
        row_of(same, fee=60), row_of(amount, amount=9999, fee=60), row_of(currency, currency="USD"),
        row_of(status, state="failed"), row_of(fee, fee=61), row_of(unpaid),
        bills.line(order_no="NEVER-OURS", channel_trade_no="CH-9"),
    ]  # fmt: skip
    assert reconcile(world, rows) == 7
    assert kinds() == {
        amount.channel_order_no: "amount", currency.channel_order_no: "currency", status.channel_order_no: "status",
        fee.channel_order_no: "fee", missing.channel_order_no: "missing_at_channel",
        unpaid.channel_order_no: "status", "NEVER-OURS": "missing_here",
    }  # fmt: skip
    found = {case.key: case for case in Case.objects.all()}
    assert found[amount.channel_order_no].difference == 1
    assert found[fee.channel_order_no].difference == 1
    assert found[missing.channel_order_no].difference == 10_000
    assert found[missing.channel_order_no].trade_no == missing.trade.trade_no
    assert found[amount.channel_order_no].evidence["theirs"]["amount"] == 9999
    assert found[amount.channel_order_no].evidence["ours"]["amount"] == 10_000
    assert Event.objects.filter(type="case.opened").count() == 7


def paid_later(world: World, **values: Any) -> Attempt:
    """An attempt that the channel has not told us about."""
    from tests import factories

    return factories.trade_pay(app=world.app, order=world.order(**values), method="fake_qr")


def test_running_it_again_finds_nothing_new(world: World, paid: Any) -> None:
    rows = [row_of(paid(), amount=5), bills.line(order_no="X")]
    assert reconcile(world, rows) == 2
    assert day_match(day_id=ReconciliationDay.objects.get().pk) == 0
    assert Case.objects.count() == 2


def test_candidates_come_in_pages_without_loss(world: World, paid: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(matching, "PAGE", 2)
    monkeypatch.setattr(matching, "LOOK_UP", 1)
    wrong = [paid() for _ in range(5)]
    strange = [bills.line(order_no=f"X{n}") for n in range(4)]
    assert reconcile(world, [row_of(one, amount=1) for one in wrong] + strange) == 9


def test_duplicates_count_as_money_that_arrived(world: World, paid: Any) -> None:
    first = paid_later(world, app_order_no="TWICE")
    second = Attempt.objects.create(
        attempt_no="A2", trade=first.trade, account=world.account, channel="fakepay", method="fake_qr",
        channel_order_no="A2", amount=1234, currency="CNY", created_at=NOON, sent_at=NOON, expire_at=NOON,
    )  # fmt: skip
    from tests.fakes.fakepay import Payment

    world.book.payments["A2"] = Payment("A2", Money(1234, "CNY"))
    for attempt in (first, second):
        world.book.pay(attempt.channel_order_no, at=NOON)
        attempt_query(attempt_id=attempt.pk, actor="test")
    assert AbnormalPayment.objects.get().kind == "duplicate"
    assert reconcile(world, [row_of(fresh(first)), row_of(fresh(second))]) == 0
    assert ReconciliationDay.objects.get().ours["CNY"] == {"count": 2, "paid": 2468, "refunds": 0, "refunded": 0}


def test_numbers_that_repeat_on_other_days_are_told_apart_by_their_day(world: World, paid: Any) -> None:
    one, other = paid(), paid(amount=77)
    Attempt.objects.filter(pk=one.pk).update(channel_order_no="0000000001", order_day="20261119")
    Attempt.objects.filter(pk=other.pk).update(channel_order_no="0000000001", order_day="20261120")
    rows = [row_of(one, order_no="0000000001", order_day="20261119"),
            row_of(other, order_no="0000000001", order_day="20261120")]  # fmt: skip
    assert reconcile(world, rows) == 0


def test_a_row_without_our_number_is_matched_by_the_channels(world: World, paid: Any) -> None:
    attempt = paid()
    assert reconcile(world, [row_of(attempt, order_no="")]) == 0
    other = paid()
    assert reconcile(world, [row_of(attempt, order_no=""), row_of(other, order_no="", amount=1)]) == 1
    assert kinds() == {other.channel_order_no: "amount"}


def test_another_accounts_number_is_not_ours(world: World, paid: Any) -> None:
    from tests import factories

    attempt = paid()
    elsewhere = factories.make_account(world.merchant)
    Attempt.objects.filter(pk=attempt.pk).update(account=elsewhere)
    assert reconcile(world, [row_of(attempt)]) == 1
    assert kinds() == {attempt.channel_order_no: "missing_here"}


# ---- other days -----------------------------------------------------------------------------------------------
def test_what_the_channel_booked_a_day_later_is_carried_and_settles_itself(world: World, paid: Any) -> None:
    late = paid(at=datetime(2026, 11, 20, 15, 59, 59, tzinfo=UTC))  # a second before midnight in China
    assert reconcile(world, []) == 1
    case = Case.objects.get()
    assert (case.state, case.kind, case.carry_until) == ("carried", "missing_at_channel", DAY + timedelta(days=2))
    assert reconcile(world, [row_of(late)], TOMORROW) == 0
    assert (fresh(case).state, fresh(case).outcome) == ("settled", "matched")
    assert Event.objects.filter(type="case.settled", trade_no=late.trade.trade_no).count() == 1


def test_what_the_channel_booked_a_day_earlier_is_no_difference(world: World, paid: Any) -> None:
    early = paid(at=datetime(2026, 11, 20, 16, 0, 1, tzinfo=UTC))  # our clock says tomorrow
    assert reconcile(world, [row_of(early)]) == 0
    assert reconcile(world, [], TOMORROW) == 0
    assert not Case.objects.exists()


def test_a_channels_day_is_cut_where_the_channel_cuts_it(world: World, paid: Any, published: Any) -> None:
    from datetime import time

    from channels.base.bills import BillRule

    published.rule = BillRule(cut=time(23, 0))
    evening = paid(at=datetime(2026, 11, 20, 15, 30, tzinfo=UTC))  # 23:30 in China belongs to the 21st
    assert reconcile(world, []) == 0
    assert reconcile(world, [row_of(evening)], TOMORROW) == 0


def test_a_late_row_with_another_amount_becomes_that_difference(world: World, paid: Any) -> None:
    late = paid()
    reconcile(world, [])
    assert reconcile(world, [row_of(late, amount=1)], TOMORROW) == 1
    assert kinds() == {late.channel_order_no: "amount"}


def test_what_nobody_explains_in_time_needs_a_person(world: World, paid: Any) -> None:
    paid()
    reconcile(world, [])
    for days in (1, 2):
        assert Case.objects.get().state == "carried"
        reconcile(world, [], DAY + timedelta(days=days))
    assert Case.objects.get().state == "open"


def test_a_bill_that_was_replaced_settles_what_it_explains(world: World, paid: Any) -> None:
    attempt = paid()
    reconcile(world, [row_of(attempt, amount=5), bills.line(order_no="X")])
    assert len(kinds()) == 2
    reconcile(world, [row_of(attempt)])
    assert kinds() == {}


def test_a_difference_that_comes_back_is_open_again(world: World, paid: Any) -> None:
    attempt = paid()
    reconcile(world, [row_of(attempt, amount=5)])
    reconcile(world, [row_of(attempt)])
    reconcile(world, [row_of(attempt, amount=5), bills.line(kind="other")])
    assert (Case.objects.get().state, Case.objects.get().outcome) == ("open", "")


# ---- what the channel says when it is asked ------------------------------------------------------------------
def test_a_payment_we_never_heard_of_is_booked_through_the_normal_path(world: World) -> None:
    attempt = paid_later(world)
    world.book.pay(attempt.channel_order_no, at=NOON)
    assert reconcile(world, [row_of(attempt, channel_trade_no=f"CH{attempt.channel_order_no}")]) == 1
    sweeps.cases_ask_due()
    case = Case.objects.get()
    assert fresh(attempt).state == "succeeded"
    assert fresh(attempt.trade).state == "paid"
    assert (case.state, case.outcome) == ("settled", "asked")
    assert case.evidence["asked"]["state"] == "paid"


def test_a_success_unknown_to_its_channel_is_told_as_a_security_matter(world: World, paid: Any) -> None:
    attempt = paid()
    reconcile(world, [])
    world.book.payments[attempt.channel_order_no].state = PaymentState.UNPAID
    sweeps.cases_ask_due()
    alert = Alert.objects.get(kind="security")
    assert (alert.key, alert.severity, alert.trade_no) == (
        f"forged:{attempt.attempt_no}", "critical", attempt.trade.trade_no,
    )  # fmt: skip
    assert Case.objects.get().state == "open"
    assert fresh(attempt).state == "succeeded"  # a person decides; nothing is taken back by itself


def test_a_success_the_channel_confirms_stays_carried_quietly(world: World, paid: Any) -> None:
    paid()
    reconcile(world, [])
    sweeps.cases_ask_due()
    case = Case.objects.get()
    assert (case.state, case.evidence["asked"]["state"]) == ("carried", "paid")
    assert not Alert.objects.filter(kind="security").exists()
    assert case.next_ask_at is not None


def test_a_channel_that_does_not_answer_is_asked_again(world: World, paid: Any) -> None:
    from paycenter.errors import UnknownOutcome

    reconcile(world, [row_of(paid_later(world))])
    world.book.fault("query", UnknownOutcome("no answer"))
    sweeps.cases_ask_due()
    case = Case.objects.get()
    assert (case.state, case.evidence["asked"]["state"], case.asks) == ("open", "no_answer", 1)
    assert case.next_ask_at is not None


def test_a_day_without_a_usable_bill_is_not_compared(world: World, paid: Any) -> None:
    paid()
    bill = take_in(world, [])
    type(bill).objects.update(state="refused")
    assert day_match(day_id=ReconciliationDay.objects.get().pk) is None
    assert not Case.objects.exists()
