"""Deciding on refunds. Who asked never decides; two approvals are two people; a decision is over one amount.

Every function locks the refund's source first, so that two decisions at the same instant are one after the
other, and the later one sees what the earlier one did.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from paycenter.staff.tenancy import actor_of, is_foreign
from paycenter.transitions import record_event
from refunds import sums
from refunds.holding import GIVEN_BACK_ALREADY, no_longer_fits
from refunds.models import Approval, Decision, Refund, RefundPolicy, RefundType
from refunds.policies import APPROVE_PERMISSION as APPROVE_PERMISSION
from refunds.policies import approvals_needed, policy_for
from refunds.services import end_unsent, refund_clear, tell_approvers
from refunds.states import UNDECIDED_STATES, RefundState
from refunds.telling import refund_advance

RELEASE = "release"
# In which states each decision is possible.
STATES_OF_DECISION: dict[str, tuple[RefundState, ...]] = {
    Decision.APPROVE: (RefundState.PENDING_APPROVAL,),
    Decision.HOLD: (RefundState.PENDING_APPROVAL, RefundState.APPROVED),
    Decision.REJECT: UNDECIDED_STATES,
    RELEASE: (RefundState.ON_HOLD,),
}


@transaction.atomic
def refund_approve(*, refund: Refund, user: User, comment: str, amount: int | None = None) -> Refund:
    """Approve the refund, over `amount` where the approver saw one. The last approval needed makes it go.

    Raises TransitionRefused for who asked or approved already, for a role or tenant that may not, for a decided
    refund, when the amount is not the one that was seen, and where the payment cannot hold it any more.
    """
    source, locked = sums.lock_refund(refund.pk)
    policy = _decidable(locked, user, comment, Decision.APPROVE)
    if no_longer_fits(source):
        raise TransitionRefused(_(GIVEN_BACK_ALREADY), state=locked.state)
    if amount is not None and amount != locked.amount:
        raise TransitionRefused(_("The amount changed since you looked; please look again."), state=locked.state)
    _record(locked, user, Decision.APPROVE, comment)
    given = _valid_approvals(locked).count()
    if given >= locked.approvals_needed:
        refund_clear(locked, policy, actor=actor_of(user))
    else:
        locked.next_expiry_at = timezone.now() + timedelta(hours=policy.approval_hours)
        locked.save(update_fields=["next_expiry_at"])
        tell_approvers(locked)
    return locked


@transaction.atomic
def refund_hold(*, refund: Refund, user: User, comment: str) -> Refund:
    """Stop it for now, also when it is approved and unsent. Its sum stays reserved. Raises TransitionRefused."""
    _source, locked = sums.lock_refund(refund.pk)
    _decidable(locked, user, comment, Decision.HOLD)
    _record(locked, user, Decision.HOLD, comment, new_round=True)
    locked.held_because, locked.next_send_at, locked.next_expiry_at = comment[:300], None, None
    refund_advance(locked, "hold", actor=actor_of(user), reason=comment,
                   fields=("held_because", "next_send_at", "next_expiry_at", "round"))  # fmt: skip
    return locked


@transaction.atomic
def refund_release(*, refund: Refund, user: User, comment: str) -> Refund:
    """Let a held refund go on: it is decided afresh. Raises TransitionRefused."""
    _source, locked = sums.lock_refund(refund.pk)
    _decidable(locked, user, comment, RELEASE)
    locked.held_because, locked.approved_at = "", None
    locked.approvals_needed = max(locked.approvals_needed, 1)
    locked.round += 1  # who put it on hold may approve it now
    refund_advance(locked, "release", actor=actor_of(user), reason=comment,
                   fields=("held_because", "approved_at", "approvals_needed", "round"))  # fmt: skip
    tell_approvers(locked)
    return locked


@transaction.atomic
def refund_reject(*, refund: Refund, user: User, comment: str) -> Refund:
    """Say no; its sum is free again, and the app is told with the comment. Raises TransitionRefused."""
    source, locked = sums.lock_refund(refund.pk)
    _decidable(locked, user, comment, Decision.REJECT)
    _record(locked, user, Decision.REJECT, comment, new_round=True)
    end_unsent(source, locked, "reject", actor=actor_of(user), reason=comment)
    return locked


@transaction.atomic
def refund_amount_change(*, refund: Refund, amount: int, user: User, reason: str) -> Refund:
    """Give an unsent refund another amount (minor units). Its approvals are void, and who changed it cannot approve.

    Raises TransitionRefused, also where the new amount does not fit.
    """
    source, locked = sums.lock_refund(refund.pk)
    refuse_amount_change(locked, user)
    require_comment(locked, reason)
    if amount <= 0 or amount > source.refundable_amount + locked.amount or amount == locked.amount:
        raise TransitionRefused(_("This amount is not possible."), state=locked.state)
    sums.free(source, locked.amount, actor=actor_of(user))
    sums.reserve(source, amount, actor=actor_of(user))
    before, locked.amount, locked.changed_by = locked.amount, amount, user
    locked.type = RefundType.FULL if amount == sums.paid_of(source) else RefundType.PARTIAL
    policy = policy_for(locked.app, locked.merchant, locked.currency)
    locked.approvals_needed = approvals_needed(
        policy, amount, locked.currency, now=timezone.now(), by_policy=False, people=True
    )
    record_event(locked, "refund.amount_changed", actor=actor_of(user), reason=reason,
                 detail={"before": before, "after": amount})  # fmt: skip
    decide_afresh(locked, actor_of(user), reason, ("amount", "changed_by", "type", "approvals_needed"))
    return locked


def approvals_expire(*, refund_id: int) -> None:
    """Approvals that are too old count no more: what is not sent yet is decided afresh."""
    with transaction.atomic():
        _source, locked = sums.lock_refund(refund_id)
        until = _approvals_live_until(locked)
        if until is None or until > timezone.now():
            locked.next_expiry_at = until
            locked.save(update_fields=["next_expiry_at"])
            return
        record_event(locked, "refund.approvals_expired", actor="system:expiry")
        decide_afresh(locked, "system:expiry", gettext_noop("its approvals expired"), ())


def _approvals_live_until(refund: Refund) -> datetime | None:
    """None where nothing can grow old: the refund is under way or ended, or the policy itself approved it."""
    if refund.state not in (RefundState.PENDING_APPROVAL, RefundState.APPROVED) or refund.approvals_needed == 0:
        return None
    oldest = _valid_approvals(refund).order_by("decided_at").values_list("decided_at", flat=True).first()
    since = refund.approved_at or oldest
    if since is None:
        return None
    return since + timedelta(hours=policy_for(refund.app, refund.merchant, refund.currency).approval_hours)


def decide_afresh(refund: Refund, actor: str, reason: str, fields: tuple[str, ...]) -> None:
    """Void a locked refund's approvals and tell who may approve; saves `fields` as well."""
    refund.round += 1
    refund.approved_at = refund.next_send_at = refund.next_expiry_at = None
    refund.held_because = ""
    cleared = ("round", "approved_at", "next_send_at", "next_expiry_at", "held_because")
    if refund.state == RefundState.PENDING_APPROVAL:
        refund.version += 1
        refund.save(update_fields=[*cleared, *fields, "version"])
    else:
        refund_advance(refund, "decide_again", actor=actor, reason=reason, fields=(*cleared, *fields))
    tell_approvers(refund)


def approvals_given(refund: Refund) -> int:
    """How many people have approved the present amount in the present round."""
    return _valid_approvals(refund).count()


def why_not(refund: Refund, user: User, decision: str = Decision.APPROVE) -> str:
    """Why this person cannot decide so on this refund now, in words; "" when they can."""
    try:
        refuse_decision(refund, user, decision)
    except TransitionRefused as exc:
        return str(exc)
    return ""


def waits_for(refund: Refund, user: User, policy: RefundPolicy, approvers: Collection[int]) -> bool:
    """Whether the refund waits for this person. Policy and ids of who approved were read before, for a whole list."""
    try:
        _refuse_unless(refund, STATES_OF_DECISION[Decision.APPROVE])
        _require(user, refund, policy)
    except TransitionRefused:
        return False
    return user.pk not in approvers


def refuse_decision(refund: Refund, user: User, decision: str) -> RefundPolicy:
    """Raises TransitionRefused unless this person may decide so (a Decision or RELEASE) now; the policy that rules."""
    _refuse_unless(refund, STATES_OF_DECISION[decision])
    policy = policy_for(refund.app, refund.merchant, refund.currency)
    _require(user, refund, policy)
    if decision == Decision.REJECT and refund.sent_at is not None:
        raise TransitionRefused(_("It was sent before; only its outcome can end it."), state=str(refund.state))
    if decision == Decision.APPROVE and _set_what_stands(refund, user):
        raise TransitionRefused(_("Somebody else has to decide on what you asked for."), state=str(refund.state))
    if decision == Decision.APPROVE and _valid_approvals(refund).filter(approver=user).exists():
        raise TransitionRefused(_("You have approved it already; somebody else has to."), state=str(refund.state))
    return policy


def refuse_amount_change(refund: Refund, user: User) -> None:
    """Raises TransitionRefused unless this person may give the refund another amount now."""
    _refuse_unless(refund, (*UNDECIDED_STATES, RefundState.APPROVED))
    if is_foreign(user, refund) or not user.has_perm("refunds.change_refund"):
        raise TransitionRefused(_("Your role may not change this refund."), state=str(refund.state))
    if refund.sent_at is not None:
        raise TransitionRefused(_("It was sent already."), state=str(refund.state))


def _set_what_stands(refund: Refund, user: User) -> bool:
    """Whether the present amount or way of payment is this person's choice; `changed_by` is who changed either last."""
    if refund.changed_by_id is None:
        return False
    events = Event.objects.of(refund).order_by("-id")
    last = [events.filter(type=type_).first() for type_ in ("refund.amount_changed", "refund.route_changed")]
    return any(event is not None and event.actor == actor_of(user) for event in last)


def _valid_approvals(refund: Refund) -> QuerySet[Approval]:
    """Of the present round, over the present amount, by people who are not shut out since."""
    return Approval.objects.filter(
        refund=refund, round=refund.round, decision=Decision.APPROVE, amount=refund.amount, approver__is_active=True
    )


def _decidable(refund: Refund, user: User, comment: str, decision: str) -> RefundPolicy:
    require_comment(refund, comment)
    return refuse_decision(refund, user, decision)


def _refuse_unless(refund: Refund, states: tuple[RefundState, ...]) -> None:
    if refund.state not in states:
        raise TransitionRefused(
            _("This is not possible in the state “%(state)s”.") % {"state": refund.get_state_display()},
            state=str(refund.state),
        )


def require_comment(refund: Refund, comment: str) -> None:
    """Raises TransitionRefused where nobody says why."""
    if not comment.strip():
        raise TransitionRefused(_("Please give a comment."), state=str(refund.state))


def _require(user: User, refund: Refund, policy: RefundPolicy) -> None:
    """Raises TransitionRefused unless this person may decide on this refund."""
    allowed_role = user.is_superuser or user.role in policy.approver_roles
    if is_foreign(user, refund) or not allowed_role or not user.has_perm(APPROVE_PERMISSION):
        raise TransitionRefused(_("Your role may not decide on this refund."), state=str(refund.state))
    if user.pk in (refund.requested_by_id, refund.changed_by_id):
        raise TransitionRefused(_("Somebody else has to decide on what you asked for."), state=str(refund.state))


def _record(refund: Refund, user: User, decision: Decision, comment: str, *, new_round: bool = False) -> None:
    """Write the decision. One that undoes earlier approvals begins a new round, in which they do not count."""
    if new_round:
        refund.round += 1
    Approval.objects.create(
        refund=refund, round=refund.round, approver=user, decision=decision, amount=refund.amount,
        comment=comment.strip()[:300], decided_at=timezone.now(),
    )  # fmt: skip
    record_event(refund, f"refund.decision_{decision}", actor=actor_of(user), reason=comment,
                 detail={"amount": refund.amount, "round": refund.round})  # fmt: skip
