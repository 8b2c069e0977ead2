"""Writing the outbox: what an app is told is frozen together with the change it tells of."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone

from merchants.models import App
from notifications.models import Notification, NotificationState
from paycenter import compiled
from paycenter.times import iso
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
    webhook_id = f"{webhook_ids_prefix(now)}{secrets.token_hex(_CHANCE)}"
    message = {"id": webhook_id, "type": type, "created_at": iso(now), "data": data}
    notification = Notification(
        webhook_id=webhook_id, app=app, type=type, url=url, host=host_of(url),
        body=json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False),
        trade_no=trade_no, refund_no=refund_no, next_delivery_at=now, created_at=now,
    )  # fmt: skip
    compiled.insert(notification)
    wake_deliveries()
    return notification


_CHANCE = 6  # random bytes at the end of a webhook id


def webhook_ids_prefix(now: datetime) -> str:
    """What begins the ids of messages that are written together; 12 hexadecimal digits follow, by chance.

    The later, the greater: an index of 10 million ids in random order has to be read and written all over.
    """
    return f"msg_{int(now.timestamp() * 1000):012x}{secrets.token_hex(4)}"


def webhook_ids_chance(count: int) -> bytes:
    """What ends so many ids made in SQL: PostgreSQL's own chance takes 10 µs for each."""
    return secrets.token_bytes(_CHANCE * count)


def webhook_id_sql(prefix: str, chance: str, place: str) -> str:
    """A new `webhook_id` in SQL (PostgreSQL), of these two and the row's place among them, from 1 on."""
    return f"({prefix} || encode(substr({chance}, 1 + ({place}::int - 1) * {_CHANCE}, {_CHANCE}), 'hex'))"


def messages_sql(source: str, *, type: str, webhook_id: str, now: str, now_iso: str, data: str, **columns: str) -> str:
    """An INSERT of a message for each row of `source`, as `notification_create` stores it (PostgreSQL).

    `type` is the word itself; everything else is SQL: the moment, also as `iso` says it, and of each row `data` (the
    JSON's text), `app_id`, `url`, `host` and numbers. Call `wake_deliveries` after it.
    """
    head = f"""'{{"id":"' || {webhook_id} || '","type":"{type}","created_at":"' || {now_iso}"""
    return compiled.insert_sql(Notification, source, {
        "webhook_id": webhook_id, "type": f"'{type}'", "body": f"""{head} || '","data":' || {data} || '}}'""",
        "refund_no": "''", "state": f"'{NotificationState.PENDING}'", "tries": "0", "resend_by": "''",
        "next_delivery_at": now, "created_at": now, **columns,
    })  # fmt: skip


def wake_deliveries() -> None:
    """What stands in the outbox is sent right after the caller's transaction."""
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
        wake_deliveries()
    return row


def host_of(url: str) -> str:
    """`host:port` in lower case, by which deliveries to one receiver are limited; "" if unusable."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return ""
    return f"{parts.hostname or ''}:{port}"[:260]


def _wake_deliveries() -> None:
    wake(DELIVER_TASK)
