"""Who set what stands does not approve it, and what was stopped does not start again without a decision."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from channels.base import RefundResult, RefundState
from merchants.models import User
from paycenter.errors import TransitionRefused
from refunds.approvals import refund_amount_change, refund_approve, refund_hold
from refunds.confirm import refund_confirm
from refunds.models import Refund, RefundCeiling, RefundPolicy
from refunds.retrying import refund_convert, refund_give_up, refund_send_again
from refunds.services import refund_request_by_staff
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.paying import sweep
from trades.models import Trade

Ask = Callable[..., Refund]
Staff = Callable[..., User]
pytestmark = pytest.mark.usefixtures("policy")
SHORT = RefundResult(state=RefundState.FAILED, refund_no="", code="NOT_ENOUGH", message="x", resendable=True)


def test_who_set_the_amount_does_not_approve_it_after_a_conversion(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund, ann, bob = ask(trade, 2000), staff("ann"), staff("bob")
    refund_amount_change(refund=refund, amount=3000, user=ann, reason="more is owed")
    refund_convert(refund=refund, user=bob, route="manual", reason="the card is closed")
    for name in (ann, bob):
        with pytest.raises(TransitionRefused):
            refund_approve(refund=refund, user=name, comment="ok")
    refund_approve(refund=refund, user=staff("cleo"), comment="ok")
    assert fresh(refund).state == "approved"


def test_who_converted_does_not_approve_after_another_amount(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund, ann, bob = ask(trade, 2000), staff("ann"), staff("bob")
    refund_convert(refund=refund, user=bob, route="manual", reason="the card is closed")
    refund_amount_change(refund=refund, amount=3000, user=ann, reason="more is owed")
    for name in (ann, bob):
        with pytest.raises(TransitionRefused):
            refund_approve(refund=refund, user=name, comment="ok")


@pytest.mark.parametrize("amount", [900, 2000], ids=["by policy", "by a person"])
def test_what_an_approver_stopped_is_decided_afresh(
    world: World, trade: Trade, ask: Ask, staff: Staff, amount: int
) -> None:
    """Failed, to be sent again, stopped by an approver; whoever leaves it as failed cannot have it sent after all."""
    refund = ask(trade, amount)
    ann, bob = staff("ann"), staff("bob")
    if amount > 1000:
        refund_approve(refund=refund, user=bob, comment="ok")
    world.book.fault("refund", SHORT)
    sweep()
    refund_send_again(refund=refund, user=ann, reason="topped up")
    refund_hold(refund=refund, user=bob, comment="this looks wrong")
    refund_give_up(refund=refund, user=ann, reason="never mind")
    refund_send_again(refund=refund, user=ann, reason="after all")
    sweep()
    after = fresh(refund)
    assert (after.state, world.book.calls["refund"]) == ("pending_approval", 1)
    assert fresh(trade).refunding_amount == amount
    refund_approve(refund=refund, user=bob, comment="it was right")
    sweep()
    assert fresh(refund).state == "succeeded"


def test_what_needs_approval_anyway_takes_nothing_of_the_days_automatic_sum(
    world: World, trade: Trade, ask: Ask, staff: Staff
) -> None:
    RefundPolicy.objects.update(daily_ceiling=1000)
    refund = refund_request_by_staff(trade=trade, abnormal=None, amount=900, reason="by staff", user=staff("ann"))
    refund_amount_change(refund=refund, amount=800, user=staff("bob"), reason="less")
    assert not RefundCeiling.objects.filter(used__gt=0).exists()
    assert ask(trade, 1000).state == "approved"


def test_one_that_was_stuck_and_failed_leaves_the_list_of_stuck_ones(world: World, trade: Trade, ask: Ask) -> None:
    world.book.refunds_wait = True
    refund = ask(trade, 900)
    sweep()
    for state in (RefundState.ATTENTION, RefundState.FAILED):
        word = RefundResult(state=state, refund_no=refund.refund_no, amount=refund.money)
        refund_confirm(refund_id=refund.pk, word=word, actor="channel:fakepay")
    assert (fresh(refund).state, fresh(refund).needs_attention) == ("failed", False)
