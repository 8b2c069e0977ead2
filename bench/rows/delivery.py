"""Messages to apps: what one costs the worker, and what receivers that hang do to the others."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from bench import site
from bench.receiver import receivers
from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series

MESSAGES = 3000
_HOSTS, _HANGING = 18, 2  # a tenth of the receivers
_RUN_SECONDS = 8.0  # enough for every message of a receiver that answers
_SIDE_BY_SIDE = 100
# What goes by the clock varies more than processor time: more messages and more pairs of runs.
_BY_THE_CLOCK, _LEAST_PAIRS = 9000, 5


def deliver(ports: Sequence[int], messages: int) -> dict[str, float]:
    """Deliver that many messages, spread over the receivers: the process's milliseconds for one, and how many a
    second were acknowledged, until the last one that was. Runs in a worker."""
    from notifications.deliveries import Pump

    prefix = _stored(ports, messages)
    pump = Pump()
    began = time.process_time()
    pump.run(_RUN_SECONDS)
    used = time.process_time() - began
    pump.drain()
    found = _acknowledged(prefix)
    site.run("UPDATE notifications_notification SET next_delivery_at = NULL WHERE next_delivery_at IS NOT NULL")
    return {"milliseconds": used * 1000 / messages, **found}


def _stored(ports: Sequence[int], messages: int) -> str:
    prefix = secrets.token_hex(6)
    hosts = ", ".join(f"'127.0.0.1:{port}'" for port in ports)
    site.run(
        f"""INSERT INTO notifications_notification (webhook_id, app_id, type, url, host, body, trade_no, refund_no,
            state, tries, next_delivery_at, resend_by, created_at)
        SELECT '{prefix}' || n, (SELECT id FROM merchants_app), 'trade.paid', 'http://' || host || '/notify', host,
            '{_body()}', '', '', 'pending', 0, now(), '', now()
        FROM (SELECT n, (ARRAY[{hosts}])[1 + n % {len(ports)}] AS host FROM generate_series(1, {messages}) n) each
        """,  # noqa: S608
        "VACUUM ANALYZE notifications_notification",
    )
    return prefix


def _body() -> str:
    return '{"id":"msg_0","type":"trade.paid","data":{"filling":"' + "x" * 800 + '"}}'


def _acknowledged(prefix: str) -> dict[str, float]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*),"
            " extract(epoch FROM max(d.started_at + d.elapsed_ms * interval '1 ms') - min(d.started_at))"
            " FROM notifications_delivery d JOIN notifications_notification n ON n.id = d.notification_id"
            " WHERE d.acknowledged AND n.webhook_id LIKE %s", [f"{prefix}%"],
        )  # fmt: skip
        count, seconds = cursor.fetchone()
    return {"acknowledged": int(count), "rate": int(count) / float(seconds)}


def post_bare(port: int, messages: int) -> float:
    """Milliseconds for one message of a bare aiohttp client, in this process. Runs in a worker."""
    began = time.process_time()
    asyncio.run(_post(f"http://127.0.0.1:{port}/notify", messages))
    return (time.process_time() - began) * 1000 / messages


async def _post(url: str, messages: int) -> None:
    import aiohttp

    body, left = _body().encode(), iter(range(messages))

    async def one_after_the_other(session: Any) -> None:
        for _ in left:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                await answer.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one_after_the_other(session) for _ in range(_SIDE_BY_SIDE)))


def _cost(stage: Stage) -> Pairs:
    worker, series = stage.site.worker, Series("ms")
    with receivers(4, 0) as (ports, _none):
        for number in range(stage.runs + 1):
            limit = worker.call("bench.rows.delivery:post_bare", port=ports[0], messages=MESSAGES)
            ours = worker.call("bench.rows.delivery:deliver", ports=ports, messages=MESSAGES)
            if number:  # the first one warms up
                series.add(ours["milliseconds"], limit)
    return series.pairs()


def _hanging(stage: Stage) -> Pairs:
    worker, series = stage.site.worker, Series("/s")
    each = _BY_THE_CLOCK // _HOSTS
    with ExitStack() as stack:
        well, hanging = stack.enter_context(receivers(_HOSTS, _HANGING))
        for _ in range(max(stage.runs, _LEAST_PAIRS)):
            limit = worker.call("bench.rows.delivery:deliver", ports=well, messages=each * _HOSTS)
            both = [*well, *hanging]
            ours = worker.call("bench.rows.delivery:deliver", ports=both, messages=each * len(both))
            series.add(ours["rate"], limit["rate"])
    return series.pairs()


ROWS = (
    Row("delivery_cpu", "a message delivered, the worker's processor time", "a bare aiohttp client posting the bodies",
        Bar(2.2, 1.3), _cost),
    Row("delivery_hanging", "messages a second while a tenth of the receivers hang", "the same without those",
        Bar(0.9, 1, at_least=True), _hanging),
)  # fmt: skip
