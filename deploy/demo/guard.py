"""Ends the demo's programs when their supervisor is gone without a word (kill -9, out of memory).

A program of its own, fed by the supervisor through a pipe: `+<group>` and `-<group>` lines name the
process groups that are alive. The end of the pipe means that the supervisor is dead.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

GRACE = 4.0  # seconds between asking and forcing


def end_groups(groups: set[int], grace: float = GRACE) -> None:
    """SIGTERM to every group, SIGKILL to those that are still there after `grace` seconds."""
    _signal(groups, signal.SIGTERM)
    limit = time.monotonic() + grace
    while groups and time.monotonic() < limit:
        time.sleep(0.1)
        groups = {group for group in groups if _exists(group)}
    _signal(groups, signal.SIGKILL)


def _signal(groups: set[int], number: int) -> None:
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, number)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    end_groups(groups)


if __name__ == "__main__":
    main()
