"""Money that the channel may be giving back of its own accord while no sum says so yet.

That is a refund told of before its payment was booked, or one that began elsewhere and is asked about. Whoever
decides on the money waits for it, or the payer gets it twice.
"""

from __future__ import annotations

from refunds.models import EarlyRefund, Refund, RefundSource
from refunds.states import RefundState
from refunds.sums import Source, paid_of
from trades.models import Trade


def going_back(source: Source) -> int:
    """How much of it may be on its way back, at most, in minor units. To decide by it, lock the source first."""
    attempt_id = source.settled_attempt_id if isinstance(source, Trade) else source.attempt_id
    if attempt_id is None:
        return 0
    return sum(paid_of(source) if amount is None else amount for amount in _amounts(attempt_id))


def is_going_back(attempt_id: int) -> bool:
    """Whether any of this attempt's money may be."""
    return bool(_amounts(attempt_id))


def _amounts(attempt_id: int) -> list[int | None]:
    """Minor units; None where the channel did not say."""
    early = EarlyRefund.objects.filter(attempt_id=attempt_id).values_list("amount", flat=True)
    elsewhere = Refund.objects.filter(
        attempt_id=attempt_id, source=RefundSource.EXTERNAL, state=RefundState.PROCESSING
    ).values_list("amount", flat=True)
    return [*early, *elsewhere]
