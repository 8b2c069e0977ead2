"""The center's Celery application, plus a sign of life for the supervisor.

A finished task proves that beat, the broker and the worker all do their part.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery.signals import task_postrun

from paycenter.celery import app

__all__ = ["app"]

INTERVAL = 1.0  # seconds between touches
_path = Path(os.environ["PAYCENTER_VAR"]) / "run" / "worker-heartbeat"
_last = 0.0


@task_postrun.connect  # type: ignore[untyped-decorator]
def _alive(**_kwargs: object) -> None:
    global _last
    now = time.monotonic()
    if now - _last >= INTERVAL:
        _last = now
        _path.touch()
