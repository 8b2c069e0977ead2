"""State changes of bills and cases. Run them through `paycenter.transitions.advance` only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django_fsm import transition


class BillState(models.TextChoices):
    AWAITED = "awaited", _("not there yet")
    FETCHED = "fetched", _("waiting to be read")
    IMPORTING = "importing", _("being read")
    IMPORTED = "imported", _("imported")
    REFUSED = "refused", pgettext_lazy("bill", "refused")
    EMPTY = "empty", _("no money that day")


# What is known of the day is complete: its rows may be compared.
USABLE_BILL_STATES = (BillState.IMPORTED, BillState.EMPTY)


class BillStates:
    """awaited → fetched → importing → imported | refused; awaited → empty. A new file starts again."""

    @transition(field="state", source="*", target=BillState.FETCHED)
    def receive(self) -> None:
        """A file is there: downloaded, or uploaded by a person."""

    @transition(field="state", source=BillState.AWAITED, target=BillState.EMPTY)
    def find_empty(self) -> None:
        """The channel says that the day had no money."""

    @transition(field="state", source=[BillState.FETCHED, BillState.IMPORTING], target=BillState.IMPORTING)
    def start_reading(self) -> None:
        """Somebody reads it; again when whoever did before did not come back."""

    @transition(field="state", source=BillState.IMPORTING, target=BillState.IMPORTED)
    def finish_reading(self) -> None:
        """Every row is there and the whole was believed."""

    @transition(field="state", source=[BillState.AWAITED, BillState.IMPORTING], target=BillState.REFUSED)
    def refuse(self) -> None:
        """The file cannot be believed; none of its rows is kept."""

    @transition(field="state", source=[BillState.REFUSED, BillState.EMPTY, BillState.IMPORTED],
                target=BillState.AWAITED)  # fmt: skip
    def fetch_again(self) -> None:
        """A person asks the channel for it once more."""


class CaseState(models.TextChoices):
    CARRIED = "carried", _("carried over")
    OPEN = "open", _("open")
    CLOSING = "closing", _("waiting for a second person")
    SETTLED = "settled", _("settled by itself")
    CLOSED = "closed", pgettext_lazy("case", "closed")


# What still says that both sides differ, and what still needs a person.
LIVE_CASE_STATES = (CaseState.CARRIED, CaseState.OPEN, CaseState.CLOSING)
UNRESOLVED_CASE_STATES = (CaseState.OPEN, CaseState.CLOSING)


class CaseStates:
    """carried → open → settled | closed, large amounts by way of closing; a finished one may be reopened."""

    @transition(field="state", source=CaseState.CARRIED, target=CaseState.OPEN)
    def age(self) -> None:
        """No later day's bill explained it in time."""

    @transition(field="state", source=list(LIVE_CASE_STATES), target=CaseState.SETTLED)
    def settle(self) -> None:
        """Both sides agree now: a later bill or the channel's own answer did it."""

    @transition(field="state", source=CaseState.OPEN, target=CaseState.CLOSING)
    def ask_closing(self) -> None:
        """A person proposes to close a case above the amount that takes two."""

    @transition(field="state", source=CaseState.CLOSING, target=CaseState.OPEN)
    def refuse_closing(self) -> None:
        """The second person does not agree."""

    @transition(field="state", source=[CaseState.OPEN, CaseState.CLOSING], target=CaseState.CLOSED)
    def close(self) -> None:
        """Explained by a person, above an amount confirmed by another."""

    @transition(field="state", source=[CaseState.SETTLED, CaseState.CLOSED], target=CaseState.OPEN)
    def reopen(self) -> None:
        """It was not explained after all."""
