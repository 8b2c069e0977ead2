"""Reading the outbox."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from notifications.models import Notification
from paycenter import compiled
from paycenter.times import iso, iso_sql

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
    found = _OF_TRADE.rows(trade_no=trade_no) if trade_no else []
    times = [message.delivered_at for message in found if message.delivered_at is not None]
    return {
        "notify_state": found[0].state if found else None,
        "notified_at": iso(max(times, default=None)),
    }


def was_told_sql(trade_no: str) -> str:
    """In SQL, whether there is any message about a trade; `trade_no` is its number."""
    table = compiled.table_of(Notification)
    return f"(SELECT count(*) FROM {table} WHERE trade_no = {trade_no} AND trade_no <> '') > 0"  # noqa: S608


def told_sql(trade_no: str) -> dict[str, str]:
    """The same as SQL by name (PostgreSQL), where `trade_no` is a column; to be read `in_the_centers_zone`."""
    of_trade = f"FROM notifications_notification n WHERE n.trade_no = {trade_no} AND n.trade_no <> ''"
    return {
        "notify_state": f"(SELECT n.state {of_trade} ORDER BY n.id DESC LIMIT 1)",
        "notified_at": iso_sql(f"(SELECT max(n.delivered_at) {of_trade})"),
    }


def notifications_of(trade_no: str) -> QuerySet[Notification]:
    """A trade's messages with their tries, oldest first, for its page."""
    return Notification.objects.filter(trade_no=trade_no).prefetch_related("deliveries").order_by("id")
