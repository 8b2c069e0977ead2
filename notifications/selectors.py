"""Reading the outbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from notifications.models import Notification
from paycenter import compiled

_OF_TRADE = compiled.Select(
    lambda trade_no: Notification.objects.only("state", "delivered_at").filter(trade_no=trade_no)
    .exclude(trade_no="").order_by("-id"),
    trade_no=str,
)  # fmt: skip


def notify_state_of(trade_no: str) -> dict[str, Any]:
    """`notify_state` and `notified_at` of a trade as its query answers them.

    The state is that of the newest message about it (null: nothing was to be told), the time that of
    the app's last acknowledgement.
    """
    return _told(_OF_TRADE.rows(trade_no=trade_no) if trade_no else [])


def notify_states_of(trade_nos: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The same of many trades in one query, by trade number; those of which nothing was told are not in it."""
    found: dict[str, list[Notification]] = {}
    rows = Notification.objects.only("state", "delivered_at", "trade_no").filter(trade_no__in=list(trade_nos))
    for message in rows.exclude(trade_no="").order_by("-id"):
        found.setdefault(message.trade_no, []).append(message)
    return {trade_no: _told(messages) for trade_no, messages in found.items()}


def _told(found: Sequence[Notification]) -> dict[str, Any]:
    """Of a trade's messages, newest first."""
    times = [message.delivered_at for message in found if message.delivered_at is not None]
    return {
        "notify_state": found[0].state if found else None,
        "notified_at": timezone.localtime(max(times)).isoformat(timespec="milliseconds") if times else None,
    }


def notifications_of(trade_no: str) -> QuerySet[Notification]:
    """A trade's messages with their tries, oldest first, for its page."""
    return Notification.objects.filter(trade_no=trade_no).prefetch_related("deliveries").order_by("id")
