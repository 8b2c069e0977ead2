"""The order in which a process uses its connections."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

RESTED = 2.0  # seconds after which a connection may have died unnoticed


class _LastFirst(deque[Any]):
    """psycopg_pool appends what is given back and takes from the left."""

    def append(self, connection: Any) -> None:
        connection._paycenter_resting_since = time.monotonic()
        super().append(connection)

    def popleft(self) -> Any:
        return self.pop()


def use_the_warmest(db: Any) -> None:
    """From now on hand out the connection that was given back last; for a process that begins.

    psycopg_pool takes the one that has rested longest, and has no setting for it: after a burst all of PostgreSQL's
    processes are used in turn, each time with cold caches. Those that rest are not met for long, so they are asked
    whether they still live: after a restart of PostgreSQL nobody gets one that died while it rested.
    """
    if db.vendor == "postgresql" and db.pool is not None:
        db.pool._pool, db.pool._check = _LastFirst(db.pool._pool), _check_rested


def _check_rested(connection: Any) -> None:
    """Raises psycopg's OperationalError for one that is dead; then the pool takes another."""
    if time.monotonic() - getattr(connection, "_paycenter_resting_since", 0) > RESTED:
        from psycopg_pool import ConnectionPool

        ConnectionPool.check_connection(connection)
