"""The order in which a process uses its connections, and loans of one for a single statement."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

RESTED = 2.0  # seconds after which a connection may have died unnoticed
_IDLE = 0  # psycopg.pq.TransactionStatus.IDLE; who uses SQLite need not load psycopg


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


def borrow(pool: Any, wait: float | None = None) -> Any:
    """A connection, as `getconn` gives it, for which it waits so many seconds (the pool's own time unless given).

    One that has hardly rested is taken as it is: all that the pool does for a loan costs half as much as a statement.
    Raises psycopg_pool's PoolTimeout.
    """
    if type(pool._pool) is not _LastFirst:
        return _lent(pool, wait)
    with pool._lock:
        resting = pool._pool
        if resting and not _has_rested(resting[-1]):
            connection = resting.pop()
            pool._nconns_min = min(pool._nconns_min, len(resting))  # by which it sees whether it has too many
            connection._pool = pool
            return connection
    return _lent(pool, wait)


def give_back(pool: Any, connection: Any) -> None:
    """As `putconn`, which is left whatever else has to be done for the connection or for those who wait for one."""
    is_sound = (
        type(pool._pool) is _LastFirst and connection.pgconn.transaction_status == _IDLE
        and connection._created_at > pool._drained_at and connection._expire_at > time.monotonic()
    )  # fmt: skip
    if is_sound:
        with pool._lock:
            if not pool._closed and not pool._waiting:
                connection._pool = None
                pool._pool.append(connection)
                return
    pool.putconn(connection)


def _lent(pool: Any, wait: float | None) -> Any:
    if pool.closed:
        pool.open()  # which Django leaves to the first connection
    return pool.getconn(wait)


def _has_rested(connection: Any) -> bool:
    return bool(time.monotonic() - getattr(connection, "_paycenter_resting_since", 0) > RESTED)


def _check_rested(connection: Any) -> None:
    """Raises psycopg's OperationalError for one that is dead; then the pool takes another."""
    if _has_rested(connection):
        from psycopg_pool import ConnectionPool

        ConnectionPool.check_connection(connection)
