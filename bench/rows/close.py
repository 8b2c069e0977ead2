"""Closing expired orders that nobody tried to pay, with their events and the apps' messages."""

from __future__ import annotations

import secrets
import time

from bench import site
from bench.processor import milliseconds_of
from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series

EXPIRED = 1000
_WARM, _LEAST_PAIRS = 30, 9  # so short a piece of work varies
_BARE = "UPDATE trades_trade SET state = 'closed', closed_at = now(), next_close_at = NULL WHERE id = ANY(%s)"


def close() -> float:
    """Milliseconds of processor time in which the sweep closes 1,000 expired trades: ours and PostgreSQL's.

    Runs in a worker.
    """
    from trades.sweeps import close_due

    ids = _expired()
    left, began = EXPIRED, _used()
    while left > 0:
        done = close_due()
        left = left - done if done else 0  # what stays open is found below
    took = _used() - began
    _check(ids)
    return took


def bare() -> float:
    """The same of one UPDATE of 1,000 such rows, with the same changes to them and nothing else."""
    from django.db import connection

    ids = _expired()
    with connection.cursor() as cursor:
        began = _used()
        cursor.execute(_BARE, [ids])
        return _used() - began


def _used() -> float:
    """Of this process and of PostgreSQL's at the other end of its connection."""
    from django.db import connection

    connection.ensure_connection()
    return time.process_time() * 1000 + milliseconds_of(connection.connection.info.backend_pid)


def _expired() -> list[int]:
    from trades.models import Trade

    prefix = f"X{secrets.token_hex(4)}N"
    site.pages(EXPIRED, prefix)
    stored = Trade.objects.filter(trade_no__startswith=f"P{prefix}")
    ids = list(stored.values_list("pk", flat=True))
    site.run(
        "UPDATE trades_trade SET expire_at = now() - interval '2 s', next_close_at = now() - interval '2 s'"  # noqa: S608
        f" WHERE trade_no LIKE 'P{prefix}%'",
        "VACUUM trades_trade",
    )
    return ids


def _check(ids: list[int]) -> None:
    """Raises RuntimeError where a trade is not closed, or its event or message is missing."""
    from notifications.models import Notification
    from paycenter.models import Event
    from trades.models import Trade

    closed = Trade.objects.filter(pk__in=ids, state="closed")
    numbers = list(closed.values_list("trade_no", flat=True))
    events = Event.objects.filter(type="trade.closed", trade_no__in=numbers, public=True).count()
    messages = Notification.objects.filter(type="trade.closed", trade_no__in=numbers).count()
    if (len(numbers), events, messages) != (EXPIRED,) * 3:
        raise RuntimeError(f"{len(numbers)} trades closed, {events} events, {messages} messages")


def _pairs(stage: Stage) -> Pairs:
    stage.postmaster  # noqa: B018 - where it is on another machine, this row is skipped
    worker = stage.book(stage.sizes.small)
    series = Series("ms")
    for _ in range(_WARM):  # a worker has closed many before: PostgreSQL plans the statements anew until then
        worker.call("bench.rows.close:bare"), worker.call("bench.rows.close:close")
    for _ in range(max(stage.runs, _LEAST_PAIRS)):
        limit = worker.call("bench.rows.close:bare")
        series.add(worker.call("bench.rows.close:close"), limit)
    return series.pairs()


ROWS = (Row("close_1000", "close 1,000 expired trades", "one bare UPDATE of 1,000 rows", Bar(3, 1.5), _pairs),)
