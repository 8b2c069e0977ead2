"""The programs of every host, and how each is stopped, killed and started again."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from deploy.checks import services
from deploy.demo import private, programs
from deploy.demo.children import Child, Guard, Program, end_all
from deploy.demo.client import answers
from deploy.demo.layout import HOST, Layout, Trouble, surroundings
from deploy.hosts.front import Front
from deploy.soak import commits

START_LIMIT = 300.0  # seconds, on a machine with much else to do
STOP_LIMIT = 60.0  # seconds a program may take to finish what it has begun
SETTLED = 2.0  # seconds for requests that were on their way to a host when it was taken out
_NOT_OURS = ("PAYCENTER_", "DJANGO_", "DATABASE_URL", "REPLICA_DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
ENTRANCES = ("public", "internal")


class Host:
    """One web host: a data directory of its own, and a program and a port for each entrance."""

    def __init__(self, number: int, var: Path) -> None:
        self.name, self.var = f"web{number}", var / f"web{number}"
        self.ports = {entrance: services.free_port() for entrance in ENTRANCES}
        (self.var / "log").mkdir(parents=True, exist_ok=True)

    @property
    def drain_file(self) -> Path:
        return self.var / "draining"

    def server(self, entrance: str) -> str:
        return f"{HOST}:{self.ports[entrance]}"

    def is_ready(self) -> bool:
        return all(answers(f"http://{self.server(entrance)}/readyz") for entrance in ENTRANCES)


class Site:
    """Everything that runs. Use `opened`, then `start`."""

    def __init__(self, var: Path, urls: Mapping[str, str], webs: int, broker_url: str) -> None:
        self.layout = Layout(
            var=var, port=services.free_port(), sandbox_port=services.free_port(),
            database_url=urls["database"], redis_url=urls["redis"],
        )  # fmt: skip
        self.hosts = [Host(number, var) for number in range(1, webs + 1)]
        self.front = Front(var / "nginx", {e: [host.server(e) for host in self.hosts] for e in ENTRANCES})
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        places = {"DATABASE_URL": urls["database"], "REPLICA_DATABASE_URL": urls["replica"],
                  "REDIS_URL": urls["redis"], "CELERY_BROKER_URL": broker_url or urls["redis"]}  # fmt: skip
        self.environment = {
            **surroundings(self.layout, places, kept),
            "PAYCENTER_PUBLIC_URL": self.front.public_url, "PAYCENTER_TRUSTED_PROXIES": f"{HOST}/32",
            "PAYCENTER_INTERNAL_NETWORKS": "127.0.0.0/8", "PAYCENTER_FILES": str(var / "files"),
            # The channels' stand-in and the apps meet nginx's own certificate.
            "SSL_CERT_FILE": str(self.front.certificate),
        }  # fmt: skip
        self._guard = Guard()
        self.children: dict[str, Child] = {}

    # -- starting and ending

    def start(self, configure: Callable[[], None]) -> None:
        """The sandbox, the database migrated and filled, `configure`, then everything else. Raises Trouble."""
        self._launch("sandbox", programs.sandbox(self.layout), self.environment)
        until("sandbox", lambda: answers(f"{self.layout.sandbox_url}/healthz"))
        self._prepare()
        configure()
        for host in self.hosts:
            self.start_web(host)
        for number in (1, 2):
            self.start_worker(number)
            self._launch(f"beat{number}", _beat(self.layout.var, number), self._own(f"beat{number}"))
        for host in self.hosts:
            until(host.name, host.is_ready)
        self._launch("nginx", self.front.program(), self.environment)
        until("nginx", lambda: Path(self.front.folder / "nginx.pid").exists())

    def _prepare(self) -> None:
        step = Child(Program("prepare", [sys.executable, "-m", "deploy.demo.prepare"]), self.environment,
                     self.layout.logs, self._guard)  # fmt: skip
        step.start()
        until("prepare", step.has_ended)
        if step.exit_code() != 0:
            raise Trouble(f"prepare failed:\n{step.last_lines()}")
        step.force_end()

    def _own(self, name: str) -> dict[str, str]:
        """A host's surroundings: a data directory of its own, the keys of all."""
        folder = self.layout.var / name
        (folder / "run").mkdir(parents=True, exist_ok=True)
        return {**self.environment, **self.secrets(), "PAYCENTER_VAR": str(folder)}

    def secrets(self) -> dict[str, str]:
        """The keys of all hosts, as their environment has them."""
        kept = private.read_json(self.layout.var / "secrets.json")
        return {"SECRET_KEY": kept["secret_key"], "PAYCENTER_ENCRYPTION_KEYS": ",".join(kept["encryption_keys"])}

    def _launch(self, name: str, program: Program, environment: Mapping[str, str]) -> None:
        child = Child(replace(program, name=name), environment, self.layout.logs, self._guard)
        child.start()
        self.children[name] = child

    def start_web(self, host: Host) -> None:
        for entrance in ENTRANCES:
            environment = {**self._own(host.name), "PAYCENTER_ENTRANCE": entrance}
            program = programs.web(replace(self.layout, port=host.ports[entrance]), processes=1)
            self._launch(f"{host.name}-{entrance}", program, environment)

    def start_worker(self, number: int) -> None:
        program = programs.worker()
        command = [*program.command, "--hostname", f"worker{number}@%h"]
        self._launch(f"worker{number}", replace(program, command=command), self._own(f"worker{number}"))

    def end(self) -> None:
        end_all(list(self.children.values()), 8.0)
        self._guard.dismiss()

    # -- restarting as an operator does

    def restart_web(self, host: Host) -> float:
        """Not ready first, then out, then asked to end, then back. The seconds it took. Raises Trouble."""
        began = time.monotonic()
        host.drain_file.touch()
        servers = {host.server(entrance) for entrance in ENTRANCES}
        until(f"{host.name} is out", lambda: servers <= self.front.out())
        time.sleep(SETTLED)
        for entrance in ENTRANCES:
            self.stop(f"{host.name}-{entrance}")
        host.drain_file.unlink()
        self.start_web(host)
        until(host.name, host.is_ready)
        until(f"{host.name} is in", lambda: not servers & self.front.out())
        return time.monotonic() - began

    def restart_worker(self, number: int) -> float:
        """Asked to end, it finishes what it has begun. The seconds it took. Raises Trouble."""
        began = time.monotonic()
        self.stop(f"worker{number}")
        self.start_worker(number)
        return time.monotonic() - began

    def stop(self, name: str) -> None:
        """SIGTERM, and wait until it has ended by itself. Raises Trouble where it does not."""
        child = self.children[name]
        child.ask_to_end()
        until(f"{name} ends", child.has_ended, STOP_LIMIT)
        child.force_end()

    def kill(self, name: str) -> None:
        """SIGKILL, to all of it."""
        self.children[name].force_end()


def _beat(var: Path, number: int) -> Program:
    """Each beat has a schedule file of its own, as on a host of its own."""
    program = programs.beat()
    return replace(program, command=[*program.command, "--schedule", str(var / f"beat{number}" / "schedule")])


def until(name: str, done: Callable[[], bool], limit: float = START_LIMIT) -> None:
    """Wait for something. Raises Trouble where it does not come."""
    ends = time.monotonic() + limit
    while not done():
        if time.monotonic() > ends:
            raise Trouble(f"{name}: not within {limit:.0f} s")
        time.sleep(0.1)


def archiving(wal: Path) -> dict[str, str]:
    """The settings of docs/backup.md, for a server that archives its log into `wal`."""
    command = f"test ! -f {wal}/%f && cp %p {wal}/%f.part && mv {wal}/%f.part {wal}/%f"
    return {"archive_mode": "on", "archive_timeout": "60", "archive_command": command}


@contextmanager
def opened(var: Path, *, webs: int, broker_url: str) -> Iterator[tuple[Site, str, Path]]:
    """A site with its servers running and nothing else yet, the replica's URL, and where the log is archived.

    Raises Unavailable.
    """
    for folder in (var, var / "log", var / "run"):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        wal = stack.enter_context(services.scratch())
        settings = {**commits.SETTINGS, **archiving(wal)}
        _primary, database = stack.enter_context(services.postgres_server(**settings))
        _replica, replica = stack.enter_context(services.replica_server(database))
        _redis, redis = stack.enter_context(services.redis_server())
        urls = {"database": database, "replica": replica, "redis": redis}
        site = Site(var, urls, webs, broker_url)
        stack.callback(site.end)
        yield site, replica, wal
