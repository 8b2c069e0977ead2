"""Cashier orders through the Redis stream, beside the same orders written before they are answered."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from bench.private_demo import ROOT
from bench.processor import seconds_of_tree
from bench.rows.gopay import CONNECTIONS, signed_request
from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series
from bench.wire import volley

CALLS = 1500
_WRITTEN_LIMIT = 120.0  # seconds until the last order is a row
_STREAM = "paycenter:{orders}:taken"
_DISPLAY = {"display": [{"label": "房号", "value": "3-1201"}]}


@dataclass(frozen=True, slots=True)
class Intake:
    """Orders answered a second, and milliseconds of processor time for one until it is a row, in every program."""

    rate: float
    milliseconds: float


def _volley(stage: Stage, port: int, calls: int, used: Callable[[], float], written: Callable[[], None]) -> Intake:
    document = stage.site.document
    requests = [signed_request(document, "/v1/cashier/orders", _DISPLAY) for _ in range(calls)]
    before = used()
    found = volley(port, requests, side_by_side=CONNECTIONS, expected=b'"errno":0,')
    written()
    return Intake(calls / found.seconds, (used() - before) * 1000 / calls)


@contextmanager
def _streaming(stage: Stage) -> Iterator[tuple[int, Callable[[], float], Callable[[], None]]]:
    """A web process that takes every order through the stream, and who writes them."""
    environment = {
        **stage.environment, "DATABASE_URL": stage.site.worker.url, "PAYCENTER_ORDER_STREAM": "on",
        "PAYCENTER_ORDER_STREAM_OLDEST": str(_WRITTEN_LIMIT),
    }  # fmt: skip
    shared = redis.Redis.from_url(environment["REDIS_URL"])
    writer = subprocess.Popen([sys.executable, "manage.py", "write_orders"], cwd=ROOT, env=environment)
    try:
        with stage.served("bench.constant_wsgi:application", environment) as (port, pid):
            yield port, lambda: _seconds(stage, shared, pid, writer.pid), lambda: _written(shared, writer)
    finally:
        writer.terminate()
        writer.wait()


def _seconds(stage: Stage, shared: Any, *pids: int) -> float:
    """Processor seconds of these programs, PostgreSQL and Redis so far."""
    told: Mapping[str, float] = shared.info("cpu")
    of_redis = told["used_cpu_user"] + told["used_cpu_sys"]
    return of_redis + sum(seconds_of_tree(pid) for pid in (*pids, stage.postmaster))


def _written(shared: Any, writer: subprocess.Popen[bytes]) -> None:
    """Wait until no order is left in the stream. Raises RuntimeError."""
    limit = time.monotonic() + _WRITTEN_LIMIT
    while shared.xlen(_STREAM):
        if time.monotonic() > limit or writer.poll() is not None:
            raise RuntimeError(f"{shared.xlen(_STREAM)} orders are not written")
        time.sleep(0.01)


def _measured(stage: Stage) -> list[tuple[Intake, Intake]]:
    site, shared = stage.site, redis.Redis.from_url(stage.environment["REDIS_URL"])
    found = []
    with _streaming(stage) as (port, used, written):
        for number in range(stage.runs + 1):
            calls = CALLS if number else 200  # the first ones warm up
            stage.vacuum(site.worker.url)
            limit = _volley(stage, site.port, calls, lambda: _seconds(stage, shared, site.pid), lambda: None)
            stage.vacuum(site.worker.url)
            found.append((_volley(stage, port, calls, used, written), limit))
    return found[1:]


def _rate(stage: Stage) -> Pairs:
    series = Series("/s")
    for ours, limit in stage.once("intake", lambda: _measured(stage)):
        series.add(ours.rate, limit.rate)
    return series.pairs("the writer and Redis share the machine")


def _cpu(stage: Stage) -> Pairs:
    series = Series("ms")
    for ours, limit in stage.once("intake", lambda: _measured(stage)):
        series.add(ours.milliseconds, limit.milliseconds)
    return series.pairs("web, PostgreSQL, Redis and writer")


ROWS = (
    Row("order_stream_rate", "cashier orders answered a second through the stream", "those through the database",
        Bar(1, 1.5, at_least=True), _rate),
    Row("order_stream_cpu", "a cashier order through the stream, all programs", "the same through the database",
        Bar(1.2, 1), _cpu),
)  # fmt: skip
