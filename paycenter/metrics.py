"""Figures for Prometheus: calls of apps in this process, and what is waiting in the database."""

from __future__ import annotations

import os
from collections.abc import Iterator

from django.apps import apps
from django.utils import timezone
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

_CALLS = Counter("paycenter_calls_total", "Calls of apps by operation and errno", ["operation", "errno"])
_SECONDS = Histogram(
    "paycenter_call_seconds", "Seconds a call took", ["operation"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 12),
)  # fmt: skip


def count_call(operation: str, errno: int, seconds: float) -> None:
    """Count one answered `/v1` call."""
    _CALLS.labels(operation, str(errno)).inc()
    _SECONDS.labels(operation).observe(seconds)


# Due rows by name: model, and the column whose time has come. Each has a partial index.
_DUE = {
    "trades_to_close": ("trades", "Trade", "next_close_at"),
    "attempts_to_query": ("trades", "Attempt", "next_query_at"),
    "attempts_to_close": ("trades", "Attempt", "next_close_at"),
    "notifications_to_deliver": ("notifications", "Notification", "next_delivery_at"),
}


class BacklogCollector(Collector):
    """What is due now and not done yet; read from the database at each scrape."""

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        backlog = GaugeMetricFamily("paycenter_due", "Rows whose time has come", labels=["work"])
        for work, (app, model, column) in _DUE.items():
            rows = apps.get_model(app, model)._default_manager
            backlog.add_metric([work], rows.filter(**{f"{column}__lte": now}).count())
        events = apps.get_model("paycenter", "Event")._default_manager
        backlog.add_metric(["events_to_sequence"], events.filter(seq__isnull=True).count())
        yield backlog


def render() -> bytes:
    """The exposition text. With several worker processes set `PROMETHEUS_MULTIPROC_DIR`, else each
    answers for itself."""
    registry = CollectorRegistry()
    registry.register(BacklogCollector())
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY) + generate_latest(registry)
