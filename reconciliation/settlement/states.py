"""State changes of settlement batches. Run them through `paycenter.transitions.advance` only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django_fsm import transition


class BatchState(models.TextChoices):
    EXPECTED = "expected", _("expected")
    BLOCKED = "blocked", _("blocked by open cases")
    SETTLED = "settled", _("settled")
    DIFFERENT = "different", _("differs")
    ACCEPTED = "accepted", pgettext_lazy("settlement", "accepted")


# Money of these has not all come as expected; somebody has to look at the latter.
UNSETTLED_BATCH_STATES = (BatchState.EXPECTED, BatchState.BLOCKED, BatchState.DIFFERENT)
DOUBTFUL_BATCH_STATES = (BatchState.BLOCKED, BatchState.DIFFERENT)


class BatchStates:
    """expected ↔ blocked → settled | different → accepted."""

    @transition(field="state", source=[BatchState.EXPECTED, BatchState.DIFFERENT], target=BatchState.BLOCKED)
    def block(self) -> None:
        """The trade reconciliation of one of its days is open."""

    @transition(field="state", source=[BatchState.BLOCKED, BatchState.DIFFERENT], target=BatchState.EXPECTED)
    def expect(self) -> None:
        """Its days are explained, or somebody goes on with a reason; the money is not there yet."""

    @transition(field="state", source=[BatchState.EXPECTED, BatchState.DIFFERENT], target=BatchState.SETTLED)
    def settle(self) -> None:
        """Received and fee make what was expected."""

    @transition(field="state", source=BatchState.EXPECTED, target=BatchState.DIFFERENT)
    def differ(self) -> None:
        """Money came, and it is not what was expected."""

    @transition(field="state", source=BatchState.DIFFERENT, target=BatchState.ACCEPTED)
    def accept(self) -> None:
        """Somebody explains the difference."""
