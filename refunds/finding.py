"""Finding refunds by any number people have in hand. Exact numbers only: each way is one index look-up."""

from __future__ import annotations

from refunds.models import Refund
from trades.finding import trade_ids

LIMIT = 500
_NUMBERS = ("refund_no", "app_refund_no", "channel_request_no", "channel_refund_no")


def refund_ids(term: str) -> set[int]:
    """Ids of the refunds that one of their numbers, or one of their trade's (see `trades.finding`), names.

    At most LIMIT of each kind, the newest.
    """
    found = _by_own_number(term.strip())
    trades = trade_ids(term)
    if trades:
        found |= set(Refund.objects.filter(trade_id__in=trades).order_by("-id").values_list("pk", flat=True)[:LIMIT])
    return found


def trade_nos_of_refund(term: str) -> set[str]:
    """Trade numbers of the refunds that this number of a refund names."""
    ids = _by_own_number(term.strip())
    return set(Refund.objects.filter(pk__in=ids).values_list("trade__trade_no", flat=True)) if ids else set()


def _by_own_number(term: str) -> set[int]:
    if not term.isprintable() or not 0 < len(term) <= 64:
        return set()
    return {
        pk for name in _NUMBERS
        for pk in Refund.objects.filter(**{name: term}).order_by("-id").values_list("pk", flat=True)[:LIMIT]
    }  # fmt: skip
