"""State changes of refunds. Run them through `paycenter.transitions.advance` only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django_fsm import transition


class RefundState(models.TextChoices):
    PENDING_APPROVAL = "pending_approval", _("waiting for approval")
    ON_HOLD = "on_hold", _("on hold")
    APPROVED = "approved", _("approved")
    PROCESSING = "processing", _("being refunded")
    SUCCEEDED = "succeeded", _("refunded")
    FAILED = "failed", _("refund failed")
    REJECTED = "rejected", _("rejected")
    CANCELLED = "cancelled", _("cancelled")


# Their sum stands in the source's `refunding_amount`.
RESERVING_STATES = (RefundState.PENDING_APPROVAL, RefundState.ON_HOLD, RefundState.APPROVED, RefundState.PROCESSING)
UNDECIDED_STATES = (RefundState.PENDING_APPROVAL, RefundState.ON_HOLD)


class RefundStates:
    """pending_approval ↔ on_hold → approved → processing → succeeded | failed; undecided → rejected | cancelled."""

    @transition(field="state", source=RefundState.PENDING_APPROVAL, target=RefundState.APPROVED)
    def approve(self) -> None:
        """As many people as the policy asks for said yes to this amount."""

    @transition(field="state", source=[RefundState.PENDING_APPROVAL, RefundState.APPROVED], target=RefundState.ON_HOLD)
    def hold(self) -> None:
        """Somebody, or a difference with the channel, stops it for now."""

    @transition(field="state", source=RefundState.ON_HOLD, target=RefundState.PENDING_APPROVAL)
    def release(self) -> None:
        """It goes on, and is decided afresh."""

    @transition(field="state", source=[RefundState.APPROVED, RefundState.ON_HOLD], target=RefundState.PENDING_APPROVAL)
    def decide_again(self) -> None:
        """Its approvals are void: the amount changed, or they expired."""

    @transition(field="state", source=list(UNDECIDED_STATES), target=RefundState.REJECTED)
    def reject(self) -> None:
        """Somebody who may approve said no."""

    @transition(field="state", source=list(UNDECIDED_STATES), target=RefundState.CANCELLED)
    def cancel(self) -> None:
        """Who asked for it took it back."""

    @transition(field="state", source=RefundState.APPROVED, target=RefundState.PROCESSING)
    def start(self) -> None:
        """From now on money may move: it is being sent, or paid out by hand."""

    @transition(field="state", source=RefundState.PROCESSING, target=RefundState.APPROVED)
    def pay_out_again(self) -> None:
        """The second person did not find the payout by hand that the first one entered."""

    @transition(field="state", source=RefundState.PROCESSING, target=RefundState.FAILED)
    def fail(self) -> None:
        """The channel says explicitly that no money moved."""

    @transition(field="state", source=[RefundState.PENDING_APPROVAL, RefundState.ON_HOLD, RefundState.APPROVED],
                target=RefundState.FAILED)  # fmt: skip
    def give_up(self) -> None:
        """It had failed at the channel, was to be sent again, and will not be."""

    @transition(field="state", source=RefundState.FAILED, target=RefundState.APPROVED)
    def send_again(self) -> None:
        """Staff have it sent once more under its number, or paid out by hand."""

    @transition(field="state", source=[s for s in RefundState if s != RefundState.SUCCEEDED],
                target=RefundState.SUCCEEDED)  # fmt: skip
    def succeed(self) -> None:
        """The money went back, whatever was decided since it was sent. Only `refund_confirm` calls this."""
