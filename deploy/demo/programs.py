"""The programs of the demo and how they are started."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.demo.children import Program
from deploy.demo.layout import HOST, Layout

BIN = Path(sys.executable).parent
# Per web process. A call that waits for a channel (up to 11 s) holds a thread but no processor; 64 calls may
# wait for one provider at a time, so that two silent ones still leave threads for everything else.
WEB_THREADS = 192
# Seconds, the least granian takes: requests go to all threads in turn, and those of a burst are many cold ones.
WEB_THREADS_REST = 5
WORKER_THREADS = 8
# Celery reports every task, and the sweeps run every second: only what is out of the ordinary is kept,
# unless PAYCENTER_LOG_LEVEL asks for more.
QUIET = {"PAYCENTER_LOG_LEVEL": "WARNING"}
# The channels' retry schedules span a day; the stand-in runs them sixty times as fast.
LADDER_SPEED = 60


def web(layout: Layout, processes: int = 2) -> Program:
    command = [
        str(BIN / "granian"), "--interface", "wsgi", "--host", HOST, "--port", str(layout.port),
        "--workers", str(processes), "--blocking-threads", str(WEB_THREADS), "--blocking-threads-idle-timeout",
        str(WEB_THREADS_REST), "--backpressure", "512", "--no-ws",
        "--respawn-failed-workers", "--workers-kill-timeout", "8", "paycenter.wsgi:application",
    ]  # fmt: skip
    return Program("web", command)


def worker() -> Program:
    """Threads, not processes: the tasks wait for the database and for channels."""
    command = [
        *_celery("worker"), "--pool", "threads", "--concurrency", str(WORKER_THREADS), "--without-mingle",
        "--without-gossip",
    ]  # fmt: skip
    return Program("worker", command, QUIET)


def beat() -> Program:
    return Program("beat", [*_celery("beat"), "--pidfile="], QUIET)


def order_writer() -> Program:
    """Writes cashier orders that were taken through the Redis stream, where that is switched on."""
    return Program("orders", [sys.executable, "manage.py", "write_orders"], QUIET)


def _celery(role: str) -> list[str]:
    return [str(BIN / "celery"), "--app", "deploy.demo.celery_app", role]


def sandbox(layout: Layout) -> Program:
    command = [
        sys.executable, "-m", "sandbox", "serve", "--state", str(layout.sandbox_state),
        "--port", str(layout.sandbox_port), "--ladder-speed", str(LADDER_SPEED),
        "--same-day-bills",  # or nothing could be reconciled before tomorrow
    ]  # fmt: skip
    return Program("sandbox", command)
