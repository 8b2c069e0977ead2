"""Taking turns inside one process before a row's lock is asked for.

Whoever waits for a row's lock holds a database connection. When very many requests want the same row at once,
they would take the whole pool and stop everybody else; so they wait here, holding nothing, and one of them asks.
The row's lock is what makes it right, across processes; this only keeps the queue out of the database.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

_STRIPES = 256
_locks = [threading.Lock() for _ in range(_STRIPES)]


def _forget() -> None:
    """A forked child starts with no turn taken."""
    for index in range(_STRIPES):
        _locks[index] = threading.Lock()


os.register_at_fork(after_in_child=_forget)


@contextmanager
def turn_for(name: str) -> Iterator[None]:
    """Wait until nobody else in this process works on `name`. Must not be called inside a transaction, nor twice at
    a time by one thread. Unrelated names may rarely wait for each other."""
    lock = _locks[hash(name) % _STRIPES]
    if not lock.acquire(blocking=False):
        if connection.vendor == "postgresql" and not connection.in_atomic_block:
            connection.close()  # back to the pool while waiting
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
