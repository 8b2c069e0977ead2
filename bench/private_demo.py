"""A demo for one measurement: on a PostgreSQL and a Redis of its own, in a temporary directory, gone afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.checks import services

ROOT = Path(__file__).resolve().parents[1]
START_LIMIT = 120.0  # seconds
END_LIMIT = 30.0
# A database, broker or setting of whoever runs this must not become the one that is measured.
_NOT_OURS = ("PAYCENTER_", "DJANGO_", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")


class NotStarted(Exception):
    """The demo or one of its servers did not start; the text says why."""


@dataclass(frozen=True, slots=True)
class PrivateDemo:
    """`document` is demo.json: addresses, apps with their secrets, merchants."""

    var: Path
    database_url: str
    document: Mapping[str, Any]

    def log(self, name: str) -> str:
        """Everything a program of the demo (`web`, `worker`, ...) wrote."""
        return (self.var / "log" / f"{name}.log").read_text(errors="replace")


@dataclass(frozen=True, slots=True)
class PrivateServers:
    """`environment` makes a program of the center use them."""

    var: Path
    database_url: str
    environment: Mapping[str, str]


@contextmanager
def private_servers(**settings: str) -> Iterator[PrivateServers]:
    """A PostgreSQL with these settings, a Redis and a data directory. Raises NotStarted."""
    try:
        with services.postgres(**settings) as database, services.redis() as redis, _folder() as var:
            yield PrivateServers(var, database, _environment(var, database, redis))
    except services.Unavailable as exc:
        raise NotStarted(str(exc)) from exc


@contextmanager
def private_demo() -> Iterator[PrivateDemo]:
    """Raises NotStarted."""
    with private_servers() as servers, _running(servers.var, servers.environment) as document:
        yield PrivateDemo(servers.var, servers.database_url, document)


def use_its_settings(demo: PrivateDemo) -> None:
    """Set up Django in this process as the demo's programs have it, to read its rows and call its services."""
    os.environ.update(_environment(demo.var, demo.database_url, ""), PAYCENTER_MODE="embedded",
                      DJANGO_SETTINGS_MODULE="paycenter.settings", PAYCENTER_LOG_LEVEL="ERROR")  # fmt: skip
    import django

    django.setup()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="paycenter-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _environment(var: Path, database: str, redis: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
    return kept | {
        "DATABASE_URL": database, "REDIS_URL": redis, "PAYCENTER_VAR": str(var),
        "PAYCENTER_PORT": str(services.free_port()), "PAYCENTER_SANDBOX_PORT": str(services.free_port()),
    }  # fmt: skip


@contextmanager
def _running(var: Path, environment: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    with (var / "demo.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.demo"], cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield _wait_for_document(var, process)
    finally:
        process.terminate()
        try:
            process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()  # its guard ends the programs
            process.wait()


def _wait_for_document(var: Path, process: subprocess.Popen[bytes]) -> Mapping[str, Any]:
    limit = time.monotonic() + START_LIMIT
    document = var / "demo.json"
    while not document.exists():
        if process.poll() is not None or time.monotonic() > limit:
            raise NotStarted(f"the demo did not start:\n{(var / 'demo.log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
    found: Mapping[str, Any] = json.loads(document.read_text())
    return found
