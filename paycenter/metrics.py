"""What this process counts for Prometheus. What stands in the database is added where `/metrics` is answered.

With `PROMETHEUS_MULTIPROC_DIR` all processes of a machine count into that folder, and each answers for all of them.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from django.db import connection
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest, multiprocess
from prometheus_client.registry import REGISTRY, Collector

from paycenter.http import HttpCall

if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # the figures below are opened there as they are made
    Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).mkdir(parents=True, exist_ok=True)

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 12)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 30)  # what others answer, over the network

_CALLS = Counter("paycenter_calls_total", "Calls of apps by operation and errno", ["operation", "errno"])
_SECONDS = Histogram("paycenter_call_seconds", "Seconds a call took", ["operation"], buckets=_QUICK)
_REQUESTS = Counter("paycenter_requests_total", "Requests answered, by route and class of status", ["route", "outcome"])
_REQUEST_SECONDS = Histogram("paycenter_request_seconds", "Seconds a request took", ["route"], buckets=_QUICK)
_CHANNEL_CALLS = Counter(
    "paycenter_channel_calls_total", "Our calls of channels", ["channel", "operation", "outcome"]
)  # fmt: skip
_CHANNEL_SECONDS = Histogram(
    "paycenter_channel_seconds", "Seconds until a channel answered", ["channel", "operation"], buckets=_SLOW
)  # fmt: skip
_DELIVERIES = Counter("paycenter_deliveries_total", "Notifications sent to apps, by how it ended", ["outcome"])
_DELIVERY_SECONDS = Histogram("paycenter_delivery_seconds", "Seconds until an app answered", buckets=_SLOW)
_TASKS = Counter("paycenter_tasks_total", "Background tasks that ended", ["task", "outcome"])
_TASK_SECONDS = Summary("paycenter_task_seconds", "Seconds a background task took", ["task"])
_POOL = Gauge(
    "paycenter_db_pool", "Database connections of all processes by what they do, and requests waiting for one",
    ["state"], multiprocess_mode="livesum",
)  # fmt: skip
_POOL_EVERY = 5.0  # seconds
_pool_noted = float("-inf")


def count_call(operation: str, errno: int, seconds: float) -> None:
    """Count one answered `/v1` call."""
    _CALLS.labels(operation, str(errno)).inc()
    _SECONDS.labels(operation).observe(seconds)


def count_request(route: str, status: int, seconds: float) -> None:
    """Count one answered request. `route` is a pattern, never an address somebody made up."""
    answered, took = _of_route(route, status // 100)
    answered.inc()
    took.observe(seconds)
    note_pool()


@cache  # routes and classes of status are few
def _of_route(route: str, hundreds: int) -> tuple[Counter, Histogram]:
    return _REQUESTS.labels(route, f"{hundreds}xx"), _REQUEST_SECONDS.labels(route)


def count_channel_calls(channel: str, calls: Iterable[HttpCall]) -> None:
    """Count calls of a channel as `paycenter.http.recording` collected them."""
    for call in calls:
        operation = call.operation or "other"
        _CHANNEL_CALLS.labels(channel, operation, _outcome(call)).inc()
        _CHANNEL_SECONDS.labels(channel, operation).observe(call.elapsed_ms / 1000)


_collectors: list[Collector] = []


def also_collect(collector: Collector) -> None:
    """Show the figures of another part of the center, read at each scrape; called once, when the program starts."""
    _collectors.append(collector)


def _outcome(call: HttpCall) -> str:
    if call.status is None:
        return "not_sent" if call.error.startswith("NotSent") else "no_answer"
    return "server_error" if call.status >= 500 else "answered"


def count_delivery(*, acknowledged: bool, answered: bool, seconds: float) -> None:
    """Count one try to tell an app."""
    _deliveries("acknowledged" if acknowledged else "refused" if answered else "no_answer").inc()
    _DELIVERY_SECONDS.observe(seconds)


def count_given_up() -> None:
    """Count one notification that will not be tried again."""
    _deliveries("given_up").inc()


@cache
def _deliveries(outcome: str) -> Counter:
    return _DELIVERIES.labels(outcome)


def count_task(task: str, outcome: str, seconds: float) -> None:
    """Count one background task; `outcome` is Celery's word in lower case."""
    _TASKS.labels(task, outcome).inc()
    _TASK_SECONDS.labels(task).observe(seconds)
    note_pool()


def note_pool() -> None:
    """Note this process's database pool, where the last time is long enough ago. SQLite has none."""
    global _pool_noted
    now = time.monotonic()
    if now - _pool_noted < _POOL_EVERY:
        return
    _pool_noted = now
    # Not `connection.pool`, which makes one: a page that asks no database must not decide which one that is.
    pool = getattr(connection, "_connection_pools", {}).get(connection.alias)
    if pool is not None:
        stats = pool.get_stats()
        _POOL.labels("open").set(stats.get("pool_size", 0))
        _POOL.labels("idle").set(stats.get("pool_available", 0))
        _POOL.labels("waiting").set(stats.get("requests_waiting", 0))


def render(*collectors: Collector) -> bytes:
    """The exposition text: what the processes count, and what `collectors` find now."""
    note_pool()
    registry = CollectorRegistry()
    for collector in (*collectors, *_collectors):
        registry.register(collector)
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        _bury_the_dead(Path(folder))
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY) + generate_latest(registry)


def _bury_the_dead(folder: Path) -> None:
    """Drop the gauges of processes that are gone: a killed one had no time to do it."""
    pids = {int(found[1]) for path in folder.glob("gauge_live*.db") if (found := re.search(r"_(\d+)\.db$", path.name))}
    for pid in pids:
        if not _is_alive(pid):
            with suppress(OSError):
                multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
