"""Keeping money that arrived wrongly (接受异常款): asked for by one person, done by another, or by policy.

Late money of the right amount revives its trade. Everything else stays what it is and is marked as kept.
Who may is a permission; whoever asked never confirms, whatever their role.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from merchants.changes import ASKER_GONE
from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.staff.tenancy import actor_of, is_foreign
from paycenter.transitions import advance, lock, record_event, save_changed
from trades import refund_port
from trades.locking import lock_attempt
from trades.models import AbnormalKind, AbnormalPayment, Attempt, Trade
from trades.states import AbnormalState, TradeState
from trades.telling import trade_advance

ACCEPT_PERMISSION = "trades.accept_abnormalpayment"


def lock_abnormal(abnormal_id: int) -> tuple[Trade, Attempt, AbnormalPayment]:
    """Lock an abnormal payment with its trade and attempt, in the global order. Must run inside `atomic`."""
    attempt_id = AbnormalPayment.objects.values_list("attempt_id", flat=True).get(pk=abnormal_id)
    trade, attempt = lock_attempt(attempt_id)
    abnormal = lock(AbnormalPayment, pk=abnormal_id)
    abnormal.trade, abnormal.attempt = trade, attempt
    return trade, attempt, abnormal


@transaction.atomic
def acceptance_ask(*, abnormal: AbnormalPayment, user: User, reason: str) -> AbnormalPayment:
    """Ask that the money be kept. Raises TransitionRefused unless all of it is there and unasked for, and for
    whose role may not."""
    _trade, _attempt, locked = lock_abnormal(abnormal.pk)
    _refuse_if(why_not_ask(locked, user), locked)
    locked.acceptance_asked_by, locked.acceptance_reason = user, reason[:300]
    save_changed(locked, ("acceptance_asked_by", "acceptance_reason"))
    record_event(locked, "abnormal.acceptance_asked", actor=actor_of(user), reason=reason)
    return locked


@transaction.atomic
def acceptance_withdraw(*, abnormal: AbnormalPayment, user: User, reason: str) -> AbnormalPayment:
    """Take the request back, or turn it down: anybody who may ask or accept may do so. Raises TransitionRefused."""
    _trade, _attempt, locked = lock_abnormal(abnormal.pk)
    _refuse_if(why_not_withdraw(locked, user), locked)
    locked.acceptance_asked_by, locked.acceptance_reason = None, ""
    save_changed(locked, ("acceptance_asked_by", "acceptance_reason"))
    record_event(locked, "abnormal.acceptance_withdrawn", actor=actor_of(user), reason=reason)
    return locked


@transaction.atomic
def acceptance_confirm(*, abnormal: AbnormalPayment, user: User, reason: str) -> AbnormalPayment:
    """Keep the money that somebody else asked to keep. Raises TransitionRefused for the same person."""
    trade, attempt, locked = lock_abnormal(abnormal.pk)
    _refuse_if(why_not_confirm(locked, user), locked)
    _accept(trade, attempt, locked, actor=actor_of(user), reason=reason)
    return locked


@transaction.atomic
def abnormal_accept_by_policy(*, abnormal_id: int) -> bool:
    """Let late money revive its trade because the policy says so.

    False where it does not, or is not there as a whole any more: the policy keeps no money that pays nothing.
    """
    trade, attempt, locked = lock_abnormal(abnormal_id)
    if _why_not_whole(locked) or not revives(locked):
        return False
    _accept(trade, attempt, locked, actor="policy", reason="")
    return True


def revives(abnormal: AbnormalPayment) -> bool:
    """Whether keeping this money pays its closed trade: late, and of the right amount and currency."""
    trade, attempt = abnormal.trade, abnormal.attempt
    right = (attempt.paid_amount, attempt.paid_currency) == (trade.amount, trade.currency)
    return bool(abnormal.kind == AbnormalKind.LATE and trade.state == TradeState.CLOSED and right)


def why_not_ask(abnormal: AbnormalPayment, user: User) -> str:
    """Why this person cannot ask now that the money be kept, in words; "" when they can."""
    reason = _why_not_allowed(abnormal, user) or _why_not_whole(abnormal)
    if not reason and abnormal.acceptance_asked_by_id is not None:
        return _("It was asked for already.")
    return reason


def why_not_confirm(abnormal: AbnormalPayment, user: User) -> str:
    """Why this person cannot confirm now that the money is kept, in words; "" when they can."""
    reason = _why_not_allowed(abnormal, user) or _why_not_whole(abnormal)
    if reason:
        return reason
    asker = abnormal.acceptance_asked_by
    if asker is None:
        return _("Nobody asked for it.")
    if asker.pk == user.pk:
        return _("Somebody else has to confirm what you asked for.")
    return _(ASKER_GONE) if _why_not_allowed(abnormal, asker) else ""


def why_not_withdraw(abnormal: AbnormalPayment, user: User) -> str:
    """Why this person cannot take the request back now, in words; "" when they can."""
    reason = _why_not_allowed(abnormal, user)
    if not reason and (abnormal.acceptance_asked_by_id is None or abnormal.state != AbnormalState.OPEN):
        return _("Nobody asked for it.")
    return reason


def _why_not_allowed(abnormal: AbnormalPayment, user: User) -> str:
    if is_foreign(user, abnormal.trade) or not user.has_perm(ACCEPT_PERMISSION):
        return _("Your role may not decide that money is kept.")
    return ""


def _why_not_whole(abnormal: AbnormalPayment) -> str:
    if abnormal.state == AbnormalState.UNVERIFIED:
        return _("The channel itself has not confirmed this money yet.")
    touched = abnormal.refunded_amount or abnormal.refunding_amount or abnormal.external_refunded
    if abnormal.state != AbnormalState.OPEN or touched:
        return _("Only money that nobody gives back can be kept.")
    if refund_port.side().is_going_back(abnormal.attempt_id):
        return str(refund_port.GOING_BACK)
    return ""


def _refuse_if(reason: str, abnormal: AbnormalPayment) -> None:
    if reason:
        raise TransitionRefused(reason, state=str(abnormal.state))


def _accept(trade: Trade, attempt: Attempt, abnormal: AbnormalPayment, *, actor: str, reason: str) -> None:
    reviving = revives(abnormal)
    abnormal.resolved_at, abnormal.next_policy_at = timezone.now(), None
    advance(abnormal, "accept", actor=actor, reason=reason, fields=("resolved_at", "next_policy_at"),
            event="abnormal.accepted")  # fmt: skip
    if reviving:
        trade.settled_attempt, trade.paid_amount, trade.paid_at = attempt, trade.amount, attempt.paid_at
        trade_advance(trade, "accept_late_money", actor=actor, reason=reason,
                      fields=("settled_attempt", "paid_amount", "paid_at"))  # fmt: skip
