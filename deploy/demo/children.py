"""The programs under the supervisor: started in groups of their own, logged, restarted, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from deploy.demo import guard
from deploy.demo.layout import ROOT

LOG_LIMIT = 10 * 1024 * 1024  # bytes per log file; one older file is kept beside it
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 30.0  # seconds
STEADY = 60.0  # seconds alive after which a program's past deaths are forgotten


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `environment` adds to everybody's; `stop` is the signal that asks it to end."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGTERM


class Guard:
    """The process that outlives a killed supervisor just long enough to end its programs.

    It also holds the data directory's lock until then, so that a new start waits for that.
    """

    def __init__(self, lock: IO[str] | None = None) -> None:
        self._lock = lock
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(guard.__file__))], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            pass_fds=[self._lock.fileno()] if self._lock else [],
        )  # fmt: skip

    def tell(self, word: str, group: int) -> None:
        """`+`: this process group is alive; `-`: it is gone."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(f"{word}{group}\n")
                self._process.stdin.flush()

    def ensure(self, groups: Sequence[int]) -> None:
        """Start another one where somebody ended it."""
        if self._process.poll() is not None:
            self._process = self._start()
            for group in groups:
                self.tell("+", group)

    def dismiss(self) -> None:
        """End it; every group has been taken off by now."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(10)


@dataclass(slots=True)
class Child:
    """One program with its log and its history of deaths. `deaths` counts those without a steady run."""

    program: Program
    environment: Mapping[str, str]
    logs: Path
    guard: Guard
    deaths: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _restart_at: float | None = field(default=None)

    @property
    def log(self) -> Path:
        return self.logs / f"{self.program.name}.log"

    @property
    def group(self) -> int | None:
        """Its process group while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Raises OSError where the program cannot be executed."""
        environment = {**self.program.environment, **self.environment}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.program.command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.guard.tell("+", self._process.pid)
        self._started, self._restart_at = time.monotonic(), None

    def tend(self) -> str | None:
        """Notice a death, restart when its pause is over; answers a sentence when something happened."""
        now = time.monotonic()
        if self._process is None:
            if self._restart_at is not None and now >= self._restart_at:
                self.start()
                return f"{self.program.name} was started again"
            return None
        code = self._process.poll()
        if code is None:
            if now - self._started > STEADY:
                self.deaths = 0
            return None
        self._bury()
        pause = min(FIRST_BACKOFF * 2**self.deaths, LONGEST_BACKOFF)
        self.deaths += 1
        self._restart_at = now + pause
        return f"{self.program.name} ended ({_words(code)}); starting it again in {pause:g} s. Its log: {self.log}"

    def _bury(self) -> None:
        """Whatever the dead process left in its group goes too."""
        if self._process is None:
            return
        group = self._process.pid
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self.guard.tell("-", group)
        self._process = None

    def ask_to_end(self) -> None:
        self._restart_at = None
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.program.stop)

    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def exit_code(self) -> int:
        """Of the process that is or was running; -1 where it has not ended yet."""
        code = self._process.poll() if self._process is not None else None
        return -1 if code is None else code

    def force_end(self) -> None:
        """SIGKILL to the whole group, also when only its leader has ended."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._bury()

    def trim_log(self) -> None:
        """Keep the log below its limit: the old content moves to `.1` and the file starts over.

        The program appends, so it goes on at the new end without noticing.
        """
        with suppress(OSError):
            if self.log.stat().st_size > LOG_LIMIT:
                self.log.with_suffix(".log.1").write_bytes(self.log.read_bytes())
                os.truncate(self.log, 0)

    def last_lines(self, count: int = 12) -> str:
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        return ""


def _words(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def end_all(children: Sequence[Child], patience: float) -> None:
    """Ask all to end at once, wait at most `patience` seconds in all, then force them."""
    for child in children:
        child.ask_to_end()
    limit = time.monotonic() + patience
    while time.monotonic() < limit and not all(child.has_ended() for child in children):
        time.sleep(0.05)
    for child in children:
        child.force_end()
