"""State changes of contracts. Run them through `paycenter.transitions.advance` only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django_fsm import transition


class ContractState(models.TextChoices):
    SIGNING = "signing", _("being signed")
    ACTIVE = "active", _("active")
    TERMINATED = "terminated", _("terminated")
    FAILED = "failed", _("failed")


class ContractStates:
    """signing → active → terminated; signing → failed, which a late signature may still make active."""

    @transition(field="state", source=[ContractState.SIGNING, ContractState.FAILED], target=ContractState.ACTIVE)
    def activate(self) -> None:
        """The channel says that the payer has signed."""

    @transition(field="state", source=[ContractState.SIGNING, ContractState.ACTIVE], target=ContractState.TERMINATED)
    def terminate(self) -> None:
        """The channel says that it has ended, by our request or the payer's. Never left again."""

    @transition(field="state", source=ContractState.SIGNING, target=ContractState.FAILED)
    def fail(self) -> None:
        """The channel would not prepare it, or nobody signed it in time."""
