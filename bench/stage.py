"""What the rows of `make bench` share: servers, databases, the web process. Everything is started when a row first
asks for it, and ended with the run.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg

from bench import pgbench
from bench.private_demo import ROOT, NotStarted, private_servers
from bench.processor import seconds_of_tree
from bench.served import postmaster, serving
from bench.table import Skipped
from bench.worker import Worker
from deploy.checks.services import free_port

T = TypeVar("T")
DURABLE = {
    "fsync": "on", "full_page_writes": "on", "shared_buffers": "512MB", "max_wal_size": "4GB", "min_wal_size": "2GB",
}  # fmt: skip
_LOG_FILES = 64  # of PostgreSQL's write-ahead log, 16 MB each
BYTES_PER_TRADE = 6_000  # with its attempt, events and indexes, and as much again for WAL and sorting


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many stored trades are compared, for the sweeps and for the admin."""

    small: int
    large: int
    admin_small: int
    admin_large: int

    @classmethod
    def of(cls, *, full: bool, large: bool) -> Sizes:
        """Those of a short run, of a full one, and of a full one with the largest size."""
        if full:
            most = 50_000_000 if large else 10_000_000
            return cls(1_000_000, most, 1_000_000, most)
        return cls(100_000, 1_000_000, 10_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Used:
    """Processor milliseconds of a piece of work: of the web process (or ours), and of PostgreSQL."""

    web: float
    postgres: float

    @property
    def both(self) -> float:
        return self.web + self.postgres


class Stage:
    """Use it as a context manager."""

    def __init__(self, *, runs: int, sizes: Sizes) -> None:
        self.runs, self.sizes = runs, sizes
        self._stack = ExitStack()
        self._kept: dict[Any, Any] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, made once: for rows that share a measurement."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    # ---- servers ---------------------------------------------------------------------------------------------
    @cached_property
    def environment(self) -> dict[str, str]:
        """Of every program of the center: the servers, an own data directory. Raises NotStarted."""
        return {
            **self._servers, "DJANGO_SETTINGS_MODULE": "paycenter.settings", "PAYCENTER_EGRESS_ALLOWED": "127.0.0.0/8",
            "PAYCENTER_LOG_LEVEL": "WARNING", "PAYCENTER_RECONCILIATION_CARRY_DAYS": "0",
        }  # fmt: skip

    @cached_property
    def _servers(self) -> dict[str, str]:
        given = {name: os.environ.get(name, "") for name in ("DATABASE_URL", "REDIS_URL")}
        if all(given.values()):
            var = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="paycenter-bench-"))
            return {**os.environ, **given, "PAYCENTER_VAR": var}
        servers = self._stack.enter_context(private_servers(**DURABLE))
        _use_the_log(servers.database_url)
        return dict(servers.environment)

    @cached_property
    def postmaster(self) -> int:
        """PostgreSQL's first process. Raises Skipped where it runs on another machine."""
        pid = postmaster(self._servers["DATABASE_URL"])
        if pid is None:
            raise Skipped("PostgreSQL runs on another machine, whose processor time cannot be read")
        return pid

    @property
    def var(self) -> Path:
        return Path(self.environment["PAYCENTER_VAR"])

    # ---- databases ---------------------------------------------------------------------------------------------
    @contextmanager
    def database(self, template: str = "") -> Iterator[str]:
        """An own database, empty or a copy of another; its URL. Dropped at the end."""
        name = f"bench_{secrets.token_hex(6)}"
        copied = f' TEMPLATE "{urlsplit(template).path[1:]}"' if template else ""
        with psycopg.connect(self._servers["DATABASE_URL"], autocommit=True) as server:
            server.execute(f'CREATE DATABASE "{name}"{copied}')
            try:
                yield urlunsplit(urlsplit(self._servers["DATABASE_URL"])._replace(path=f"/{name}"))
            finally:
                server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @cached_property
    def migrated(self) -> str:
        """A database with the center's tables, to be copied."""
        url = self._stack.enter_context(self.database())
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        done = subprocess.run(  # noqa: S603 - our own command
            command, cwd=ROOT, env={**self.environment, "DATABASE_URL": url}, capture_output=True, text=True
        )
        if done.returncode:
            raise NotStarted(f"the tables could not be made: {done.stderr[-1500:]}")
        return url

    def new_worker(self, **environment: str) -> Worker:
        """A process of the center on a new database with its tables."""
        url = self._stack.enter_context(self.database(self.migrated))
        return self._stack.enter_context(Worker.started({**self.environment, "DATABASE_URL": url, **environment}))

    def book(self, trades: int) -> Worker:
        """A process on a database with so many stored trades. Raises Skipped where the disk is too small."""
        self.need_disk(trades)

        def make() -> Worker:
            worker = self.new_worker()
            worker.call("bench.books:fill", trades=trades)
            return worker

        return self.once(("book", trades), make)

    def need_disk(self, trades: int) -> None:
        """Raises Skipped where so many trades do not fit."""
        needed, free = trades * BYTES_PER_TRADE, shutil.disk_usage(self.var).free
        if needed > free * 0.8:
            raise Skipped(f"{trades:,} trades need about {needed / 1e9:.0f} GB, {free / 1e9:.0f} are free")

    # ---- the web process -------------------------------------------------------------------------------------
    @cached_property
    def site(self) -> Site:
        """The center being served, with the measurements' channel and a first payment taken. Raises NotStarted."""
        worker = self.new_worker()
        document = worker.call("bench.site:prepare")
        port = self.serve("bench.constant_wsgi:application", {**self.environment, "DATABASE_URL": worker.url})
        return Site(port[0], port[1], worker, document)

    def serve(self, application: str, environment: Mapping[str, str]) -> tuple[int, int]:
        """Serve a WSGI application until the end; its port and process id. Raises NotStarted."""
        return self._stack.enter_context(self.served(application, environment))

    @contextmanager
    def served(self, application: str, environment: Mapping[str, str]) -> Iterator[tuple[int, int]]:
        """The same for a while."""
        port, log = free_port(), self.var / f"{application.partition(':')[0]}.log"
        with serving(application, port, environment, log, workers=2) as process:
            yield port, process.pid

    def processor(self, pid: int) -> Callable[[], Used]:
        """Starts counting; what it answers tells what was used since then, in milliseconds."""
        pids = (pid, self.postmaster)
        before = [seconds_of_tree(one) for one in pids]
        return lambda: Used(*((seconds_of_tree(one) - was) * 1000 for one, was in zip(pids, before, strict=True)))

    def pgbench(self, url: str, script: str, *, clients: int, seconds: int) -> pgbench.Limit:
        """Raises Skipped where there is no pgbench."""
        return pgbench.run(url, script, clients=clients, seconds=seconds, postmaster=self.postmaster)

    def vacuum(self, url: str) -> None:
        """So that what ran before is not cleaned up while something is measured."""
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("VACUUM")
            server.execute("CHECKPOINT")
        time.sleep(0.2)


def _use_the_log(url: str) -> None:
    """Leave a server with log files to be used again, as one that has run for a while has them. A new one makes each of
    them first, which costs whoever happens to write then more than what is measured."""
    with psycopg.connect(url, autocommit=True) as server:
        for _ in range(_LOG_FILES):
            server.execute("SELECT pg_logical_emit_message(false, 'bench', 'x'), pg_switch_wal()")
        server.execute("CHECKPOINT")


@dataclass(frozen=True, slots=True)
class Site:
    """The center, served: `worker` is a process on its database, `document` what was made in it."""

    port: int
    pid: int
    worker: Worker
    document: Mapping[str, Any]
