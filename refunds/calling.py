"""Talking to a channel about a refund: outside any transaction, recorded, with the refund's typed values."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.conf import settings
from structlog.contextvars import bound_contextvars

from channels.base import OrderRef, RefundOrder, RefundRef, RefundResult
from paycenter.money import Money
from refunds.models import Refund
from trades.calling import call_channel, order_ref
from trades.models import Attempt

_REASON_LENGTH = 80


def _payment(attempt: Attempt) -> OrderRef:
    """The payment as its channel has it: its total is what arrived, which may be another than was asked for."""
    ref = order_ref(attempt)
    if attempt.paid_amount is None:
        return ref
    return replace(ref, amount=Money(attempt.paid_amount, attempt.paid_currency))


def refund_ref(refund: Refund) -> RefundRef:
    """The refund as its channel knows it."""
    return RefundRef(
        order=_payment(refund.attempt), refund_no=refund.channel_request_no, amount=refund.money,
        sent_at=_sent_at(refund), channel_refund_no=refund.channel_refund_no, memo=refund.memo or {},
        amount_known=refund.amount_known,
    )  # fmt: skip


def refund_order(refund: Refund) -> RefundOrder:
    """The refund about to be sent; the same on every sending."""
    return RefundOrder(
        order=_payment(refund.attempt), refund_no=refund.channel_request_no, amount=refund.money,
        sent_at=_sent_at(refund), memo=refund.memo or {}, reason=refund.reason[:_REASON_LENGTH],
        notify_url=f"{settings.PUBLIC_BASE_URL}/notify/{refund.attempt.method}/refund/{refund.refund_no}",
        full=refund.whole,
    )  # fmt: skip


def _sent_at(refund: Refund) -> datetime:
    if refund.sent_at is None:
        raise ValueError(f"refund {refund.refund_no} was never about to be sent")
    return refund.sent_at


def call_refund(refund: Refund) -> RefundResult:
    """Send it. Raises NotSent or UnknownOutcome. Must not be called inside a transaction."""
    order = refund_order(refund)
    with bound_contextvars(refund_no=refund.refund_no):
        return call_channel(refund.attempt, lambda provider: provider.refund(order))


def ask_refund(refund: Refund) -> RefundResult:
    """Ask for its state. Raises NotSent or UnknownOutcome. Must not be called inside a transaction."""
    ref = refund_ref(refund)
    with bound_contextvars(refund_no=refund.refund_no):
        return call_channel(refund.attempt, lambda provider: provider.query_refund(ref))
