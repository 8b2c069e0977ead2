"""Figures of the order stream: for Prometheus, and for those who watch backlogs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils import timezone
from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cashier.intake.stream import Facts, StreamAway, is_in_use, stream

_ORDERS = Counter(
    "paycenter_order_stream_orders_total", "Cashier orders by what the stream said to them", ["outcome"]
)


def count(outcome: str) -> None:
    """Count one order that was to go through the stream: `taken`, or why it went into the database."""
    _ORDERS.labels(str(outcome)).inc()


def facts() -> Facts | None:
    """What is in the stream; None where it is not in use or does not answer."""
    try:
        return stream().facts() if is_in_use() else None
    except StreamAway:
        return None


def waiting_since() -> datetime | None:
    """Since when the oldest order waits to be written."""
    found = facts()
    return timezone.now() - timedelta(seconds=found.oldest) if found is not None and found.length else None


class OrderStreamCollector(Collector):
    """Read from Redis at each scrape; nothing where no stream is in use."""

    def collect(self) -> Iterator[Metric]:
        if not is_in_use():
            return
        found = facts()
        yield _gauge("up", "Whether Redis answers", 0 if found is None else 1)
        if found is not None:
            yield _gauge("length", "Orders that are not written yet", found.length)
            yield _gauge("oldest_seconds", "How long the oldest of them waits", found.oldest if found.length else 0)
            yield _gauge("given_up", "Orders that could not be written and are kept in Redis", found.given_up)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"paycenter_order_stream_{name}", text, value=value)
