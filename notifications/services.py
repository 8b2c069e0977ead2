"""Writing the outbox: what an app is told is frozen together with the change it tells of."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone

from merchants.models import App
from notifications.models import Notification
from paycenter import compiled
from paycenter.transitions import lock, record_event
from paycenter.wakeup import wake

DELIVER_TASK = "notifications.tasks.deliver_due"


def notification_create(
    *,
    app: App,
    type: str,
    data: Mapping[str, Any],
    url: str,
    now: datetime,
    trade_no: str = "",
    refund_no: str = "",
) -> Notification | None:
    """Put one message to the app into the outbox, inside the caller's transaction.

    `data` is the record as its query would answer now (JSON values only); it is serialised here and
    sent byte for byte the same on every try. None when there is no address to tell.
    """
    if not url:
        return None
    notification = notification_of(
        app=app, type=type, data=data, url=url, now=now, trade_no=trade_no, refund_no=refund_no
    )
    compiled.insert(notification)
    transaction.on_commit(_wake_deliveries, robust=True)
    return notification


def notification_of(
    *, app: App, type: str, data: Mapping[str, Any], url: str, now: datetime, trade_no: str = "", refund_no: str = ""
) -> Notification:
    """The message that `notification_create` stores, not stored yet."""
    webhook_id = f"msg_{secrets.token_hex(16)}"
    message = {"id": webhook_id, "type": type, "created_at": _iso(now), "data": data}
    return Notification(
        webhook_id=webhook_id, app=app, type=type, url=url, host=host_of(url),
        body=json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False),
        trade_no=trade_no, refund_no=refund_no, next_delivery_at=now, created_at=now,
    )  # fmt: skip


def notifications_store(messages: Sequence[Notification]) -> None:
    """Put many messages into the outbox in one statement, inside the caller's transaction."""
    if messages:
        compiled.insert_many(messages)
        transaction.on_commit(_wake_deliveries, robust=True)


def notification_resend(*, notification: Notification, actor: str) -> Notification:
    """Have a notification sent once more now, whatever its state, and write down who asked.

    The state changes only by the outcome: one that was acknowledged stays so if this try fails.
    """
    with transaction.atomic():
        row = lock(Notification, pk=notification.pk)
        row.next_delivery_at, row.resend_by = timezone.now(), actor[:100]
        row.save(update_fields=["next_delivery_at", "resend_by"])
        record_event(row, "notification.resent", actor=actor, detail={"webhook_id": row.webhook_id, "type": row.type})
        transaction.on_commit(_wake_deliveries, robust=True)
    return row


def host_of(url: str) -> str:
    """`host:port` in lower case, by which deliveries to one receiver are limited; "" if unusable."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return ""
    return f"{parts.hostname or ''}:{port}"[:260]


def _iso(moment: datetime) -> str:
    return timezone.localtime(moment).isoformat(timespec="milliseconds")


def _wake_deliveries() -> None:
    wake(DELIVER_TASK)
