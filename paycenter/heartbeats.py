"""Signs of life of the programs that no request reaches: workers and beats."""

from __future__ import annotations

import socket
import time
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery.beat import PersistentScheduler
from django.db import connection
from django.db.models import Max
from django.utils import timezone

from paycenter.models import Heartbeat

EVERY = 10.0  # seconds between two signs of one program
STALE = timedelta(seconds=60)  # nothing heard for so long: it has gone
FORGOTTEN = timedelta(days=1)  # names that will not come back (a container's)
log = structlog.get_logger(__name__)


def heartbeat_note(*, part: str, name: str) -> None:
    """Write down that the program is alive now; a new name also forgets those long gone. Raises DatabaseError."""
    now = timezone.now()
    if Heartbeat.objects.filter(part=part, name=name).update(beaten_at=now):
        return
    Heartbeat.objects.filter(beaten_at__lt=now - FORGOTTEN).delete()
    Heartbeat.objects.bulk_create([Heartbeat(part=part, name=name, beaten_at=now)], ignore_conflicts=True)


def last_beats() -> dict[str, datetime]:
    """When each part, `worker` and `beat`, was last heard of; a part that never was is missing."""
    return dict(Heartbeat.objects.values_list("part").annotate(last=Max("beaten_at")))


class Pulse:
    """One program's sign of life, called as often as one likes."""

    def __init__(self, part: str, name: str) -> None:
        self._part, self._name, self._last = part, name[:100], float("-inf")

    def beat(self) -> None:
        """Note it where the last time is long enough ago. Never raises: without a database its age tells."""
        now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        try:
            heartbeat_note(part=self._part, name=self._name)
        except Exception as exc:
            log.warning("heartbeat not noted", part=self._part, error=type(exc).__name__)
        finally:
            if not connection.in_atomic_block:
                connection.close()  # the calling thread keeps none between two of its tasks


class WatchedScheduler(PersistentScheduler):  # type: ignore[misc]
    """Beat's own scheduler, which says each time it has looked through its schedule that it is alive."""

    pulse: Pulse | None = None

    def tick(self, *arguments: Any, **options: Any) -> Any:
        found = super().tick(*arguments, **options)
        if self.pulse is None:
            self.pulse = Pulse(Heartbeat.Part.BEAT.value, socket.gethostname())
        self.pulse.beat()
        return found
