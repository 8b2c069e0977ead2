"""The sweeps of the outbox and of alerts. Any number of workers may run them at once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from celery import shared_task
from django.conf import settings

from notifications import backlogs, certificates, partitions
from notifications.deliveries import Pump
from notifications.routes import send_due_alerts

RUN_SECONDS = 20.0


@shared_task
def deliver_due() -> int:
    """Send what is due to apps; how many messages were started.

    One process of a machine claims at a time, as it already sends many side by side: otherwise a few
    hanging receivers could keep every worker process waiting.
    """
    pump = Pump()
    with _only_claimer() as mine:
        if mine:
            pump.run(RUN_SECONDS)
    pump.drain()
    return pump.sent


@shared_task
def send_alerts() -> int:
    """Post due alerts to the active routes; how many were claimed."""
    return send_due_alerts()


@contextmanager
def _only_claimer() -> Iterator[bool]:
    """Whether no other process of this machine is claiming; the kernel frees a dead one's lock."""
    lock = _open_lock_file()
    if lock is None:
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _open_lock_file() -> IO[str] | None:
    """None where nothing can be written; the claims are exclusive without it, too."""
    path = Path(settings.VAR_DIR) / "deliveries.lock"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
    return None


@shared_task
def watch_certificates() -> int:
    """Alert about certificates that run out; how many alerts were raised."""
    return certificates.watch_certificates()


@shared_task
def watch_backlogs() -> int:
    """Alert about work that is overdue; how many alerts were raised."""
    return backlogs.watch_backlogs()


@shared_task
def keep_partitions() -> int:
    """Make the coming months' partitions of the log tables; how many were made."""
    return partitions.keep_partitions()
