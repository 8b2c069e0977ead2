"""What a worker process does around every task: its name in the logs, figures, a sign of life."""

from __future__ import annotations

import gc
import time
from typing import Any

import structlog
from celery.signals import task_postrun, task_prerun
from django.conf import settings
from prometheus_client import start_http_server

from paycenter.heartbeats import Pulse
from paycenter.metrics import count_task
from paycenter.models import Heartbeat


def settled() -> None:
    """Called once a program has started: the garbage collector need not look through what is there again and again."""
    gc.collect()
    gc.freeze()


class Watch:
    """Watches the tasks of one worker. `name` is the worker's own (`celery@host`)."""

    def __init__(self, name: str) -> None:
        self._pulse = Pulse(Heartbeat.Part.WORKER.value, name)
        self._started: dict[str, float] = {}

    def start(self) -> None:
        """From now on. With `WORKER_METRICS_PORT` Prometheus may ask this worker itself."""
        task_prerun.connect(self._begin, weak=False)
        task_postrun.connect(self._end, weak=False)
        if settings.WORKER_METRICS_PORT:
            start_http_server(settings.WORKER_METRICS_PORT, settings.WORKER_METRICS_HOST)

    def _begin(self, task_id: str, task: Any, **_kwargs: object) -> None:
        self._started[task_id] = time.monotonic()
        structlog.contextvars.clear_contextvars()
        # As of a request: every line of one run can be found by it, and so can its calls in the exchange log.
        structlog.contextvars.bind_contextvars(task=task.name, request_id=task_id.replace("-", ""))

    def _end(self, task_id: str, task: Any, state: str | None = None, **_kwargs: object) -> None:
        began = self._started.pop(task_id, None)
        if began is not None:
            count_task(task.name, (state or "unknown").lower(), time.monotonic() - began)
        structlog.contextvars.clear_contextvars()
        self._pulse.beat()
