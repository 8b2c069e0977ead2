"""What trades hear about refunds is passed on to the part of the center that keeps them.

Refunds know trades, never the other way round; so the part that keeps them says here who listens.
"""

from __future__ import annotations

from typing import Protocol

from django.utils.translation import gettext_lazy as _

from channels.base import Notice
from paycenter.money import Money
from trades.models import Attempt

GOING_BACK = _("The channel may be giving this money back already; its answer has to be known first.")


class RefundSide(Protocol):
    """The words are verified. What a channel said is passed on outside any transaction."""

    def notice_received(self, attempt: Attempt, notice: Notice, actor: str) -> None:
        """A channel's genuine notice about a refund of this attempt's money."""

    def hint_received(self, attempt: Attempt) -> None:
        """The channel hinted that something about this payment changed; it may be a refund."""

    def sum_heard(self, attempt: Attempt, refunded: Money, actor: str) -> None:
        """Asked about the payment, the channel says how much of it was given back in all."""

    def early_sql(self, attempt: str) -> str:
        """In SQL, whether a refund of an attempt's money was told of before its payment; `attempt` is its key."""

    def payment_booked(self, attempt: Attempt) -> None:
        """This attempt's money, of which `early_sql` holds, is booked in the transaction under way, which holds the
        locks of trade and attempt."""

    def is_going_back(self, attempt_id: int) -> bool:
        """Whether the channel may be giving this attempt's money back although no sum of it says so yet."""


_side: RefundSide | None = None


def listen(side: RefundSide) -> None:
    """Register who keeps refunds; called once, when the program starts."""
    global _side
    _side = side


def side() -> RefundSide:
    """Who keeps refunds. Raises LookupError where no such part is installed."""
    if _side is None:
        raise LookupError("nobody keeps refunds: is the app `refunds` installed?")
    return _side
