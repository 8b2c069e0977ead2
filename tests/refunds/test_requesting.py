"""Asking for refunds: what fits, what the same number means, what the policy says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from merchants.api.errors import BadParameter, ContentDiffers, NotFound, NotPossible, RefundExceeds
from notifications.models import Alert, Notification
from paycenter.models import Event
from refunds.models import Refund, RefundPolicy
from refunds.services import refund_cancel
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.paying import paid_trade, paid_twice, sweep
from trades.models import Trade
from trades.services import trade_pay

Ask = Callable[..., Refund]


def test_a_small_refund_goes_back_by_itself(world: World, policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    refund = ask(trade, 1000)
    assert refund.state == "approved"
    assert fresh(trade).refunding_amount == 1000
    assert world.book.calls["refund"] == 0, "it answers before the channel is called"

    sweep()

    assert fresh(refund).state == "succeeded"
    after = fresh(trade)
    assert (after.refunded_amount, after.refunding_amount, after.refundable_amount) == (1000, 0, 9000)
    assert world.book.refunded(trade.settled_attempt.attempt_no) == 1000
    told = Notification.objects.get(type="refund.succeeded")
    assert (told.refund_no, told.trade_no) == (refund.refund_no, trade.trade_no)


def test_without_a_policy_somebody_has_to_approve(world: World, trade: Trade, ask: Ask) -> None:
    refund = ask(trade, 1)
    assert (refund.state, refund.approvals_needed) == ("pending_approval", 1)
    sweep()
    assert world.book.calls["refund"] == 0
    assert Alert.objects.filter(key__startswith=f"refund-approval:{refund.refund_no}").exists()


@pytest.mark.parametrize(("amount", "needed"), [(1000, 0), (1001, 1), (5000, 1), (5001, 2)])
def test_the_policy_says_how_many_approve(
    policy: RefundPolicy, trade: Trade, ask: Ask, amount: int, needed: int
) -> None:
    assert ask(trade, amount).approvals_needed == needed


def test_a_policy_of_the_currency_goes_before_the_general_one(
    world: World, policy: RefundPolicy, trade: Trade, ask: Ask
) -> None:
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, currency="CNY", one_approval_up_to=10)
    assert ask(trade, 500).approvals_needed == 2


def test_the_daily_ceiling_sends_to_approval(policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    RefundPolicy.objects.update(daily_ceiling=1500)
    assert [ask(trade, amount).state for amount in (1000, 600, 500, 1)] == [
        "approved", "pending_approval", "approved", "pending_approval",
    ]  # fmt: skip


def test_the_same_number_is_the_same_refund(policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    first = ask(trade, 700, number="R-1")
    again = ask(trade, 700, number="R-1")
    assert again.refund_no == first.refund_no
    assert fresh(trade).refunding_amount == 700
    with pytest.raises(ContentDiffers):
        ask(trade, 701, number="R-1")


def test_the_same_number_for_another_trade_differs(world: World, policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    ask(trade, 700, number="R-1")
    with pytest.raises(ContentDiffers):
        ask(paid_trade(world, 700), 700, number="R-1")


def test_no_more_than_was_paid(policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    ask(trade, 6000)
    with pytest.raises(RefundExceeds) as refused:
        ask(trade, 4001)
    assert refused.value.data == {"refundable": 4000}
    ask(trade, 4000)
    with pytest.raises(RefundExceeds) as refused:
        ask(trade, 1)
    assert refused.value.data == {"refundable": 0}


def test_the_database_refuses_more_than_was_paid(trade: Trade) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Trade.objects.filter(pk=trade.pk).update(refunding_amount=10_001)


def test_an_unpaid_trade_is_not_refundable(world: World, policy: RefundPolicy, ask: Ask) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    with pytest.raises(NotPossible):
        ask(attempt.trade, 1)


def test_the_window_is_over(policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    RefundPolicy.objects.update(window_days=30)
    Trade.objects.filter(pk=trade.pk).update(paid_at=timezone.now() - timedelta(days=29, hours=23))
    ask(trade, 1)
    Trade.objects.filter(pk=trade.pk).update(paid_at=timezone.now() - timedelta(days=30, seconds=1))
    with pytest.raises(NotPossible):
        ask(trade, 1)


def test_another_apps_trade_does_not_exist(world: World, policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    Trade.objects.filter(pk=trade.pk).update(app=factories.make_app(world.merchant))
    with pytest.raises(NotFound):
        ask(trade, 1)


def test_names_that_do_not_fit_are_named(world: World, policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    with pytest.raises(BadParameter) as refused:
        ask(trade, 1, payment_no="Z-OTHER")
    assert list(refused.value.data["errors"]) == ["payment_no"]
    with pytest.raises(BadParameter) as refused:
        ask(trade, 1, attempt_no=trade.settled_attempt.attempt_no)
    assert list(refused.value.data["errors"]) == ["attempt_no"]


def test_money_paid_twice_goes_back_on_its_own_row(world: World, policy: RefundPolicy, ask: Ask) -> None:
    trade, abnormal = paid_twice(world, 800)
    refund = ask(trade, 800, attempt_no=abnormal.attempt.attempt_no)
    assert (refund.kind, refund.type, fresh(abnormal).state) == ("duplicate", "full", "refunding")
    with pytest.raises(RefundExceeds):
        ask(trade, 1, attempt_no=abnormal.attempt.attempt_no)
    sweep()
    assert (fresh(refund).state, fresh(abnormal).state) == ("succeeded", "refunded")
    assert (fresh(trade).refunded_amount, fresh(trade).refundable_amount) == (0, 800)
    assert world.book.refunded(abnormal.attempt.attempt_no) == 800


def test_cancelling_frees_the_sum_and_tells_the_app(policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    refund = ask(trade, 2000)
    assert refund_cancel(refund=refund, actor="app:x").state == "cancelled"
    assert refund_cancel(refund=refund, actor="app:x").state == "cancelled"
    assert fresh(trade).refundable_amount == 10_000
    assert Notification.objects.filter(type="refund.cancelled").count() == 1
    automatic = ask(trade, 10)
    with pytest.raises(NotPossible):
        refund_cancel(refund=automatic, actor="app:x")


def test_every_change_of_a_sum_counts_the_trades_version_up(policy: RefundPolicy, trade: Trade, ask: Ask) -> None:
    before = fresh(trade).version
    ask(trade, 10)
    sweep()
    assert fresh(trade).version == before + 2
    assert Event.objects.filter(type="trade.refunds_changed", public=True).count() == 2
