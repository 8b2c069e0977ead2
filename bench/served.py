"""A WSGI application served as in the demo, and the first process of a PostgreSQL."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.private_demo import ROOT, NotStarted

START_LIMIT = 120.0  # seconds
END_LIMIT = 15.0


@contextmanager
def serving(
    application: str, port: int, environment: Mapping[str, str], log: Path, *, workers: int = 1
) -> Iterator[subprocess.Popen[bytes]]:
    """Raises NotStarted."""
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", str(workers), "--blocking-threads", "64", "--blocking-threads-idle-timeout", "5", "--no-ws",
        application,
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own server
            command, cwd=ROOT, env=dict(environment), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        limit = time.monotonic() + START_LIMIT
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > limit:
                raise NotStarted(f"the web process did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """One that is told to end while it starts may not hear it: then it and its workers are killed."""
    process.terminate()
    try:
        process.wait(END_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def postmaster(url: str) -> int | None:
    """The process id of PostgreSQL's first process, the parent of every backend; None on another machine."""
    with psycopg.connect(url) as connection:
        backend = connection.info.backend_pid
        try:
            fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
            command = Path(f"/proc/{backend}/cmdline").read_bytes()
        except OSError:
            return None
        return int(fields[1]) if command.startswith(b"postgres") else None
