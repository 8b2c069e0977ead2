"""Who runs next. Every simulated process is a thread, but only one of them ever runs: the one that was given the turn.

A process gives the turn back where another one could overtake it: between statements, before and after a commit,
while it waits for a channel or for time to pass. At such a point it may also die.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from queue import Empty, SimpleQueue
from random import Random
from typing import Any

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
# Seconds that one statement takes before the database is asked whether it waits for a lock, and at most between two
# such questions.
LOOK_AFTER, LOOK_MOST = 0.002, 0.03


class Died(BaseException):
    """A process is killed here. No Exception: nothing in the center goes on after it."""


class Stuck(Exception):
    """Every process waits for another one."""


class Clock:
    """The time of a history; it passes only when somebody says so, and a little with every reading."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        self.passed += 0.0001  # no two moments are the same
        return START + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def pass_(self, seconds: float) -> None:
        self.passed += seconds


class State(Enum):
    READY = auto()
    RUNNING = auto()
    SLEEPING = auto()
    BLOCKED = auto()  # in the database, for a lock
    DONE = auto()


class Process:
    """One piece of work. `dies_at` is the number of the point at which it is killed, or loses its database."""

    def __init__(self, name: str, work: Callable[[], Any], dies_at: int | None = None, how: str = "killed") -> None:
        self.name, self.work, self.dies_at, self.how = name, work, dies_at, how
        self.state, self.until, self.points = State.READY, 0.0, 0
        self.dead = False  # killed: whatever it still tries fails
        self.lost = False  # its connection is gone until the transaction is over
        self.result: Any = None
        self.error: BaseException | None = None
        self.backend: int | None = None  # the pid of its PostgreSQL backend
        self.statements = 0  # begun and ended: odd inside one
        self.blockers: frozenset[int] = frozenset()  # the backends it waits for
        self.number = -1  # of its thread
        self._turn = threading.Lock()
        self._turn.acquire()


_here = threading.local()


def current() -> Process | None:
    """The process whose code is running; None in the scheduler's own thread."""
    return getattr(_here, "process", None)


class Scheduler:
    """Runs processes on a few threads. `on_switch` is called with nobody running, after every turn."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.random, self.eagerness = clock, Random(0), 0.0
        self.processes: list[Process] = []
        # Which backends a process waits for, in the database; None where nobody ever does.
        self.blockers: Callable[[Process], frozenset[int]] | None = None
        self._states = threading.Lock()
        self._changed: SimpleQueue[None] = SimpleQueue()  # something for each state handed back
        self._given: dict[int, Process | None] = {}
        self._threads: list[threading.Thread] = []
        self._idle: list[threading.Semaphore] = []
        self._free: list[int] = []

    def staff(self, threads: int, database: Any) -> None:
        """So many processes at a time; each thread calls the database's `use` once, `clean` after every process, and
        `leave` in the end."""
        for number in range(threads):
            wake = threading.Semaphore(0)
            self._idle.append(wake)
            self._free.append(number)
            self._threads.append(threading.Thread(target=self._serve, args=(number, wake, database), daemon=True))
            self._threads[-1].start()

    def dismiss(self) -> None:
        """End the threads; one whose process is stuck for ever is left alone."""
        for number in self._free:
            self._given[number] = None
            self._idle[number].release()
            self._threads[number].join()

    def begin(self, seed: str, eagerness: float) -> None:
        """A new history. `eagerness` is how likely the turn goes to somebody else at a point."""
        self.random, self.eagerness = Random(seed), eagerness
        self.processes = []

    # -- for the scheduler's own thread

    def spawn(self, process: Process) -> None:
        """Needs a free thread: `has_room`."""
        number = self._free.pop()
        self._given[number] = process
        process.number = number
        self.processes.append(process)
        self._idle[number].release()

    @property
    def has_room(self) -> bool:
        return bool(self._free)

    @property
    def busy(self) -> bool:
        return any(p.state is not State.DONE for p in self.processes)

    def step(self) -> bool:
        """Give one process a turn; False where nobody can go on before time passes. Raises Stuck."""
        self._see_who_is_free()
        ready = [p for p in self.processes if p.state is State.READY]
        if not ready:
            if any(p.state is State.BLOCKED for p in self.processes):
                raise Stuck(", ".join(p.name for p in self.processes if p.state is not State.DONE))
            return False
        self._run(self.random.choice(ready))
        return True

    def next_wake(self) -> float | None:
        """When the first sleeper wakes."""
        return min((p.until for p in self.processes if p.state is State.SLEEPING), default=None)

    def drain(self) -> None:
        """Run everybody to the end, letting time pass for those who sleep."""
        while self.busy:
            if not self.step():
                wake = self.next_wake()
                self.clock.pass_(max((wake or 0) - self.clock.passed, 0) + 0.001)

    def _see_who_is_free(self) -> None:
        for process in self.processes:
            if process.state is State.SLEEPING and process.until <= self.clock.passed:
                process.state = State.READY
        for process in self.processes:
            while process.state is State.BLOCKED and not self._still_waits(process):
                self._wait()  # it got its lock, and comes to its next point by itself

    def _still_waits(self, process: Process) -> bool:
        """Without a question as long as those it waits for have not had a turn."""
        if not process.blockers and self.blockers is not None:
            process.blockers = self.blockers(process)
        return bool(process.blockers)

    def _run(self, process: Process) -> None:
        process.state = State.RUNNING
        process._turn.release()
        statement, patience = 0, LOOK_AFTER
        while process.state is State.RUNNING:
            if self._wait(patience) or self.blockers is None:
                continue
            if process.statements != statement:
                statement, patience = process.statements, LOOK_AFTER
            elif statement % 2:
                self._ask(process)
                patience = min(2 * patience, LOOK_MOST)  # a slow one, or a busy machine
        self._look_again(process)
        for done in [p for p in self.processes if p.state is State.DONE]:
            self.processes.remove(done)
            self._free.append(done.number)

    def _wait(self, seconds: float = LOOK_AFTER) -> bool:
        """Until some process hands back, or it is time to look; whether one did."""
        try:
            self._changed.get(timeout=None if self.blockers is None else seconds)
        except Empty:
            return False
        return True

    def _ask(self, process: Process) -> None:
        found = self.blockers(process) if self.blockers is not None else frozenset()
        with self._states:
            if found and process.state is State.RUNNING:
                process.state, process.blockers = State.BLOCKED, found

    def _look_again(self, ran: Process) -> None:
        """Whoever waits for this one, or for somebody outside the history, may be free now."""
        ours = {p.backend for p in self.processes}
        for process in self.processes:
            if ran.backend in process.blockers or not process.blockers <= ours:
                process.blockers = frozenset()

    # -- for the processes' threads

    def _serve(self, number: int, wake: threading.Semaphore, database: Any) -> None:
        database.use()
        while True:
            wake.acquire()
            process = self._given[number]
            if process is None:
                database.leave()
                return
            _here.process = process
            process._turn.acquire()
            try:
                process.result = process.work()
            except BaseException as exc:
                process.error = exc
            _here.process = None
            database.clean(process)
            self._hand_back(process, State.DONE)

    def _hand_back(self, process: Process, state: State) -> None:
        with self._states:
            process.state = state
        self._changed.put(None)

    def pause(self, *, may_switch: bool = True) -> None:
        """A point. Raises Died where this process is killed."""
        process = current()
        if process is None:
            return
        process.points += 1
        if may_switch and self.random.random() < self.eagerness:
            self._hand_back(process, State.READY)
            process._turn.acquire()

    def resume(self, process: Process) -> None:
        """After a statement: whoever had to wait in it for a lock, while others went on, waits for its turn as well."""
        if process.state is State.BLOCKED:
            self._hand_back(process, State.READY)
            process._turn.acquire()

    def sleep(self, seconds: float) -> None:
        """Wait for time to pass, as `time.sleep`."""
        process = current()
        if process is None:
            self.clock.pass_(seconds)
            return
        process.until = self.clock.passed + seconds
        self._hand_back(process, State.SLEEPING)
        process._turn.acquire()
