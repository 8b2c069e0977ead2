"""Our side of a bill: payments, then refunds, each in the form that the matching shares."""

from reconciliation.sides.base import Side, Word
from reconciliation.sides.payments import Payments
from reconciliation.sides.refunds import Refunds

__all__ = ["Side", "Word", "sides"]


def sides() -> tuple[Side, ...]:
    """What is compared, in this order."""
    return (Payments(), Refunds())
