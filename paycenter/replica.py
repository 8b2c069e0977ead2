"""Where reports read: a streaming replica where one is configured, so that they cost the primary nothing.

A replica may lag. Therefore only what is shown as a report, and what can prove that the replica is far enough, reads
there; whoever decides about money, permissions or what comes next reads from the primary. Nothing is ever written to
a replica: neither router nor migrations lead there, and on PostgreSQL its sessions are read-only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import connections

PRIMARY, REPLICA = "default", "replica"
_reading: ContextVar[bool] = ContextVar("reads_from_replica", default=False)


def reporting() -> str:
    """The database alias of reports: `.using(reporting())`; the primary's where no replica is configured."""
    return REPLICA if REPLICA in connections else PRIMARY


@contextmanager
def reports() -> Iterator[None]:
    """What the ORM reads inside comes from `reporting()`; writes and locking reads stay on the primary.

    Querysets have to be evaluated inside: a lazy one that leaves the block reads from the primary.
    """
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


class ReplicaRouter:
    """Sends reads inside `reports()` to the replica, and nothing else."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        """Also for a record that came from elsewhere: its relations are read where the block says."""
        return reporting() if _reading.get() else PRIMARY

    def db_for_write(self, model: Any, **hints: Any) -> str:
        """Also for a record that was read from the replica."""
        return PRIMARY

    def allow_relation(self, *records: Any, **hints: Any) -> bool:
        """Both aliases are one database."""
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        """A replica gets its tables from the primary."""
        return db != REPLICA


def report_alias() -> str:
    """The alias that raw SQL takes here: the replica's inside `reports()`, otherwise the primary's."""
    return reporting() if _reading.get() else PRIMARY


def replica_lag() -> float | None:
    """Seconds by which the database of reports is behind; None where it is no PostgreSQL standby.

    One that has replayed everything the primary wrote is not behind, however long nothing was written; one that is cut
    off from the primary is. Raises DatabaseError.
    """
    if connections[reporting()].vendor != "postgresql":
        return None
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()::text")
        written = cursor.fetchone()[0]
    with connections[reporting()].cursor() as cursor:
        cursor.execute(_LAG, [written])
        found = cursor.fetchone()[0]
    return None if found is None else float(found)


_LAG = """
SELECT CASE WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN pg_last_wal_replay_lsn() >= %s::pg_lsn THEN 0
            ELSE greatest(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) END
"""
