"""What staff do with a refund that failed at its channel: send it again under its number, or pay it out by hand.

Either way its sum is reserved again first. Who has it paid out by hand changes where the money goes, so that
is approved like a new refund.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.staff.tenancy import actor_of, is_foreign
from paycenter.transitions import record_event
from paycenter.wakeup import wake
from refunds import sums
from refunds.approvals import approvals_given, decide_afresh, require_comment
from refunds.leaving import going_back
from refunds.models import Refund, RefundRoute, RefundSource
from refunds.policies import policy_for
from refunds.services import SEND_TASK, tell_approvers
from refunds.states import RefundState
from refunds.telling import refund_advance
from trades.refund_port import GOING_BACK

SEND_PERMISSION = "refunds.send_refund"


@transaction.atomic
def refund_send_again(*, refund: Refund, user: User, reason: str) -> Refund:
    """Have a failed refund sent once more, under the same number, where the channel allows that. One that was stopped
    before it was left as failed, or whose approvals are void, is decided afresh first.

    Raises TransitionRefused, also where its sum does not fit any more.
    """
    source, locked = sums.lock_refund(refund.pk)
    refuse_send_again(locked, user)
    require_comment(locked, reason)
    _reserve_again(source, locked, user)
    if locked.held_because or approvals_given(locked) < locked.approvals_needed:
        locked.approvals_needed = max(locked.approvals_needed, 1)
        refund_advance(locked, "send_again", actor=actor_of(user), reason=reason, fields=("finished_at",))
        decide_afresh(locked, actor_of(user), reason, ("approvals_needed",))
        return locked
    locked.next_send_at = locked.approved_at = timezone.now()
    policy = policy_for(locked.app, locked.merchant, locked.currency)
    locked.next_expiry_at = timezone.now() + timedelta(hours=policy.approval_hours)
    transaction.on_commit(lambda: wake(SEND_TASK), robust=True)
    refund_advance(locked, "send_again", actor=actor_of(user), reason=reason,
                   fields=("finished_at", "next_send_at", "approved_at", "next_expiry_at"))  # fmt: skip
    return locked


@transaction.atomic
def refund_convert(*, refund: Refund, user: User, route: str, reason: str) -> Refund:
    """Have a failed or unsent refund paid out by hand, or booked to the payer's balance; it is approved afresh.

    Raises TransitionRefused, also for one that may have reached its channel without an explicit refusal.
    """
    if route not in (RefundRoute.MANUAL, RefundRoute.BALANCE):
        raise TransitionRefused(_("This route is not possible."))
    source, locked = sums.lock_refund(refund.pk)
    refuse_convert(locked, user)
    require_comment(locked, reason)
    if locked.state == RefundState.FAILED:
        _reserve_again(source, locked, user)
        refund_advance(locked, "send_again", actor=actor_of(user), reason=reason, fields=("finished_at",))
    locked.route, locked.resendable, locked.changed_by = route, False, user
    locked.approvals_needed = max(locked.approvals_needed, 1)
    locked.round += 1
    locked.next_send_at = locked.next_query_at = locked.next_expiry_at = locked.approved_at = None
    fields = ("route", "resendable", "changed_by", "approvals_needed", "round", "next_send_at", "next_query_at",
              "next_expiry_at", "approved_at")  # fmt: skip
    record_event(locked, "refund.route_changed", actor=actor_of(user), reason=reason, detail={"route": route})
    if locked.state == RefundState.PENDING_APPROVAL:
        locked.save(update_fields=fields)
    else:
        refund_advance(locked, "decide_again", actor=actor_of(user), reason=reason, fields=fields)
    tell_approvers(locked)
    return locked


@transaction.atomic
def refund_give_up(*, refund: Refund, user: User, reason: str) -> Refund:
    """Leave a refund that failed once, and was to be tried again, as failed; its sum is free again.

    Raises TransitionRefused for one that was never refused by its channel, or is under way.
    """
    source, locked = sums.lock_refund(refund.pk)
    refuse_give_up(locked, user)
    require_comment(locked, reason)
    sums.free(source, locked.amount, actor=actor_of(user))
    locked.finished_at = timezone.now()
    locked.next_send_at = locked.next_expiry_at = None
    refund_advance(locked, "give_up", actor=actor_of(user), reason=reason,
                   fields=("finished_at", "next_send_at", "next_expiry_at"))  # fmt: skip
    return locked


def refuse_send_again(refund: Refund, user: User) -> None:
    """Raises TransitionRefused unless this person may have it sent again now."""
    _require(user, refund)
    if refund.state != RefundState.FAILED:
        raise TransitionRefused(_("Only a failed refund can be sent again."), state=str(refund.state))
    if not refund.resendable:
        reason = _("The channel no longer accepts this number; pay it out by hand.")
        raise TransitionRefused(reason, state=str(refund.state))


def refuse_convert(refund: Refund, user: User) -> None:
    """Raises TransitionRefused unless this person may have it paid out another way now."""
    _require(user, refund)
    if refund.route != RefundRoute.ORIGINAL:
        raise TransitionRefused(_("It is paid out by hand already."), state=str(refund.state))
    if refund.state != RefundState.FAILED and (refund.sent_at is not None or not refund.reserves):
        raise TransitionRefused(_("Its outcome at the channel has to be known first."), state=str(refund.state))


def refuse_give_up(refund: Refund, user: User) -> None:
    """Raises TransitionRefused unless this person may leave it as failed now."""
    _require(user, refund)
    if refund.sent_at is None or refund.state == RefundState.PROCESSING or not refund.reserves:
        raise TransitionRefused(_("Only a refund that failed before can be left as failed."), state=str(refund.state))


def _require(user: User, refund: Refund) -> None:
    if is_foreign(user, refund) or not user.has_perm(SEND_PERMISSION):
        raise TransitionRefused(_("Your role may not do this."), state=refund.state)
    if refund.source == RefundSource.EXTERNAL:
        raise TransitionRefused(_("The channel itself began this refund."), state=refund.state)


def _reserve_again(source: sums.Source, refund: Refund, user: User) -> None:
    if refund.amount > source.refundable_amount:
        raise TransitionRefused(_("Its sum was given to other refunds meanwhile."), state=refund.state)
    if refund.amount > source.refundable_amount - going_back(source):
        raise TransitionRefused(str(GOING_BACK), state=refund.state)
    refund.finished_at = None
    sums.reserve(source, refund.amount, actor=actor_of(user))
