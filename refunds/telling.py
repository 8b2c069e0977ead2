"""Events and notifications of refunds: what the timeline, the cursor and the app get to know."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from notifications.services import notification_create
from paycenter.transitions import advance, record_event
from refunds.models import Refund
from refunds.selectors import refund_data
from refunds.states import RefundState

# States whose beginning the app is told of; all others are recorded only.
_TOLD = {
    RefundState.SUCCEEDED: "refund.succeeded", RefundState.FAILED: "refund.failed",
    RefundState.REJECTED: "refund.rejected", RefundState.CANCELLED: "refund.cancelled",
}  # fmt: skip
_EVENT = {
    "approve": "refund.approved", "hold": "refund.on_hold", "release": "refund.released",
    "decide_again": "refund.undecided", "reject": "refund.rejected", "cancel": "refund.cancelled",
    "start": "refund.processing", "pay_out_again": "refund.payout_refused", "fail": "refund.failed",
    "send_again": "refund.sent_again", "give_up": "refund.failed", "succeed": "refund.succeeded",
}  # fmt: skip


def refund_advance(
    refund: Refund, transition: str, *, actor: str, reason: str = "", fields: tuple[str, ...] = (),
    detail: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Run a transition on a locked refund; write its public event and, where apps are told, the notification.

    Raises TransitionRefused.
    """
    event = advance(
        refund, transition, actor=actor, reason=reason, fields=fields, event=_EVENT[transition], public=True,
        data_of=refund_data, detail=detail or {},
    )  # fmt: skip
    told = _TOLD.get(RefundState(str(refund.state)))
    if told is not None:
        notification_create(
            app=refund.app, type=told, data=event.data or {}, url=address_of(refund), now=timezone.now(),
            trade_no=refund.trade.trade_no, refund_no=refund.refund_no,
        )  # fmt: skip


def refund_recorded(refund: Refund, *, actor: str, reason: str = "") -> None:
    """Write the event of a new refund."""
    record_event(refund, "refund.requested", actor=actor, reason=reason, to_state=str(refund.state), public=True,
                 data=refund_data(refund), detail={"amount": refund.amount, "currency": refund.currency})  # fmt: skip


def address_of(refund: Refund) -> str:
    """Where the app is told: the call's address, else the trade's, else the app's default."""
    return refund.notify_url or refund.trade.notify_url or refund.app.notify_url
