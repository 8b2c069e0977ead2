"""`gopay` through a channel that answers at once, beside pgbench writing the same rows in as many commits."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.constant import SCENE_AT_ONCE
from bench.pgbench import Copier, Limit
from bench.stage import Site, Stage
from bench.table import Bar, Pairs, Row, Series
from bench.wire import request, volley

CONNECTIONS = 64
CALLS = 1500
PGBENCH_SECONDS = 4
# What `submit` writes into the attempt.
_SUBMITTED = ("pay", "memo", "submitted_at", "in_flight_until", "next_query_at", "state", "version")


def gopay_request(document: Mapping[str, Any]) -> bytes:
    """A new order, signed now with HMAC-SHA256."""
    return signed_request(document, "/v1/gopay", {"method": SCENE_AT_ONCE})


def signed_request(document: Mapping[str, Any], path: str, more: Mapping[str, Any]) -> bytes:
    """A new order with these fields besides its own, signed now with HMAC-SHA256."""
    app = document["apps"][0]
    body = json.dumps({
        "merchant_no": document["merchants"][0]["merchant_no"], "amount": 100,
        "app_order_no": f"BENCH{secrets.token_hex(8)}", "subject": "bench", **more,
    }).encode()  # fmt: skip
    stamp, nonce = str(int(time.time())), secrets.token_hex(12)
    text = f"POST\n{path}\n{stamp}\n{nonce}\n".encode() + body + b"\n"
    signature = b64encode(hmac.digest(app["hmac_secret"].encode(), text, hashlib.sha256)).decode()
    headers = {
        "X-App-Id": app["app_id"], "X-Timestamp": stamp, "X-Nonce": nonce, "X-Sign-Type": "HMAC-SHA256",
        "X-Signature": signature, "Content-Type": "application/json",
    }  # fmt: skip
    return request("POST", path, headers, body)


def limit_script(url: str) -> str:
    """pgbench's script: the nonce; trade, attempt and three events; the answer; the exchange. Four commits."""
    with psycopg.connect(url) as connection:
        copies = Copier(connection)
        attempt = copies.row("trades_attempt", "state = 'submitted' AND channel = 'constant'")
        trade = copies.row("trades_trade", "id = %s", [attempt["trade_id"]])
        nonce = copies.row("merchants_nonce", "TRUE")
        exchange = copies.row("paycenter_exchange", "operation = 'gopay'")
        return ";\n".join((
            copies.insert("merchants_nonce", [nonce], {"nonce": "md5(random()::text)"}),
            _intent(copies, trade, attempt),
            _outcome(copies, attempt),
            copies.insert("paycenter_exchange", [exchange], {}),
        )) + ";\n"  # fmt: skip


def _intent(copies: Copier, trade: Mapping[str, Any], attempt: Mapping[str, Any]) -> str:
    events = {
        kind: copies.row("paycenter_event", "trade_no = %s AND type = %s", [trade["trade_no"], kind])
        for kind in ("trade.created", "attempt.created", "trade.paying")
    }
    no_number = {"seq": "NULL::bigint", "hash": "''"}
    new_trade = copies.insert("trades_trade", [trade], {
        "id": "trade", "trade_no": "'L' || trade", "app_order_no": "'L' || trade", "current_attempt_id": "attempt",
    }, "ids")  # fmt: skip
    new_attempt = copies.insert("trades_attempt", [attempt], {
        "id": "attempt", "trade_id": "trade", "attempt_no": "'L' || attempt", "channel_order_no": "'L' || attempt",
        "pay": "NULL::jsonb", "submitted_at": "NULL::timestamptz", "state": "'created'",
        "in_flight_until": "now() + interval '15 seconds'",
    }, "ids")  # fmt: skip
    of_trade = copies.insert("paycenter_event", [events["trade.created"], events["trade.paying"]],
                             {**no_number, "object_id": "trade"}, "ids")  # fmt: skip
    of_attempt = copies.insert("paycenter_event", [events["attempt.created"]],
                               {**no_number, "object_id": "attempt"}, "ids")  # fmt: skip
    return (
        "WITH ids AS MATERIALIZED (SELECT nextval('trades_trade_id_seq') AS trade,"
        f" nextval('trades_attempt_id_seq') AS attempt), t AS ({new_trade}), a AS ({new_attempt}), e AS ({of_trade})"
        f" {of_attempt}"
    )


def _outcome(copies: Copier, attempt: Mapping[str, Any]) -> str:
    event = copies.row("paycenter_event", "attempt_no = %s AND type = 'attempt.submitted'", [attempt["attempt_no"]])
    changes = copies.assignments("trades_attempt", attempt, _SUBMITTED, {})
    told = copies.insert("paycenter_event", [event], {
        "seq": "NULL::bigint", "hash": "''", "object_id": "currval('trades_attempt_id_seq')",
    })  # fmt: skip
    return f"WITH u AS (UPDATE trades_attempt SET {changes} WHERE id = currval('trades_attempt_id_seq')) {told}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Stretch:
    """Milliseconds of processor time per call, and calls a second."""

    milliseconds: float
    web: float
    rate: float


def ours(stage: Stage, site: Site, calls: int, side_by_side: int = CONNECTIONS) -> Stretch:
    """One stretch of calls. Raises Unexpected where one is refused."""
    requests = [gopay_request(site.document) for _ in range(calls)]
    used = stage.processor(site.pid)
    found = volley(site.port, requests, side_by_side=side_by_side, expected=b'"errno":0,')
    cost = used()
    return Stretch(cost.both / calls, cost.web / calls, calls / found.seconds)


def _measured(stage: Stage) -> list[tuple[Stretch, Limit]]:
    site = stage.site
    ours(stage, site, 400)  # compiled, prepared, connected; and rows to copy
    script = limit_script(site.worker.url)
    found = []
    for _ in range(stage.runs):
        stage.vacuum(site.worker.url)
        mine = ours(stage, site, CALLS)
        found.append((mine, stage.pgbench(site.worker.url, script, clients=CONNECTIONS, seconds=PGBENCH_SECONDS)))
    return found


def _cpu(stage: Stage) -> Pairs:
    series, web = Series("ms"), []
    for mine, limit in stage.once("gopay", lambda: _measured(stage)):
        series.add(mine.milliseconds, limit.milliseconds)
        web.append(mine.web)
    return series.pairs(f"web {sorted(web)[len(web) // 2]:.2f}")


def _rate(stage: Stage) -> Pairs:
    series = Series("/s")
    for mine, limit in stage.once("gopay", lambda: _measured(stage)):
        series.add(mine.rate, limit.rate)
    return series.pairs()


ROWS = (
    Row("gopay_cpu", "gopay, processor time of web and PostgreSQL", "PostgreSQL's with the same rows by pgbench",
        Bar(5, 1.5), _cpu),
    Row("gopay_rate", "gopay a second at 64 connections", "that pgbench's transactions a second",
        Bar(0.25, 0.8, at_least=True), _rate),
)  # fmt: skip
