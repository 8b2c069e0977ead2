"""Ask for a task to run now instead of at beat's next tick. A hint: the due rows are the truth.

Messages are sent by a daemon thread, so that a broker that is down or hangs never delays or breaks
the caller; the failure is logged once until sending works again.
"""

from __future__ import annotations

import os
import threading
import time

import structlog

log = structlog.get_logger(__name__)
MESSAGE_EXPIRES = 5.0  # seconds; later the beat has asked anyway
PAUSE_AFTER_FAILURE = 5.0  # seconds without any message while the broker is down


class _Waker:
    def __init__(self) -> None:
        self._failing = False
        self.reset()

    def reset(self) -> None:
        """Start afresh: a forked child has its parent's lock and wishes, but not its thread."""
        self._lock = threading.Condition()
        self._wanted: set[str] = set()
        self._thread: threading.Thread | None = None

    def ask(self, task: str) -> None:
        if task in self._wanted:  # and not sent yet
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
                self._thread.start()
            self._wanted.add(task)
            self._lock.notify()

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: bool(self._wanted))
                tasks, self._wanted = self._wanted, set()
            for task in tasks:
                self._send(task)

    def _send(self, task: str) -> None:
        from paycenter.celery import app

        try:
            app.send_task(task, expires=MESSAGE_EXPIRES, retry=False, ignore_result=True)
        except Exception as exc:  # whatever the transport raises: the sweep finds the rows anyway
            if not self._failing:
                log.warning("broker unreachable, waiting for the sweep", task=task, error=type(exc).__name__)
            self._failing = True
            time.sleep(PAUSE_AFTER_FAILURE)
        else:
            self._failing = False


_waker = _Waker()
os.register_at_fork(after_in_child=_waker.reset)


def wake(task: str) -> None:
    """Ask for `task` (its full name) as soon as possible. Returns at once and never raises.

    Call it from `transaction.on_commit`. Several calls before the message leaves become one.
    """
    _waker.ask(task)
