"""Reading the outbox."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from notifications.models import Notification


def notify_state_of(trade_no: str) -> dict[str, Any]:
    """`notify_state` and `notified_at` of a trade as its query answers them.

    The state is that of the newest message about it (null: nothing was to be told), the time that of
    the app's last acknowledgement.
    """
    rows = Notification.objects.filter(trade_no=trade_no).order_by("-id").values_list("state", "delivered_at")
    found = list(rows) if trade_no else []
    times = [at for _state, at in found if at is not None]
    return {
        "notify_state": found[0][0] if found else None,
        "notified_at": timezone.localtime(max(times)).isoformat(timespec="milliseconds") if times else None,
    }


def notifications_of(trade_no: str) -> QuerySet[Notification]:
    """A trade's messages with their tries, oldest first, for its page."""
    return Notification.objects.filter(trade_no=trade_no).prefetch_related("deliveries").order_by("id")
