"""State changes of trades, attempts and abnormal payments. Run them through `paycenter.transitions.advance` only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django_fsm import transition


class TradeState(models.TextChoices):
    WAITING = "waiting", _("waiting for payment")
    PAYING = "paying", _("paying")
    CONFIRMING = "confirming", _("confirming")
    PAID = "paid", _("paid")
    CLOSED = "closed", _("closed")
    FAILED = "failed", _("failed")


OPEN_TRADE_STATES = (TradeState.WAITING, TradeState.PAYING, TradeState.CONFIRMING)


class TradeStates:
    """waiting ↔ paying → confirming → paid. `paid` is never left."""

    @transition(field="state", source=[TradeState.WAITING, TradeState.PAYING, TradeState.CONFIRMING],
                target=TradeState.PAYING)  # fmt: skip
    def start_paying(self) -> None:
        """A new attempt is live."""

    @transition(field="state", source=[TradeState.PAYING, TradeState.CONFIRMING], target=TradeState.WAITING)
    def wait_again(self) -> None:
        """The last live attempt was refused; another may start."""

    @transition(field="state", source=TradeState.PAYING, target=TradeState.CONFIRMING)
    def confirm_return(self) -> None:
        """The payer's browser came back; notification or query will decide."""

    @transition(field="state", source=TradeState.CONFIRMING, target=TradeState.PAYING)
    def resume_paying(self) -> None:
        """The channel says explicitly: not paid."""

    @transition(field="state", source=[TradeState.WAITING, TradeState.PAYING, TradeState.CONFIRMING],
                target=TradeState.PAID)  # fmt: skip
    def pay(self) -> None:
        """Money of the right amount and currency arrived. Only `payment_confirm` calls this."""

    @transition(field="state", source=[TradeState.WAITING, TradeState.PAYING, TradeState.CONFIRMING],
                target=TradeState.CLOSED)  # fmt: skip
    def close(self) -> None:
        """Unpaid, by expiry or request, and nothing at any channel can pay it any more."""

    @transition(field="state", source=[TradeState.WAITING, TradeState.PAYING, TradeState.CONFIRMING],
                target=TradeState.FAILED)  # fmt: skip
    def fail(self) -> None:
        """No further attempt is possible (a refused deduction)."""

    @transition(field="state", source=TradeState.CLOSED, target=TradeState.PAID)
    def accept_late_money(self) -> None:
        """Late money of the right amount was accepted by a person or by policy."""


class AttemptState(models.TextChoices):
    CREATED = "created", _("created")
    SUBMITTED = "submitted", _("submitted")
    UNKNOWN = "unknown", _("unknown")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CLOSED = "closed", _("closed")


LIVE_ATTEMPT_STATES = (AttemptState.CREATED, AttemptState.SUBMITTED, AttemptState.UNKNOWN)


class AttemptStates:
    """created → submitted | unknown → succeeded | failed | closed; the last two may still succeed."""

    @transition(field="state", source=[AttemptState.CREATED, AttemptState.UNKNOWN], target=AttemptState.SUBMITTED)
    def submit(self) -> None:
        """The channel took it."""

    @transition(field="state", source=[AttemptState.CREATED, AttemptState.UNKNOWN], target=AttemptState.UNKNOWN)
    def lose_sight(self) -> None:
        """Whether the channel took it is not known: query, same number."""

    @transition(field="state", source=list(LIVE_ATTEMPT_STATES), target=AttemptState.FAILED)
    def fail(self) -> None:
        """The channel refused it in explicit words, or it was never sent."""

    @transition(field="state", source=list(LIVE_ATTEMPT_STATES), target=AttemptState.CLOSED)
    def close(self) -> None:
        """Closed at the channel, or explicitly unpaid after its own expiry."""

    @transition(field="state", source=[*LIVE_ATTEMPT_STATES, AttemptState.CLOSED, AttemptState.FAILED],
                target=AttemptState.SUCCEEDED)  # fmt: skip
    def succeed(self) -> None:
        """Money arrived through it. Only `payment_confirm` calls this."""


class AbnormalState(models.TextChoices):
    UNVERIFIED = "unverified", _("being verified")
    OPEN = "open", _("open")
    VOID = "void", _("void")
    REFUNDING = "refunding", _("refunding")
    REFUNDED = "refunded", _("refunded")
    ACCEPTED = "accepted", _("accepted")


class AbnormalStates:
    """unverified → open | void; open ↔ refunding → refunded; open → accepted."""

    @transition(field="state", source=AbnormalState.UNVERIFIED, target=AbnormalState.OPEN)
    def open(self) -> None:
        """The channel's own answer says the money is there."""

    @transition(field="state", source=AbnormalState.UNVERIFIED, target=AbnormalState.VOID)
    def void(self) -> None:
        """The channel's own answer says there is no such money."""

    @transition(field="state", source=AbnormalState.OPEN, target=AbnormalState.REFUNDING)
    def start_refunding(self) -> None:
        """Some of it is on its way back, or about to be."""

    @transition(field="state", source=AbnormalState.REFUNDING, target=AbnormalState.OPEN)
    def open_again(self) -> None:
        """Nothing is on its way back any more, and something is left."""

    @transition(field="state", source=[AbnormalState.OPEN, AbnormalState.REFUNDING], target=AbnormalState.REFUNDED)
    def finish_refunding(self) -> None:
        """All of it was given back."""

    @transition(field="state", source=AbnormalState.OPEN, target=AbnormalState.ACCEPTED)
    def accept(self) -> None:
        """It stays with the merchant: a second person or the policy said so."""
