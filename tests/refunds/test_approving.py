"""Deciding: who asked never decides, two approvals are two people over one amount, old ones count no more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from merchants.models import User
from notifications.models import Notification
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from refunds.approvals import (
    approvals_expire,
    refund_amount_change,
    refund_approve,
    refund_hold,
    refund_reject,
    refund_release,
    why_not,
)
from refunds.models import Approval, Refund, RefundPolicy
from refunds.services import refund_request_by_staff
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.paying import sweep
from trades.models import Trade

Ask = Callable[..., Refund]
Staff = Callable[..., User]
pytestmark = pytest.mark.usefixtures("policy")


def test_one_approval_makes_it_go(world: World, trade: Trade, ask: Ask, staff: Staff) -> None:
    refund = ask(trade, 2000)
    refund_approve(refund=refund, user=staff("ann"), comment="checked the contract")
    approved = fresh(refund)
    assert (approved.state, approved.approved_at is not None) == ("approved", True)
    sweep()
    assert fresh(refund).state == "succeeded"
    decision = Event.objects.get(type="refund.decision_approve")
    assert (decision.actor, decision.reason, decision.trade_no) == (
        "staff:ann", "checked the contract", trade.trade_no,
    )  # fmt: skip


def test_two_approvals_are_two_people(world: World, trade: Trade, ask: Ask, staff: Staff) -> None:
    refund, ann = ask(trade, 6000), staff("ann")
    refund_approve(refund=refund, user=ann, comment="ok")
    assert fresh(refund).state == "pending_approval"
    with pytest.raises(TransitionRefused, match=r"already|已"):
        refund_approve(refund=refund, user=ann, comment="ok again")
    assert why_not(fresh(refund), ann)
    sweep()
    assert world.book.calls["refund"] == 0
    refund_approve(refund=refund, user=staff("bob"), comment="ok")
    assert fresh(refund).state == "approved"


@pytest.mark.parametrize("act", [refund_approve, refund_hold, refund_reject])
def test_who_asked_never_decides(trade: Trade, staff: Staff, act: Any) -> None:
    ann = staff("ann")
    refund = refund_request_by_staff(trade=trade, abnormal=None, amount=10, reason="x", user=ann)
    assert refund.state == "pending_approval", "staff's own requests are never waved through"
    with pytest.raises(TransitionRefused):
        act(refund=refund, user=ann, comment="fine")
    assert not Approval.objects.exists()
    act(refund=refund, user=staff("bob"), comment="fine")


def test_not_even_a_superuser_decides_on_their_own(trade: Trade) -> None:
    root = User.objects.create_superuser("root", password="x", role="operator")
    refund = refund_request_by_staff(trade=trade, abnormal=None, amount=10, reason="x", user=root)
    with pytest.raises(TransitionRefused):
        refund_approve(refund=refund, user=root, comment="fine")


@pytest.mark.parametrize("role", ["operator", "service", "auditor"])
def test_roles_that_may_not_decide(trade: Trade, ask: Ask, staff: Staff, role: str) -> None:
    refund = ask(trade, 2000)
    with pytest.raises(TransitionRefused):
        refund_approve(refund=refund, user=staff("eve", role), comment="ok")
    assert not Approval.objects.exists()


def test_the_policy_says_which_roles_approve(world: World, trade: Trade, ask: Ask, staff: Staff) -> None:
    RefundPolicy.objects.update(approver_roles=["operator"])
    with pytest.raises(TransitionRefused):
        refund_approve(refund=ask(trade, 2000), user=staff("ann"), comment="ok")


def test_another_merchants_staff_cannot_decide(trade: Trade, ask: Ask, staff: Staff) -> None:
    RefundPolicy.objects.update(approver_roles=["merchant"])
    stranger = staff("eve", "merchant", merchant=factories.make_merchant())
    with pytest.raises(TransitionRefused):
        refund_approve(refund=ask(trade, 2000), user=stranger, comment="ok")


@pytest.mark.parametrize("comment", ["", "   "])
def test_a_comment_is_needed(trade: Trade, ask: Ask, staff: Staff, comment: str) -> None:
    refund = ask(trade, 2000)
    for act in (refund_approve, refund_hold, refund_reject):
        with pytest.raises(TransitionRefused):
            act(refund=refund, user=staff(f"ann{act.__name__}"), comment=comment)


def test_the_amount_that_was_seen_is_the_amount_approved(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund = ask(trade, 2000)
    refund_amount_change(refund=refund, amount=2500, user=staff("carl"), reason="cleaning")
    with pytest.raises(TransitionRefused):
        refund_approve(refund=refund, user=staff("ann"), comment="ok", amount=2000)
    refund_approve(refund=refund, user=staff("bob"), comment="ok", amount=2500)
    assert fresh(refund).state == "approved"


def test_an_amount_changed_after_approval_voids_it(world: World, trade: Trade, ask: Ask, staff: Staff) -> None:
    refund, ann, bob, carl = ask(trade, 6000), staff("ann"), staff("bob"), staff("carl")
    refund_approve(refund=refund, user=ann, comment="ok")
    refund_amount_change(refund=refund, amount=5500, user=carl, reason="less cleaning")
    assert fresh(trade).refunding_amount == 5500
    refund_approve(refund=refund, user=bob, comment="ok")
    assert fresh(refund).state == "pending_approval", "the approval over the old amount does not count"
    with pytest.raises(TransitionRefused):
        refund_approve(refund=refund, user=carl, comment="ok")
    refund_approve(refund=refund, user=ann, comment="ok")
    refund_amount_change(refund=fresh(refund), amount=5600, user=carl, reason="more")
    assert fresh(refund).state == "pending_approval", "also after the last approval, while it is unsent"
    sweep()
    assert world.book.calls["refund"] == 0


@pytest.mark.parametrize("amount", [0, -1, 10_001, 6000])
def test_impossible_amounts(trade: Trade, ask: Ask, staff: Staff, amount: int) -> None:
    refund = ask(trade, 6000)
    with pytest.raises(TransitionRefused):
        refund_amount_change(refund=refund, amount=amount, user=staff("carl"), reason="x")
    assert fresh(trade).refunding_amount == 6000


def test_rejecting_frees_the_sum_and_tells_the_app_why(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund = ask(trade, 2000)
    refund_reject(refund=refund, user=staff("xiaomei"), comment="the lease has not ended")
    assert fresh(trade).refundable_amount == 10_000
    told = Notification.objects.get(type="refund.rejected")
    assert "the lease has not ended" in told.body
    assert "xiaomei" not in told.body, "apps are not told which of our staff it was"


def test_holding_keeps_the_sum_and_releasing_decides_afresh(
    world: World, trade: Trade, ask: Ask, staff: Staff
) -> None:
    refund, ann, bob = ask(trade, 2000), staff("ann"), staff("bob")
    refund_approve(refund=refund, user=ann, comment="ok")
    refund_hold(refund=refund, user=bob, comment="wait for the meter")
    sweep()
    assert (fresh(refund).state, world.book.calls["refund"]) == ("on_hold", 0)
    assert fresh(trade).refunding_amount == 2000
    refund_release(refund=refund, user=bob, comment="meter read")
    assert fresh(refund).state == "pending_approval"
    refund_approve(refund=refund, user=bob, comment="ok")
    sweep()
    assert fresh(refund).state == "succeeded"


def test_old_approvals_fall_back(world: World, trade: Trade, ask: Ask, staff: Staff) -> None:
    RefundPolicy.objects.update(approval_hours=24)
    refund = ask(trade, 6000)
    refund_approve(refund=refund, user=staff("ann"), comment="ok")
    Approval.objects.update(decided_at=timezone.now() - timedelta(hours=25))
    Refund.objects.update(next_expiry_at=timezone.now())
    from refunds.sweeps import expire_due

    expire_due()
    refund_approve(refund=refund, user=staff("bob"), comment="ok")
    assert fresh(refund).state == "pending_approval", "one valid approval, two are needed"


def test_what_was_approved_long_ago_and_not_sent_is_decided_afresh(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund = ask(trade, 2000)
    refund_approve(refund=refund, user=staff("ann"), comment="ok")
    Refund.objects.update(approved_at=timezone.now() - timedelta(hours=73))
    approvals_expire(refund_id=refund.pk)
    assert fresh(refund).state == "pending_approval"
    assert fresh(trade).refunding_amount == 2000


def test_an_automatic_one_never_grows_old(trade: Trade, ask: Ask) -> None:
    refund = ask(trade, 10)
    Refund.objects.update(approved_at=timezone.now() - timedelta(days=30))
    approvals_expire(refund_id=refund.pk)
    assert fresh(refund).state == "approved"


def test_the_database_takes_one_decision_per_person_and_round(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund, ann = ask(trade, 6000), staff("ann")
    refund_approve(refund=refund, user=ann, comment="ok")
    row = Approval.objects.get()
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


def test_who_approved_may_still_reject(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund, ann = ask(trade, 6000), staff("ann")
    refund_approve(refund=refund, user=ann, comment="ok")
    refund_reject(refund=refund, user=ann, comment="saw the contract again")
    assert fresh(refund).state == "rejected"


def test_the_approval_of_somebody_shut_out_since_does_not_count(trade: Trade, ask: Ask, staff: Staff) -> None:
    refund, ann = ask(trade, 6000), staff("ann")
    refund_approve(refund=refund, user=ann, comment="ok")
    User.objects.filter(pk=ann.pk).update(is_active=False)
    refund_approve(refund=fresh(refund), user=staff("bob"), comment="ok")
    assert fresh(refund).state == "pending_approval"
    refund_approve(refund=fresh(refund), user=staff("cat"), comment="ok")
    assert fresh(refund).state == "approved"
