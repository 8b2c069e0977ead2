"""What trades hear about refunds is passed on to the part of the center that keeps them.

Refunds know trades, never the other way round; so the part that keeps them says here who listens.
"""

from __future__ import annotations

from typing import Protocol

from channels.base import Notice
from paycenter.money import Money
from trades.models import Attempt


class RefundSide(Protocol):
    """Called outside any transaction, with verified words only."""

    def notice_received(self, attempt: Attempt, notice: Notice, actor: str) -> None:
        """A channel's genuine notice about a refund of this attempt's money."""

    def hint_received(self, attempt: Attempt) -> None:
        """The channel hinted that something about this payment changed; it may be a refund."""

    def sum_heard(self, attempt: Attempt, refunded: Money, actor: str) -> None:
        """Asked about the payment, the channel says how much of it was given back in all."""


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
