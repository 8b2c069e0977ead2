"""Finding payments by what people have in hand. Exact numbers only: each way is one index look-up."""

from __future__ import annotations

import re

from django.db.models import Q

from trades.models import Attempt, Trade

LIMIT = 500
_PHONE_TAIL = re.compile(r"\d{4}")


def trade_ids(term: str) -> set[int]:
    """Ids of the trades that any of their numbers, the business number or the phone's last four digits name.

    Numbers: the app's order number, ours of the trade or an attempt, the channel's, the one sent to the
    channel. At most LIMIT of each kind, the newest.
    """
    term = term.strip()
    if not term.isprintable() or not 0 < len(term) <= 64:
        return set()
    own = [Q(trade_no=term), Q(app_order_no=term), Q(business_no=term) & ~Q(business_no="")]
    if _PHONE_TAIL.fullmatch(term):
        own.append(Q(phone_tail=term) & ~Q(phone_tail=""))
    # An abnormal payment's channel number is its attempt's, too.
    tried = [Q(attempt_no=term), Q(channel_order_no=term), Q(channel_trade_no=term)]
    found = {pk for way in own for pk in _newest(Trade.objects.filter(way).values_list("pk", flat=True))}
    return found | {
        pk for way in tried for pk in _newest(Attempt.objects.filter(way).values_list("trade_id", flat=True))
    }


def _newest(ids: object) -> list[int]:
    return list(ids.order_by("-id")[:LIMIT])  # type: ignore[attr-defined]


def trade_nos_of(term: str) -> set[str]:
    """Trade numbers of the payments a number names."""
    ids = trade_ids(term)
    return set(Trade.objects.filter(pk__in=ids).values_list("trade_no", flat=True)) if ids else set()
