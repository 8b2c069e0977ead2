"""WeChat Pay's notification of a payment: verified, decrypted, booked, the app's message in the outbox."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from bench.pgbench import Copier
from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series
from bench.wechat_notice import Notice, bare_milliseconds, notices
from bench.wire import volley

NOTICES = 800
_FOR_PGBENCH = 60_000
_SECONDS = 4
_SIDE_BY_SIDE = 16
_PAID = (
    "channel_trade_no", "paid_amount", "paid_currency", "paid_at", "payer_id", "funding", "channel_state",
    "next_query_at", "next_close_at", "in_flight_until", "state", "version",
)  # fmt: skip
_SETTLED = ("paid_amount", "paid_at", "next_close_at", "state", "version")


def _made(stage: Stage, prefix: str) -> list[Notice]:
    site = stage.site
    site.worker.call("bench.site:submitted", count=NOTICES, prefix=prefix)
    return notices(site.document["signer"], {f"{prefix}{n}": 100 for n in range(1, NOTICES + 1)})


def _ours(stage: Stage, made: Sequence[Notice]) -> float:
    site = stage.site
    used = stage.processor(site.pid)
    volley(site.port, [one.wire for one in made], side_by_side=_SIDE_BY_SIDE, expected=b" 204 ")
    return used().both / len(made)


def limit_script(url: str, first: str, base: int) -> str:
    """pgbench's script: attempt and trade booked, two events, the message; then the exchange. Two commits.

    `first` is the number of an attempt that was booked by a notification; those behind `base` wait to be.
    """
    with psycopg.connect(url) as connection:
        copies = Copier(connection)
        connection.execute("CREATE SEQUENCE IF NOT EXISTS bench_booked")
        attempt = copies.row("trades_attempt", "attempt_no = %s", [first])
        trade = copies.row("trades_trade", "id = %s", [attempt["trade_id"]])
        by_trade = [trade["trade_no"]]
        events = [copies.row("paycenter_event", "trade_no = %s AND type = %s", [*by_trade, kind])
                  for kind in ("attempt.succeeded", "trade.paid")]  # fmt: skip
        message = copies.row("notifications_notification", "trade_no = %s", by_trade)
        exchange = copies.row("paycenter_exchange", "trade_no = %s AND operation = 'notify'", by_trade)
        booked = copies.assignments("trades_attempt", attempt, _PAID, {"channel_trade_no": "'L' || n"})
        settled = copies.assignments("trades_trade", trade, _SETTLED, {})
        told = copies.insert("paycenter_event", events, {"seq": "NULL::bigint", "hash": "''"})
        sent = copies.insert("notifications_notification", [message], {"webhook_id": "md5(random()::text)"})
        logged = copies.insert("paycenter_exchange", [exchange], {})
    return (
        f"WITH one AS MATERIALIZED (SELECT {base} + nextval('bench_booked') AS n),"  # noqa: S608
        f" a AS (UPDATE trades_attempt SET {booked} FROM one WHERE id = n),"
        f" t AS (UPDATE trades_trade SET {settled}, settled_attempt_id = n FROM one WHERE id = n),"
        f" e AS ({told}) {sent};\n{logged};\n"
    )


def _pairs(stage: Stage) -> Pairs:
    site = stage.site
    first = _made(stage, "W")
    _ours(stage, first)
    base = site.worker.call("bench.site:submitted", count=_FOR_PGBENCH, prefix="LIMIT")
    script = limit_script(site.worker.url, "W1", base)
    series = Series("ms")
    for number in range(stage.runs):
        made = _made(stage, f"N{number}X")
        stage.vacuum(site.worker.url)
        mine = _ours(stage, made)
        limit = stage.pgbench(site.worker.url, script, clients=_SIDE_BY_SIDE, seconds=_SECONDS).milliseconds
        series.add(mine, limit + bare_milliseconds(site.document["signer"], made))
    return series.pairs()


ROWS = (
    Row("notify_cpu", "a notification booked, processor time of web and PostgreSQL",
        "PostgreSQL's with the same rows by pgbench, and verifying and decrypting bare", Bar(8, 1.5), _pairs),
)  # fmt: skip
