"""Keeping money that arrived wrongly (接受异常款): asked for by one person, done by another, or by policy.

Late money of the right amount revives its trade. Everything else stays what it is and is marked as kept.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.transitions import advance, lock, record_event, save_changed
from trades.locking import lock_attempt
from trades.models import AbnormalKind, AbnormalPayment, Attempt, Trade
from trades.states import AbnormalState, TradeState
from trades.telling import trade_advance


def lock_abnormal(abnormal_id: int) -> tuple[Trade, Attempt, AbnormalPayment]:
    """Lock an abnormal payment with its trade and attempt, in the global order. Must run inside `atomic`."""
    attempt_id = AbnormalPayment.objects.values_list("attempt_id", flat=True).get(pk=abnormal_id)
    trade, attempt = lock_attempt(attempt_id)
    abnormal = lock(AbnormalPayment, pk=abnormal_id)
    abnormal.trade, abnormal.attempt = trade, attempt
    return trade, attempt, abnormal


@transaction.atomic
def acceptance_ask(*, abnormal: AbnormalPayment, user: User, reason: str) -> AbnormalPayment:
    """Ask that the money be kept. Raises TransitionRefused unless all of it is there and unasked for."""
    _trade, _attempt, locked = lock_abnormal(abnormal.pk)
    _refuse_unless_whole(locked)
    if locked.acceptance_asked_by_id is not None:
        raise TransitionRefused(_("It was asked for already."), state=str(locked.state))
    locked.acceptance_asked_by, locked.acceptance_reason = user, reason[:300]
    save_changed(locked, ("acceptance_asked_by", "acceptance_reason"))
    record_event(locked, "abnormal.acceptance_asked", actor=_staff(user), reason=reason)
    return locked


@transaction.atomic
def acceptance_withdraw(*, abnormal: AbnormalPayment, user: User, reason: str) -> AbnormalPayment:
    """Take the request back, or turn it down: anybody who may ask or accept may do so."""
    _trade, _attempt, locked = lock_abnormal(abnormal.pk)
    if locked.acceptance_asked_by_id is None or locked.state != AbnormalState.OPEN:
        raise TransitionRefused(_("Nobody asked for it."), state=str(locked.state))
    locked.acceptance_asked_by, locked.acceptance_reason = None, ""
    save_changed(locked, ("acceptance_asked_by", "acceptance_reason"))
    record_event(locked, "abnormal.acceptance_withdrawn", actor=_staff(user), reason=reason)
    return locked


@transaction.atomic
def acceptance_confirm(*, abnormal: AbnormalPayment, user: User, reason: str) -> AbnormalPayment:
    """Keep the money that somebody else asked to keep. Raises TransitionRefused for the same person."""
    trade, attempt, locked = lock_abnormal(abnormal.pk)
    _refuse_unless_whole(locked)
    if locked.acceptance_asked_by_id is None:
        raise TransitionRefused(_("Nobody asked for it."), state=str(locked.state))
    if locked.acceptance_asked_by_id == user.pk:
        raise TransitionRefused(_("Somebody else has to confirm what you asked for."), state=str(locked.state))
    _accept(trade, attempt, locked, actor=_staff(user), reason=reason)
    return locked


@transaction.atomic
def abnormal_accept_by_policy(*, abnormal_id: int) -> bool:
    """Keep the money because the policy says so. False where it is not there as a whole any more."""
    trade, attempt, locked = lock_abnormal(abnormal_id)
    try:
        _refuse_unless_whole(locked)
    except TransitionRefused:
        return False
    _accept(trade, attempt, locked, actor="policy", reason="")
    return True


def _refuse_unless_whole(abnormal: AbnormalPayment) -> None:
    touched = abnormal.refunded_amount or abnormal.refunding_amount or abnormal.external_refunded
    if abnormal.state != AbnormalState.OPEN or touched:
        raise TransitionRefused(_("Only money that nobody gives back can be kept."), state=str(abnormal.state))


def _accept(trade: Trade, attempt: Attempt, abnormal: AbnormalPayment, *, actor: str, reason: str) -> None:
    abnormal.resolved_at, abnormal.next_policy_at = timezone.now(), None
    advance(abnormal, "accept", actor=actor, reason=reason, fields=("resolved_at", "next_policy_at"),
            event="abnormal.accepted")  # fmt: skip
    right = (attempt.paid_amount, attempt.paid_currency) == (trade.amount, trade.currency)
    if abnormal.kind == AbnormalKind.LATE and trade.state == TradeState.CLOSED and right:
        trade.settled_attempt, trade.paid_amount, trade.paid_at = attempt, trade.amount, attempt.paid_at
        trade_advance(trade, "accept_late_money", actor=actor, reason=reason,
                      fields=("settled_attempt", "paid_amount", "paid_at"))  # fmt: skip


def _staff(user: User) -> str:
    return f"staff:{user.get_username()}"
