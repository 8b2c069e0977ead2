"""The outbox's two frequent steps, each one statement that is prepared once (PostgreSQL): claiming messages that are
due, and writing down those that were acknowledged. Everything rarer, and SQLite, is plain ORM in `deliveries`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from merchants.models import App
from notifications.models import BY_SCHEDULE, Delivery, Notification, NotificationState
from paycenter import compiled
from paycenter.crypto import decrypt

if TYPE_CHECKING:
    from notifications.deliveries import Outcome

# What a claim needs to know of a message, and the secrets of its app, in this order.
COLUMNS = ("id", "webhook_id", "url", "host", "body", "trade_no", "resend_by")
SECRETS = ("webhook_secret", "webhook_secret_previous")


def claim_rows(
    *, now: datetime, until: datetime, window: int, limit: int, room: Mapping[str, int], default_room: int
) -> list[tuple[Any, ...]]:
    """Move the due time of up to `limit` messages to `until`; their `COLUMNS` and their app's `SECRETS`.

    Of the `window` longest due to hosts that have room, each host gets no more than its room. Rows that somebody
    else has locked are passed over.
    """
    rows = compiled.rows(_claim_sql(window), {
        "now": now, "until": until, "limit": limit, "default_room": default_room, "room": json.dumps(room),
    })  # fmt: skip
    return [(*columns, _opened(secret), _opened(previous)) for *columns, secret, previous in rows]


@lru_cache(maxsize=256)
def _opened(secret: str) -> str:
    """Once for all messages of an app: decrypting costs as much as sending one of them."""
    return decrypt(secret) if secret else ""


def write_acknowledged(outcomes: Sequence[Outcome], now: datetime) -> None:
    """Write the tries of messages that were acknowledged, and that they were."""
    # As JSON, which is made in a third of the time of arrays.
    given = [
        {"id": one.claim.pk, "started_at": one.started_at.isoformat(), "elapsed_ms": one.elapsed_ms,
         "status": one.status, "response": one.response, "asked_by": one.claim.by}
        for one in outcomes
    ]  # fmt: skip
    compiled.run(_acknowledged_sql(), {"now": now, "given": json.dumps(given)})


@cache
def _claim_sql(window: int) -> str:
    """The window stands in the text: a plan made for any number would not know that it is small."""
    columns = [*(f"n.{column}" for column in COLUMNS), *(f"app.{column}" for column in SECRETS)]
    return f"""
    WITH known AS MATERIALIZED (
        SELECT key AS host, value::int AS room FROM json_each_text(%(room)s::json)
    ), due AS MATERIALIZED (
        SELECT id, host, next_delivery_at FROM {compiled.table_of(Notification)}
        WHERE next_delivery_at <= %(now)s::timestamptz AND host NOT IN (SELECT host FROM known WHERE room <= 0)
        ORDER BY next_delivery_at, id LIMIT {window:d} FOR UPDATE SKIP LOCKED
    ), placed AS (
        SELECT id, host, next_delivery_at,
            row_number() OVER (PARTITION BY host ORDER BY next_delivery_at, id) AS place
        FROM due
    ), chosen AS MATERIALIZED (
        SELECT id FROM placed LEFT JOIN known USING (host) WHERE place <= coalesce(room, %(default_room)s::int)
        ORDER BY next_delivery_at, id LIMIT %(limit)s::int
    )
    UPDATE {compiled.table_of(Notification)} AS n SET next_delivery_at = %(until)s::timestamptz
    FROM chosen, {compiled.table_of(App)} AS app WHERE n.id = chosen.id AND app.id = n.app_id
    RETURNING {", ".join(columns)}
    """  # noqa: S608


@cache
def _acknowledged_sql() -> str:
    """Rows are locked by their keys' order, as every group of outcomes is: workers never wait in a circle. A message
    that somebody has asked for since is due all the same."""
    is_over = f"coalesce(nullif(n.resend_by, ''), '{BY_SCHEDULE}') = ANY (asked.whose)"
    messages = compiled.table_of(Notification)
    stored = compiled.insert_sql(Delivery, "told JOIN given USING (id)", {
        "notification_id": "id", "number": "tries", "started_at": "started_at", "elapsed_ms": "elapsed_ms",
        "status": "status", "response": "response", "error": "''", "acknowledged": "true", "by": "asked_by",
    })  # fmt: skip
    return f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%(given)s::json) AS given(
            id bigint, started_at timestamptz, elapsed_ms int, status int, response text, asked_by text
        )
    ), asked AS MATERIALIZED (
        SELECT id, array_agg(asked_by) AS whose FROM given GROUP BY id
    ), locked AS MATERIALIZED (
        SELECT n.id FROM {messages} AS n WHERE n.id IN (SELECT id FROM given) ORDER BY n.id FOR UPDATE
    ), told AS (
        UPDATE {messages} AS n
        SET state = '{NotificationState.DELIVERED}', tries = n.tries + 1,
            next_delivery_at = CASE WHEN {is_over} THEN NULL ELSE n.next_delivery_at END,
            resend_by = CASE WHEN {is_over} THEN '' ELSE n.resend_by END,
            delivered_at = coalesce(n.delivered_at, %(now)s::timestamptz)
        FROM locked JOIN asked USING (id) WHERE n.id = locked.id RETURNING n.id, n.tries
    )
    {stored}
    """  # noqa: S608
