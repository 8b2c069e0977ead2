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
