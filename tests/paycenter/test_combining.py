"""Who waits is written with others, gets an own answer, and is never left waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.db import DataError, OperationalError

from paycenter import combining
from paycenter.combining import Combiner, NotWritten, WriteAlone
from tests.fakes.threads import run_together


class Desk:
    """A combiner whose first writer is held until the others stand in the queue."""

    def __init__(self, together: Callable[[Sequence[int]], Sequence[Any]]) -> None:
        self.groups: list[list[int]] = []
        self.singles: list[int] = []
        self._together, self._opened = together, threading.Event()
        self.combiner: Combiner[int, str] = Combiner(self._one, self._many)

    def _one(self, item: int) -> str:
        if item == 0:
            self._opened.wait(10)
        self.singles.append(item)
        if item < 0:
            raise ValueError("a bad one")
        return f"alone {item}"

    def _many(self, items: Sequence[int]) -> Sequence[Any]:
        self.groups.append(list(items))
        return self._together(items)

    def run(self, items: Sequence[int]) -> list[Any]:
        """The answers of item 0, which comes first, and of the others, who come while it is written."""

        def one(place: int) -> str:
            if place == 0:
                return self.combiner.write(0)
            while not self.combiner._writing:
                pass
            if place == len(items):
                while len(self.combiner._waiting) < len(items) - 1:
                    pass
                threading.Timer(0.05, self._opened.set).start()
            try:
                return self.combiner.write(items[place - 1])
            except SystemExit as exc:  # ends no thread of a test
                raise InterruptedError from exc

        return run_together(one, len(items) + 1)


@pytest.fixture(autouse=True)
def as_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(vendor="postgresql", in_atomic_block=False, close=lambda: None)
    monkeypatch.setattr(combining, "connection", stand_in)


def test_one_at_a_time_is_written_alone() -> None:
    desk = Desk(lambda _items: [])
    desk._opened.set()
    assert [desk.combiner.write(0), desk.combiner.write(1)] == ["alone 0", "alone 1"]
    assert desk.groups == []


def test_those_who_wait_are_written_together_and_answered_each() -> None:
    desk = Desk(lambda items: [f"with {item}" for item in items])
    assert desk.run([1, 2, 3]) == ["alone 0", "with 1", "with 2", "with 3"]
    assert [sorted(group) for group in desk.groups] == [[1, 2, 3]]


def test_a_group_has_a_greatest_size(settings: Any) -> None:
    settings.WRITE_TOGETHER = 2
    desk = Desk(lambda items: [f"with {item}" for item in items])
    assert desk.run([1, 2, 3, 4]) == ["alone 0", *(f"with {item}" for item in (1, 2, 3, 4))]
    assert [len(group) for group in desk.groups] == [2, 2]


def test_an_exception_among_the_results_is_for_one_only() -> None:
    desk = Desk(lambda items: [KeyError(item) if item == 2 else "good" for item in items])
    answers = desk.run([1, 2, 3])
    assert isinstance(answers[2], KeyError)
    assert answers[1] == answers[3] == "good"


def deadlocked() -> OperationalError:
    """As Django hands it over from psycopg."""
    error = OperationalError("deadlock detected")
    error.__cause__ = psycopg.errors.DeadlockDetected()
    return error


@pytest.mark.parametrize(
    "error", [DataError("some row"), TypeError("no JSON"), UnicodeEncodeError("utf-8", "x", 0, 1, ""), deadlocked()]
)
def test_a_bad_row_spoils_nobody_elses(error: Exception) -> None:
    def together(_items: Sequence[int]) -> Sequence[Any]:
        raise error

    answers = Desk(together).run([1, -2, 3])
    assert isinstance(answers[2], ValueError)
    assert (answers[1], answers[3]) == ("alone 1", "alone 3")


def test_who_is_left_out_of_the_group_is_written_alone() -> None:
    desk = Desk(lambda items: [WriteAlone() if item == 2 else "good" for item in items])
    assert desk.run([1, 2, 3])[1:] == ["good", "alone 2", "good"]


@pytest.mark.parametrize("error", [OperationalError("gone"), SystemExit(1)])
def test_when_whoever_writes_fails_everybody_hears_of_it(error: BaseException) -> None:
    def together(_items: Sequence[int]) -> Sequence[Any]:
        raise error

    desk = Desk(together)
    answers = desk.run([1, 2, 3])
    assert answers[0] == "alone 0"
    assert {type(answer) for answer in answers[1:]} <= {OperationalError, InterruptedError}
    assert desk.combiner.write(5) == "alone 5"  # and the next is not kept waiting


class Held:
    """A combiner whose writer is held until `let_go`; what was written, in order."""

    def __init__(self, patience: float = 10.0) -> None:
        self.go, self.busy = threading.Event(), threading.Event()
        self.written: list[int] = []
        self.combiner: Combiner[int, str] = Combiner(self._one, self._many, patience)

    def _one(self, item: int) -> str:
        if item == 0:
            self.busy.set()
            self.go.wait(10)
        self.written.append(item)
        return f"alone {item}"

    def _many(self, items: Sequence[int]) -> Sequence[Any]:
        self.busy.set()
        self.go.wait(10)
        self.written += items
        return [f"with {item}" for item in items]


def test_whose_turn_does_not_come_in_time_is_told_so_and_never_written() -> None:
    held = Held()

    def one(place: int) -> str:
        if place == 0:
            return held.combiner.write(0)
        held.busy.wait(10)
        try:
            return held.combiner.write(place, until=time.monotonic() + 0.02)
        finally:
            if place == 1 or not held.combiner._waiting:
                held.go.set()

    answers = run_together(one, 4)
    assert answers[0] == "alone 0"
    refused = [place for place, answer in enumerate(answers) if isinstance(answer, NotWritten)]
    assert refused
    assert not set(refused) & set(held.written)
    assert sorted({*refused, *held.written}) == [0, 1, 2, 3]
    assert held.combiner.write(9) == "alone 9"


def test_who_is_being_written_at_the_deadline_hears_how_it_ends() -> None:
    held, first = Held(), threading.Event()

    def one(place: int) -> str:
        if place == 0:
            return held.combiner.write(0)
        held.busy.wait(10)
        if place == 1:
            return held.combiner.write(1)
        if place == 2:
            while not held.combiner._waiting:
                pass
            first.set()
            return held.combiner.write(2, until=time.monotonic() + 0.1)
        first.wait(10)
        while len(held.combiner._waiting) < 2:
            pass
        held.busy.clear()
        held.go.set()  # the two of them are written together now ...
        held.go.clear()
        held.busy.wait(10)
        time.sleep(0.15)  # ... and take longer than one of them would wait for a turn
        held.go.set()
        return ""

    assert run_together(one, 4)[:3] == ["alone 0", "with 1", "with 2"]


def test_who_names_no_time_is_written_alone_after_a_while() -> None:
    held = Held(patience=0.02)

    def one(place: int) -> str:
        if place == 0:
            return held.combiner.write(0)
        held.busy.wait(10)
        try:
            return held.combiner.write(1)
        finally:
            held.go.set()

    assert run_together(one, 2) == ["alone 0", "alone 1"]
    assert held.written == [1, 0]
