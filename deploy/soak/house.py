"""The programs and servers of a run: private, on free ports, killed and started again when the plan says so."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis as redis_client

from deploy.checks import services
from deploy.demo import programs
from deploy.demo.children import Child, Guard, Program, end_all
from deploy.demo.client import answers
from deploy.demo.layout import Layout, Trouble, surroundings
from deploy.soak import commits
from deploy.soak.record import Record

START_LIMIT = 300.0  # seconds, on a machine with much else to do
DATABASE_PATIENCE = 30.0  # seconds for backends of a killed server to notice and go
# A database, broker or setting of whoever runs this must not become the one that is soaked.
_NOT_OURS = ("PAYCENTER_", "DJANGO_", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")


class House:
    """Two web servers, two workers, two beats, the sandbox, PostgreSQL and Redis. Use `opened`."""

    def __init__(self, var: Path, postgres: services.Server, redis: services.Server, urls: tuple[str, str]) -> None:
        self.layout = Layout(
            var=var, port=services.free_port(), sandbox_port=services.free_port(), database_url=urls[0],
            redis_url=urls[1],
        )  # fmt: skip
        self.second = replace(self.layout, port=services.free_port())
        self._postgres, self._redis, self._redis_url = postgres, redis, urls[1]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        broker = {"DATABASE_URL": urls[0], "REDIS_URL": urls[1], "CELERY_BROKER_URL": urls[1]}
        self.environment = surroundings(self.layout, broker, kept)
        self._guard = Guard()
        self._children: dict[str, Child] = {}
        self._down: set[str] = set()
        self._lock = threading.RLock()

    @property
    def bases(self) -> tuple[str, str]:
        return self.layout.base_url, self.second.base_url

    # -- starting and ending

    def prepare(self, step: Callable[[], None]) -> None:
        """The sandbox, then the database migrated and filled, then `step`, then everything else. Raises Trouble."""
        for server in (self._postgres, self._redis):
            self._guard.tell("+", server.group or 0)
        self._launch("sandbox", programs.sandbox(self.layout))
        self._wait("sandbox", lambda: answers(f"{self.layout.sandbox_url}/healthz"))
        self._run_to_end("prepare", "deploy.demo.prepare")
        step()
        self._launch("web1", programs.web(self.layout))
        self._launch("web2", programs.web(self.second))
        for number in ("1", "2"):
            self._launch(f"worker{number}", _worker(number))
            self._launch(f"beat{number}", _beat(self.layout, number))
        for base in self.bases:
            self._wait("web", lambda base=base: answers(f"{base}/readyz"))  # type: ignore[misc]
        self._wait("worker and beat", self.layout.heartbeat.exists)

    def _launch(self, name: str, program: Program) -> None:
        child = Child(replace(program, name=name), self.environment, self.layout.logs, self._guard)
        child.start()
        self._children[name] = child

    def _run_to_end(self, name: str, module: str) -> None:
        import sys

        step = Child(Program(name, [sys.executable, "-m", module]), self.environment, self.layout.logs, self._guard)
        step.start()
        self._wait(name, step.has_ended)
        if step.exit_code() != 0:
            raise Trouble(f"{name} failed:\n{step.last_lines()}")
        step.force_end()

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        limit = time.monotonic() + START_LIMIT
        while not ready():
            if time.monotonic() > limit:
                raise Trouble(f"{name} did not answer within {START_LIMIT:.0f} s; the logs are in {self.layout.logs}")
            time.sleep(0.1)

    def end(self) -> None:
        end_all(list(self._children.values()), 8.0)
        self._guard.dismiss()

    # -- killing, and starting again

    def blow(self, record: Record, what: str, which: int, seconds: float) -> None:
        """Kill something, leave it dead for `seconds`, start it again.

        Noted as `kill WHAT` once it is dead, as `missed WHAT` where it was down already or is not there. Raises
        Unavailable and OSError where it does not start again.
        """
        struck: list[str] = []

        def died() -> None:
            struck.append(what)
            record.note(f"kill {what}", which=which, seconds=seconds)

        match what:
            case "redis_flush":
                self._forgets(died)
            case "redis":
                self._server_dies(self._redis, "redis", seconds, died)
            case "postgres":
                self._server_dies(self._postgres, "postgres", seconds, died)
            case "web_worker":
                self._one_process_dies(f"web{which + 1}", which, died)
            case "sandbox":
                self._program_dies("sandbox", seconds, died)
            case _:
                self._program_dies(f"{what}{which + 1}", seconds, died)
        record.note(f"{'back' if struck else 'missed'} {what}", which=which)

    def _forgets(self, died: Callable[[], None]) -> None:
        with suppress(redis_client.RedisError):  # it is down just now
            if redis_client.Redis.from_url(self._redis_url).flushall():
                died()

    def _server_dies(self, server: services.Server, name: str, seconds: float, died: Callable[[], None]) -> None:
        with self._dead(name) as mine:
            if not mine:
                return
            self._guard.tell("-", server.group or 0)
            was_running = server.is_running
            server.kill()
            if was_running:
                died()
            time.sleep(seconds)
            _start_again(server)
            self._guard.tell("+", server.group or 0)

    def _program_dies(self, name: str, seconds: float, died: Callable[[], None]) -> None:
        with self._dead(name) as mine:
            if mine:
                child = self._children[name]
                was_running = not child.has_ended()
                child.force_end()
                if was_running:
                    died()
                time.sleep(seconds)
                child.start()

    def _one_process_dies(self, name: str, which: int, died: Callable[[], None]) -> None:
        """One of the processes of a web server, which its own parent starts again."""
        group = self._children[name].group
        below = sorted(pid for pid in _processes() if pid != group and _group_of(pid) == group and _lives(pid))
        if below and group is not None:
            with suppress(ProcessLookupError):
                os.kill(below[which % len(below)], signal.SIGKILL)
                died()

    @contextmanager
    def _dead(self, name: str) -> Iterator[bool]:
        """While it is down on purpose nobody else kills or starts it; False where somebody has it already."""
        with self._lock:
            mine = name not in self._down
            self._down.add(name)
        try:
            yield mine
        finally:
            if mine:
                self._down.discard(name)

    def tend(self, record: Record) -> None:
        """Start what ended by itself, as whatever runs the programs would."""
        for name, child in self._children.items():
            with self._dead(name) as mine:
                if mine and child.has_ended():
                    record.note("ended by itself", name=name, status=child.exit_code())
                    child.force_end()
                    child.start()


def _worker(number: str) -> Program:
    program = programs.worker()
    return replace(program, command=[*program.command, "--hostname", f"soak{number}@%h"])


def _beat(layout: Layout, number: str) -> Program:
    """Each beat has a schedule file of its own, as on hosts of their own."""
    program = programs.beat()
    return replace(program, command=[*program.command, "--schedule", str(layout.var / "run" / f"beat{number}")])


def _start_again(server: services.Server) -> None:
    """Raises Unavailable where it does not come up."""
    limit = time.monotonic() + DATABASE_PATIENCE
    while True:
        try:
            return server.start()
        except services.Unavailable:  # its old processes hold the shared memory for a moment
            if time.monotonic() > limit:
                raise
            time.sleep(0.2)


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _lives(pid: int) -> bool:
    """Whether it is more than a dead process that its parent has not noticed yet."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _group_of(pid: int) -> int | None:
    with suppress(OSError):
        return os.getpgid(pid)
    return None


@contextmanager
def opened(var: Path) -> Iterator[House]:
    """A house with its servers running and nothing else yet. Raises Unavailable."""
    for folder in (var, var / "log", var / "run"):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        postgres, database_url = stack.enter_context(services.postgres_server(**commits.SETTINGS))
        redis, redis_url = stack.enter_context(services.redis_server())
        house = House(var, postgres, redis, (database_url, redis_url))
        stack.callback(house.end)
        yield house


def use_django(environment: Mapping[str, Any]) -> None:
    """Set this process up as the center's programs are, to read its rows and decide as its staff."""
    os.environ.update(environment, PAYCENTER_LOG_LEVEL="CRITICAL")
    import django

    django.setup()
