"""Reading the outbox."""

from __future__ import annotations

from typing import Any

from notifications.models import Notification
from paycenter.times import iso


def notify_state_of(trade_no: str) -> dict[str, Any]:
    """How far telling the app about a trade has come, by its newest notification about the trade itself.

    `notify_state` is `none`, `pending`, `delivered` or `given_up`; `notified_at` the acknowledgement.
    """
    newest = (
        Notification.objects.filter(trade_no=trade_no, refund_no="")
        .order_by("-id")
        .values_list("state", "delivered_at")
        .first()
    )
    state, delivered_at = newest or ("none", None)
    return {"notify_state": str(state), "notified_at": iso(delivered_at)}
