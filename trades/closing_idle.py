"""Closing many expired trades at once: those that no attempt can bring money to any more.

Two statements for up to a thousand trades, which write what closing them one by one writes. On PostgreSQL only; on
SQLite, and where a row spoils it for the others, they are closed one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from notifications.models import NotificationState
from notifications.selectors import told_sql
from notifications.services import (
    host_of,
    messages_sql,
    wake_deliveries,
    webhook_id_sql,
    webhook_ids_chance,
    webhook_ids_prefix,
)
from paycenter import compiled
from paycenter.money import scale_of
from paycenter.times import in_the_centers_zone, iso
from paycenter.transitions import events_sql, way_of
from trades.closing import ASKED_FOR, UNPAID
from trades.data_sql import BESIDE, JOINED, trade_data_sql
from trades.models import Trade
from trades.states import LIVE_ATTEMPT_STATES

TOGETHER = 1000  # rows locked in one transaction
_ROUNDS = 20  # the rest is left to the next tick


def _words(states: Sequence[str]) -> str:
    return ", ".join(f"'{state!s}'" for state in states)


_TYPE = "trade.closed"
_NOW, _NOW_ISO = "%(now)s::timestamptz", "%(now_iso)s::text"
_WEBHOOK_ID = webhook_id_sql("%(webhook_ids)s::text", "%(chance)s::bytea", "due.place")
_TRIED = "t.current_attempt_id IS NOT NULL"
_ADDRESS = "coalesce(nullif(t.notify_url, ''), app.notify_url)"
_LIVE = f"SELECT FROM trades_attempt WHERE trade_id = t.id AND state IN ({_words(LIVE_ATTEMPT_STATES)})"


def trades_close_idle() -> int:
    """Close due trades without a live attempt; how many."""
    done = 0
    for _ in range(_ROUNDS if connection.vendor == "postgresql" else 0):
        found, closed = _close_some()
        done += closed
        if found < TOGETHER:
            break
    return done


@transaction.atomic
def _close_some() -> tuple[int, int]:
    """How many were found, and how many of them closed."""
    found, *what = compiled.row(_lock_sql(), {"now": timezone.now()})
    return found, _close(*what) if found else 0


def _close(ids: str, states: str, urls: list[str], currencies: list[str]) -> int:
    now = timezone.now()
    values: dict[str, Any] = {
        "ids": ids, "states": states, "urls": urls, "hosts": [host_of(url) for url in urls], "currencies": currencies,
        "scales": [scale_of(currency) for currency in currencies], "now": now, "now_iso": iso(now),
        "asked_for": ASKED_FOR, "unpaid": UNPAID, "webhook_ids": webhook_ids_prefix(now),
        "chance": webhook_ids_chance(TOGETHER),
    }  # fmt: skip
    with in_the_centers_zone():
        closed, messages = compiled.row(_close_sql(), values)
    if messages:
        wake_deliveries()
    return int(closed)


@cache
def _lock_sql() -> str:
    """Locks due trades that may be closed; how many, their ids and states each as one text, and their addresses and
    currencies."""
    sources, _target = way_of(Trade, "close")
    return f"""
    WITH due AS (
        SELECT t.id, t.state, t.currency, {_ADDRESS} AS url
        FROM trades_trade t JOIN merchants_app app ON app.id = t.app_id
        WHERE t.next_close_at <= {_NOW} AND t.state IN ({_words(sources)})
        AND (t.expire_at <= {_NOW} OR t.close_requested_at IS NOT NULL) AND NOT EXISTS ({_LIVE})
        ORDER BY t.next_close_at LIMIT {TOGETHER} FOR UPDATE OF t SKIP LOCKED
    )
    SELECT count(*), array_agg(id)::text, array_agg(state)::text, array_agg(DISTINCT url),
        array_agg(DISTINCT currency) FROM due
    """  # noqa: S608


@cache
def _close_sql() -> str:
    """Closes locked trades and tells of each; how many, and how many of these to apps.

    Asked again under the locks: an attempt may have begun between finding a trade and locking it. One that is told with
    something else by now, another address of its app, is left to be closed alone. PostgreSQL is not told how many keys
    there are: it would take a thousand for reason enough to read a table of 100,000 whole.
    """
    _sources, target = way_of(Trade, "close")
    return f"""
    WITH told AS (
        UPDATE trades_trade AS t
        SET state = '{target}', closed_at = {_NOW}, next_close_at = NULL, version = t.version + 1
        FROM unnest(%(ids)s::bigint[], %(states)s::text[]) WITH ORDINALITY AS due(id, from_state, place), {BESIDE},
            unnest(%(urls)s::text[], %(hosts)s::text[]) AS place(url, host)
        WHERE t.id = ANY (ARRAY (SELECT unnest(%(ids)s::bigint[]))) AND t.id = due.id AND {JOINED}
            AND place.url = {_ADDRESS} AND NOT EXISTS ({_LIVE})
        RETURNING t.id, t.app_id AS app_key, app.app_id, m.merchant_no, t.trade_no, due.from_state, t.state,
            t.close_requested_at, place.url, place.host, {_WEBHOOK_ID} AS webhook_id, {_data()} AS data
    ), events AS ({_events()}), messages AS ({_messages()})
    SELECT count(*), count(*) FILTER (WHERE url <> '') FROM told
    """  # noqa: S608


def _data() -> str:
    """As the query answers from the commit on: with the message that is written beside it."""
    before = told_sql("t.trade_no")
    # Of an order that nobody tried to pay nothing was told before; most are such, and need no looking.
    return trade_data_sql(
        closed_at=_NOW_ISO,
        notify_state=f"CASE WHEN {_ADDRESS} <> '' THEN '{NotificationState.PENDING}' WHEN {_TRIED} THEN"
        f" {before['notify_state']} END",
        notified_at=f"CASE WHEN {_TRIED} THEN {before['notified_at']} END",
    )


def _events() -> str:
    return events_sql(
        "told", type=f"'{_TYPE}'", created_at=_NOW, object_type="'trade'", object_id="id", app_id="app_id",
        merchant_no="merchant_no", trade_no="trade_no", from_state="from_state", to_state="state",
        actor="'system:expiry'", data="data", public="true",
        reason="CASE WHEN close_requested_at IS NULL THEN %(unpaid)s ELSE %(asked_for)s END",
    )  # fmt: skip


def _messages() -> str:
    return messages_sql(
        "told WHERE url <> ''", type=_TYPE, webhook_id="webhook_id", now=_NOW, now_iso=_NOW_ISO, data="data",
        app_id="app_key", url="url", host="host", trade_no="trade_no",
    )  # fmt: skip
