"""Starts everything in order, watches over it, and ends it when told to."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from deploy.demo import broker, document, prepared, programs
from deploy.demo.children import Child, Guard, Program, end_all
from deploy.demo.client import answers
from deploy.demo.layout import Layout, Trouble, say, surroundings

START_LIMIT = 90.0  # seconds for one program to answer, on a slow machine
HOPELESS_DEATHS = 3  # of one program during the start
# Together below the 15 s within which everything has to be gone.
PATIENCE, BROKER_PATIENCE = 8.0, 2.0
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):
    """Somebody asked the demo to end."""


class Supervisor:
    """One run of the demo. `run` returns when it was asked to end; everything has ended by then."""

    def __init__(self, layout: Layout, lock: IO[str]) -> None:
        self.layout = layout
        self.broker = broker.choose(layout)
        self.environment = surroundings(layout, self.broker.environment)
        self.guard = Guard(lock)
        self.children: list[Child] = []
        self._wake, self._wake_up = os.pipe()
        self._asked = False

    def run(self) -> None:
        """Raises Trouble where something does not start."""
        began = time.monotonic()
        with self._listening():
            try:
                self._start()
                say(document.announcement(self.layout, time.monotonic() - began))
                while True:
                    self._pause(0.5)
                    self._tend()
            except Ended:
                say("\nStopping ...")
            finally:
                self._end()

    # -- starting, in order

    def _start(self) -> None:
        say(f"Tasks and cache: {self.broker.description}")
        if self.broker.server is not None:
            self._launch(self.broker.server)
        self._launch(programs.sandbox(self.layout))
        self._wait_for("redis", self.broker.answers)
        self.layout.heartbeat.unlink(missing_ok=True)
        shutil.rmtree(self.layout.metrics, ignore_errors=True)  # figures begin anew with the programs
        known = prepared.is_current(self.layout)
        if known:  # nothing about the schema changed: no program has to wait for the others
            self._launch_center()
        else:
            say("Preparing the database (the first time takes a little longer) ...")
        self._step("prepare", "deploy.demo.prepare")  # waits for the sandbox where it needs it
        prepared.remember(self.layout)
        if not known:
            self._launch_center()
        self._wait_for("sandbox", lambda: answers(f"{self.layout.sandbox_url}/healthz"))
        self._wait_for("web", lambda: answers(f"{self.layout.base_url}/readyz"))
        self._wait_for("worker and beat", self.layout.heartbeat.exists)
        self._step("payment", "deploy.demo.payment")
        document.write(self.layout, os.getpid())

    def _launch_center(self) -> None:
        center = [programs.web(self.layout), programs.worker(), programs.beat()]
        if self.environment.get("PAYCENTER_ORDER_STREAM", "off") != "off":
            center.append(programs.order_writer())
        for program in center:
            self._launch(program)

    def _launch(self, program: Program) -> None:
        child = Child(program, self.environment, self.layout.logs, self.guard)
        child.start()
        self.children.append(child)

    def _step(self, name: str, module: str) -> None:
        """Run a program to its end. Its last line on standard error is the reason of a failure."""
        step = Child(Program(name, [sys.executable, "-m", module]), self.environment, self.layout.logs, self.guard)
        code = self._run_to_end(step)
        if code != 0:
            raise Trouble(f"{step.last_lines(1)}\nThe whole story is in {step.log}")

    def _run_to_end(self, step: Child) -> int:
        step.start()
        try:
            while not step.has_ended():
                self._pause(0.05)
                self._tend()
        finally:
            code = step.exit_code()
            step.force_end()
        return code

    def _wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        limit = time.monotonic() + START_LIMIT
        while not ready():
            self._pause(0.1)
            self._tend()
            for child in self.children:
                if child.deaths >= HOPELESS_DEATHS:
                    raise Trouble(f"{child.program.name} does not start. The end of {child.log}:\n{child.last_lines()}")
            if time.monotonic() > limit:
                raise Trouble(f"{name} did not answer within {START_LIMIT:.0f} s. The logs are in {self.layout.logs}")

    # -- running

    def _tend(self) -> None:
        self.guard.ensure([child.group for child in self.children if child.group is not None])
        for child in self.children:
            news = child.tend()
            if news:
                say(news)
            child.trim_log()

    # -- ending

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Signals only leave a mark and wake the loop, so that none interrupts half a step."""
        os.set_blocking(self._wake_up, False)
        signal.set_wakeup_fd(self._wake_up, warn_on_full_buffer=False)
        for number in ENDING_SIGNALS:
            signal.signal(number, self._ask_to_end)
        yield

    def _ask_to_end(self, _number: int, _frame: object) -> None:
        self._asked = True

    def _pause(self, seconds: float) -> None:
        """Raises Ended as soon as somebody asked for it."""
        if not self._asked:
            select.select([self._wake], [], [], seconds)
        if self._asked:
            raise Ended

    def _end(self) -> None:
        self.layout.document.unlink(missing_ok=True)
        server = [child for child in self.children if child.program is self.broker.server]
        end_all([child for child in self.children if child not in server], PATIENCE)
        end_all(server, BROKER_PATIENCE)
        self.guard.dismiss()
