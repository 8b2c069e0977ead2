"""Work in a forked process that may die on the way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections

LIVED = 7  # the exit status of a process that came to the end of its work
_PATIENCE, _TRIES = 30.0, 3


def status_of(work: Callable[[], Any]) -> int:
    """How a forked process with database connections of its own ended, as `os.waitpid` says it.

    A fork of a process with threads may inherit a lock that one of them holds (SQLite's, when a connection is opened)
    and wait for it forever, before it has done anything: then another one is made.
    """
    for _try in range(_TRIES):
        status = _status_within(forked(work), _PATIENCE)
        if status is not None:
            return status
    pytest.fail(f"{_TRIES} forked processes did not end within {_PATIENCE:.0f} s each")


def forked(work: Callable[[], Any]) -> int:
    """A process that does this work with database connections of its own; its id."""
    connections.close_all()
    if connection.vendor == "postgresql":
        connection.close_pool()  # its threads would not survive the fork
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(LIVED)
    return pid


def _status_within(pid: int, seconds: float) -> int | None:
    """None for one that had to be ended."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None
