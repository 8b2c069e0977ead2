"""How far the replica is behind, for Prometheus: reports show what was true so long ago."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from django.db import DatabaseError, connections
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from paycenter.replica import PRIMARY, REPLICA

log = structlog.get_logger(__name__)
# Whoever has replayed all that was written is not behind, however long ago the last write was.
_BEHIND = """
    SELECT CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= %s::pg_lsn THEN 0
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END
"""


def replica_lag() -> float | None:
    """Seconds since the newest transaction that the replica shows, 0 where it shows everything; None without a replica
    on PostgreSQL, and before it has replayed its first transaction. Raises DatabaseError where one does not answer."""
    if REPLICA not in connections or connections[PRIMARY].vendor != "postgresql":
        return None
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()::text")
        written = cursor.fetchone()[0]
    with connections[REPLICA].cursor() as cursor:
        cursor.execute(_BEHIND, [written])
        seconds = cursor.fetchone()[0]
    return None if seconds is None else max(float(seconds), 0.0)


class ReplicaLagCollector(Collector):
    """Asked at each scrape. A replica that does not answer has no lag, and is down."""

    def collect(self) -> Iterator[Metric]:
        if REPLICA not in connections:
            return
        try:
            seconds = replica_lag()
        except DatabaseError as exc:
            log.warning("replica not asked", error=type(exc).__name__)
            yield GaugeMetricFamily("paycenter_replica_up", "Whether the replica answers", value=0)
            return
        yield GaugeMetricFamily("paycenter_replica_up", "Whether the replica answers", value=1)
        if seconds is not None:
            yield GaugeMetricFamily("paycenter_replica_lag_seconds", "How far reports may be behind", value=seconds)
