"""What the policy says about money that arrived wrongly, applied once to each such payment."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from refunds.leaving import is_going_back
from refunds.models import LatePayment, OtherMoney, RefundPolicy
from refunds.policies import policy_for
from refunds.services import refund_request_by_policy
from trades.accepting import abnormal_accept_by_policy, lock_abnormal
from trades.models import AbnormalKind, AbnormalPayment
from trades.states import AbnormalState, TradeState

_ASK = "ask"
WAIT = timedelta(minutes=1)  # while the channel may be giving the money back itself


def abnormal_apply_policy(abnormal_id: int) -> None:
    """Revive the order, ask for a refund, or leave it to people, as the policy says. Idempotent.

    While the channel may be giving the money back itself, it is decided later, by what is left then.
    """
    abnormal = AbnormalPayment.objects.select_related("trade__app", "trade__merchant").get(pk=abnormal_id)
    if abnormal.state == AbnormalState.OPEN:
        wish = policy_wish(policy_for(abnormal.trade.app, abnormal.trade.merchant, abnormal.currency), abnormal)
        with transaction.atomic():
            lock_abnormal(abnormal_id)
            if wish != _ASK and is_going_back(abnormal.attempt_id):
                AbnormalPayment.objects.filter(pk=abnormal_id).update(next_policy_at=timezone.now() + WAIT)
                return
            if wish == LatePayment.REVIVE:
                abnormal_accept_by_policy(abnormal_id=abnormal_id)
            elif wish == OtherMoney.REFUND:
                refund_request_by_policy(abnormal=abnormal)
            AbnormalPayment.objects.filter(pk=abnormal_id).update(next_policy_at=None)
        return
    AbnormalPayment.objects.filter(pk=abnormal_id).update(next_policy_at=None)


def policy_wish(policy: RefundPolicy, abnormal: AbnormalPayment) -> str:
    """What the policy says is done with this payment: `ask` a person, `revive` the order, or `refund` it."""
    if abnormal.acceptance_asked_by_id is not None or abnormal.refunding_amount or abnormal.refunded_amount:
        return _ASK  # people are at it already
    if abnormal.kind in (AbnormalKind.WRONG_AMOUNT, AbnormalKind.WRONG_CURRENCY):
        return policy.wrong_payment
    # Late money for an order that other money has revived meanwhile is paid twice.
    if abnormal.kind == AbnormalKind.DUPLICATE or abnormal.trade.state == TradeState.PAID:
        return policy.duplicate_payment
    return policy.late_payment
