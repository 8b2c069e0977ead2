"""The sums equal a direct count of the records, whatever happened and in whichever portions they are kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.base import RefundResult
from channels.base import RefundState as Word
from dashboards import counting, keeping
from dashboards.models import ChannelDay, FoldedUpTo, PaymentDay
from dashboards.rebuilding import rebuild
from merchants.models import Merchant, PaymentAccount
from paycenter.money import Money
from paycenter.transitions import record_event
from reconciliation.models import ReconciliationDay
from refunds.confirm import refund_confirm
from refunds.models import Refund
from tests import factories
from tests.conftest import World
from tests.dashboards.histories import STEPS, History
from tests.dashboards.oracle import by_app, by_channel, counted, kept, kept_by_app, kept_by_channel, numbered
from tests.refunds.paying import confirm, paid_trade
from trades.confirm import MoneyArrived, payment_confirm
from trades.models import Attempt, Trade
from trades.services import trade_pay


def assert_kept() -> None:
    expected = counted()
    assert kept() == expected
    assert kept_by_app() == by_app(expected)
    assert kept_by_channel() == by_channel(expected, dict(PaymentAccount.objects.values_list("pk", "channel")))


def keep() -> None:
    numbered()
    while keeping.fold_events():
        pass


class _Died(Exception):
    """The process ended here."""


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, dies_at=st.integers(0, 3), portion=st.sampled_from([1, 3, 2000]), late=st.booleans())
def test_sums_equal_a_count_after_any_history(
    world: World, steps: list[Any], dies_at: int, portion: int, late: bool
) -> None:
    world.book.__init__()  # type: ignore[misc]
    history = History(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "PORTION", portion)
        for number, step in enumerate(steps):
            history.run(step)
            if number % 3 == dies_at:
                numbered()
                _run_that_dies()
                keeping.fold_events(portions=1)
        if late:  # a day is counted afresh while some of its events are not folded in, or not even numbered
            rebuild(timezone.localdate() - timedelta(days=1), timezone.localdate() + timedelta(days=1))
        keep()
    assert_kept()


def _run_that_dies() -> None:
    """Written, and then the process is gone before the commit."""

    def die(*_args: Any, **_values: Any) -> None:
        raise _Died

    before = kept()
    with pytest.MonkeyPatch.context() as inner:
        inner.setattr(FoldedUpTo, "save", die)
        try:
            keeping.fold_events()
        except _Died:
            assert kept() == before


def test_money_and_refund_that_come_days_later_count_on_their_own_days(world: World) -> None:
    now = timezone.now()
    trade = paid_days_ago(world, 1000, now - timedelta(days=9))
    keep()
    refund = refunded_at(trade, 300, now - timedelta(days=2))
    keep()
    assert_kept()
    zone_day = lambda at: (at + timedelta(hours=8)).astimezone(UTC).date()  # noqa: E731  Shanghai has no summer time
    paid = PaymentDay.objects.get(paid_count__gt=0)
    assert (paid.day, paid.paid_amount) == (zone_day(now - timedelta(days=9)), 1000)
    given_back = PaymentDay.objects.get(refund_count__gt=0)
    assert (given_back.day, given_back.refund_amount) == (zone_day(now - timedelta(days=2)), 300)
    assert refund.state == "succeeded"


def paid_days_ago(world: World, amount: int, at: datetime) -> Trade:
    attempt = trade_pay(app=world.app, order=world.order(amount=amount), method="fake_qr")
    payment = world.book.pay(attempt.attempt_no)
    money = MoneyArrived(amount=payment.amount, channel_trade_no=payment.channel_trade_no, paid_at=at)
    payment_confirm(attempt_id=attempt.pk, money=money, actor="test")
    return Trade.objects.get(pk=attempt.trade_id)


def refunded_at(trade: Trade, amount: int, at: datetime) -> Refund:
    attempt = trade.settled_attempt
    assert attempt is not None
    refund = Refund.objects.create(
        refund_no=f"R{trade.pk}-{amount}", app=trade.app, merchant=trade.merchant, trade=trade, attempt=attempt,
        account_id=attempt.account_id, channel=attempt.channel, amount=amount, requested_amount=amount,
        currency=trade.currency, reason="x", type="partial", kind="business", source="admin", state="processing",
        requested_at=at - timedelta(days=1), sent_at=at - timedelta(days=1), channel_request_no=f"N{trade.pk}-{amount}",
    )  # fmt: skip
    Trade.objects.filter(pk=trade.pk).update(refunding_amount=amount)
    word = RefundResult(
        state=Word.SUCCEEDED, refund_no=refund.channel_request_no, amount=Money(amount, trade.currency), finished_at=at
    )
    refund_confirm(refund_id=refund.pk, word=word, actor="test")
    return Refund.objects.get(pk=refund.pk)


@pytest.mark.parametrize(("zone", "day"), [("Asia/Shanghai", date(2026, 3, 2)), ("America/New_York", date(2026, 3, 1))])
def test_a_day_is_the_merchants_own(world: World, zone: str, day: date) -> None:
    Merchant.objects.filter(pk=world.merchant.pk).update(timezone=zone)
    paid_days_ago(world, 500, datetime(2026, 3, 1, 20, 0, tzinfo=UTC))
    keep()
    assert PaymentDay.objects.get(paid_count=1).day == day
    assert_kept()


def test_currencies_stay_apart(world: World) -> None:
    for currency, amount in (("CNY", 100), ("USD", 100), ("CNY", 50)):
        attempt = trade_pay(app=world.app, order=world.order(amount=amount, currency=currency), method="fake_page")
        confirm(attempt, world)
    keep()
    assert_kept()
    sums = dict(PaymentDay.objects.filter(paid_count__gt=0).values_list("currency", "paid_amount"))
    assert sums == {"CNY": 150, "USD": 100}


def test_an_amount_that_changes_counts_as_first_asked(world: World) -> None:
    number = factories.make_order(world.merchant).app_order_no
    for amount in (1000, 700):
        trade_pay(app=world.app, order=world.order(app_order_no=number, amount=amount), method="fake_qr")
    keep()
    assert_kept()
    assert PaymentDay.objects.get(created_count=1).created_amount == 1000


def test_days_are_rebuilt_from_the_records_alone(world: World) -> None:
    now = timezone.now()
    refunded_at(paid_days_ago(world, 1000, now - timedelta(days=3)), 300, now)
    keep()
    PaymentDay.objects.update(paid_amount=7, created_count=9)
    call_command("dashboards_rebuild", "--days", "5", verbosity=0)
    assert_kept()
    with pytest.raises(CommandError, match="before the first"):
        call_command("dashboards_rebuild", "--from", "2026-02-02", "--to", "2026-02-01")


def test_a_rebuilt_day_leaves_its_neighbours_alone(world: World) -> None:
    now = timezone.now()
    for days in (1, 2, 3):
        paid_days_ago(world, 1000, now - timedelta(days=days))
    keep()
    PaymentDay.objects.update(paid_amount=7)
    middle = (now - timedelta(days=2) + timedelta(hours=8)).astimezone(UTC).date()
    rebuild(middle, middle)
    paid = dict(PaymentDay.objects.filter(paid_count=1).values_list("day", "paid_amount"))
    assert [paid[middle - timedelta(days=1)], paid[middle], paid[middle + timedelta(days=1)]] == [7, 1000, 7]


def test_fees_of_a_day_are_those_its_bill_names_last(world: World) -> None:
    day = ReconciliationDay.objects.create(account=world.account, day=date(2026, 3, 1))
    for fee in (60, 75, 75):
        day.theirs = {"CNY": {"count": 1, "paid": 1000, "fee": fee}}
        day.save()
        record_event(day, "reconciliation.compared", actor="test")
        keep()
    assert PaymentDay.objects.get(fee__gt=0).fee == 75
    assert {k[1]: v for k, v in kept_by_channel().items()} == {"fakepay": {"fee": 75}}
    rebuild(day.day, day.day)
    assert PaymentDay.objects.get(fee__gt=0).fee == 75


def test_a_currency_that_a_bill_read_again_does_not_name_has_no_fee_any_more(world: World) -> None:
    other = ReconciliationDay.objects.create(
        account=world.account, day=date(2026, 3, 2), theirs={"CNY": {"count": 1, "paid": 500, "fee": 9}}
    )
    day = ReconciliationDay.objects.create(account=world.account, day=date(2026, 3, 1))
    for theirs in ({"CNY": {"fee": 60}, "HKD": {"fee": 7}}, {"HKD": {"fee": 8}}):
        day.theirs = theirs
        day.save()
        for one in (day, other):
            record_event(one, "reconciliation.compared", actor="test")
        keep()
    found = {(r.day.day, r.currency): r.fee for r in PaymentDay.objects.filter(fee__gt=0)}
    assert found == {(1, "HKD"): 8, (2, "CNY"): 9}


def test_keeping_costs_the_same_however_much_is_stored(world: World, django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        paid_trade(world, 100)
    keep()
    paid_trade(world, 100)
    numbered()
    with django_assert_max_num_queries(14):
        keeping.fold_events()
    assert_kept()
    assert Attempt.objects.count() == 4


def test_everything_is_counted_without_folding_the_past(world: World) -> None:
    now = timezone.now()
    for days in (0, 2):
        refunded_at(paid_days_ago(world, 1000 + days, now - timedelta(days=days)), 300, now)
    numbered()
    paid_trade(world, 55)
    call_command("dashboards_rebuild", "--all", verbosity=0)
    keep()
    assert_kept()


def test_events_before_the_mark_are_left_to_the_command(world: World) -> None:
    paid_trade(world, 100)
    numbered()
    keeping.fold_events()
    seq = FoldedUpTo.objects.get().seq
    assert keeping.fold_events() == 0
    assert FoldedUpTo.objects.get().seq == seq > 0


def test_days_whose_events_are_gone_are_counted_without_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    paid_trade(world, 100)
    numbered()
    monkeypatch.setattr(counting, "_ANSWERED_WITHIN", timedelta(days=-9))  # as if all events were younger
    call_command("dashboards_rebuild", "--days", "3", verbosity=0)
    sums = PaymentDay.objects.aggregate(Sum("created_amount"), Sum("paid_amount"))
    assert sums == {"created_amount__sum": 100, "paid_amount__sum": 100}
    calls = ChannelDay.objects.aggregate(Sum("asked_count"), Sum("succeeded_count"), Sum("answer_count"))
    assert calls == {"asked_count__sum": 1, "succeeded_count__sum": 1, "answer_count__sum": 0}
