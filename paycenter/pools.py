"""The order in which a process uses its connections."""

from __future__ import annotations

from collections import deque
from typing import Any


class _LastFirst(deque[Any]):
    def popleft(self) -> Any:
        return self.pop()


def use_the_warmest(db: Any) -> None:
    """From now on hand out the connection that was given back last; for a process that begins.

    psycopg_pool takes the one that has rested longest, and has no setting for it: after a burst all of PostgreSQL's
    processes are used in turn, each time with cold caches.
    """
    if db.vendor == "postgresql" and db.pool is not None:
        db.pool._pool = _LastFirst(db.pool._pool)
