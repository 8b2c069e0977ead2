"""State changes of merchants and payment accounts. Run them through `paycenter.transitions.advance` only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django_fsm import transition


class MerchantState(models.TextChoices):
    DRAFT = "draft", _("draft")
    REVIEW = "review", _("in review")
    ACTIVE = "active", _("active")
    SUSPENDED = "suspended", _("suspended")
    CLOSED = "closed", _("closed")


# Not in service yet: what an application decides about as a whole.
OPEN_STATES = (MerchantState.DRAFT, MerchantState.REVIEW)
# In these states one person alone adds or changes nothing that money runs through.
GUARDED_STATES = (MerchantState.ACTIVE, MerchantState.SUSPENDED)
# Transitions that take a company or an account into service.
OPENING = ("activate", "resume")


class OnboardingStates:
    """draft → review → active ↔ suspended → closed; a review may send it back to draft."""

    @transition(field="state", source=MerchantState.DRAFT, target=MerchantState.REVIEW)
    def submit(self) -> None:
        """Ready to be looked at by an operator."""

    @transition(field="state", source=MerchantState.REVIEW, target=MerchantState.DRAFT)
    def send_back(self) -> None:
        """Something has to be mended first."""

    @transition(field="state", source=MerchantState.REVIEW, target=MerchantState.ACTIVE)
    def activate(self) -> None:
        """May take payments from now on."""

    @transition(field="state", source=MerchantState.ACTIVE, target=MerchantState.SUSPENDED)
    def suspend(self) -> None:
        """No new payments; queries, refunds, notifications and bills go on."""

    @transition(field="state", source=MerchantState.SUSPENDED, target=MerchantState.ACTIVE)
    def resume(self) -> None:
        """Payments again."""

    @transition(
        field="state",
        source=[MerchantState.DRAFT, MerchantState.REVIEW, MerchantState.ACTIVE, MerchantState.SUSPENDED],
        target=MerchantState.CLOSED,
    )
    def close(self) -> None:
        """For good."""


class ChangeState(models.TextChoices):
    PENDING = "pending", _("to be confirmed")
    CONFIRMED = "confirmed", _("confirmed")
    REJECTED = "rejected", _("rejected")
    WITHDRAWN = "withdrawn", _("withdrawn")
    EXPIRED = "expired", _("expired")


class ChangeStates:
    """pending → confirmed | rejected | withdrawn | expired."""

    @transition(field="state", source=ChangeState.PENDING, target=ChangeState.CONFIRMED)
    def confirm(self) -> None:
        """A second person agreed; the change is in effect."""

    @transition(field="state", source=ChangeState.PENDING, target=ChangeState.REJECTED)
    def reject(self) -> None:
        """A second person refused."""

    @transition(field="state", source=ChangeState.PENDING, target=ChangeState.WITHDRAWN)
    def withdraw(self) -> None:
        """Who asked for it changed their mind."""

    @transition(field="state", source=ChangeState.PENDING, target=ChangeState.EXPIRED)
    def expire(self) -> None:
        """Nobody decided in time; it has to be asked for again."""
