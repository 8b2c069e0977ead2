"""What a process remembers for a moment: never for longer, and loaded by one while the others go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction

from paycenter import memory
from paycenter.memory import Memory

pytestmark = pytest.mark.django_db(transaction=True)


class World:
    """A clock that is moved by hand, and a setting that is read: its value and how often it was."""

    def __init__(self) -> None:
        self.now, self.value, self.reads = 1000.0, "old", 0

    def read(self) -> str:
        self.reads += 1
        return self.value


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, settings: Any) -> World:
    settings.CONFIGURATION_MEMORY = 1.0
    world = World()
    monkeypatch.setattr(memory, "time", SimpleNamespace(monotonic=lambda: world.now))
    return world


def test_it_is_remembered_and_then_read_again(world: World) -> None:
    known: Memory[str] = Memory()
    assert {known.get("key", world.read) for _ in range(9)} == {"old"}
    assert world.reads == 1
    world.value, world.now = "new", world.now + 1.001
    assert known.get("key", world.read) == "new"


def test_each_key_has_its_own(world: World) -> None:
    known: Memory[str] = Memory()
    assert [known.get(key, lambda key=key: f"{key}!") for key in ("a", "b", "a")] == ["a!", "b!", "a!"]  # type: ignore[misc]


def test_one_reads_again_while_the_others_go_on(world: World) -> None:
    """Nobody waits, and not everybody reads at the moment it ends."""
    known: Memory[str] = Memory()
    known.get("key", world.read)
    world.value, world.now = "new", world.now + 0.9
    has_begun, may_end = threading.Event(), threading.Event()

    def slowly() -> str:
        has_begun.set()
        assert may_end.wait(10)
        return world.read()

    with ThreadPoolExecutor(1) as thread:
        renewed = thread.submit(known.get, "key", slowly)
        assert has_begun.wait(10)
        assert [known.get("key", world.read) for _ in range(5)] == ["old"] * 5
        assert world.reads == 1
        may_end.set()
        assert renewed.result(10) == "new"
    assert known.get("key", world.read) == "new"
    assert world.reads == 2


def test_nobody_gets_it_after_its_time_however_long_another_reads(world: World) -> None:
    known: Memory[str] = Memory()
    known.get("key", world.read)
    world.value, world.now = "new", world.now + 0.9

    def fails() -> str:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        known.get("key", fails)
    assert known.get("key", world.read) == "old"
    world.now += 0.101
    assert known.get("key", world.read) == "new"


@pytest.mark.parametrize("passes", [0.0, 0.3, 0.79])
def test_what_is_made_of_another_ends_with_it(world: World, passes: float) -> None:
    """However they follow each other: what was changed is nowhere to be found a second later."""
    inner: Memory[str] = Memory()
    outer: Memory[str] = Memory()

    def made() -> str:
        found = inner.get("key", world.read)
        inner.get("another", lambda: "not the last one")
        return f"<{found}>"

    inner.get("key", world.read)
    world.value = "new"  # just after it was read
    world.now += passes
    assert outer.get("key", made) == "<old>"
    world.now += 1.001 - passes
    assert outer.get("key", made) == "<new>"


def test_what_a_read_inside_another_finds_counts_for_the_outermost(world: World) -> None:
    known: list[Memory[str]] = [Memory() for _ in range(3)]
    loads: list[Callable[[], str | None]] = [world.read]
    for at in range(2):
        loads.append(lambda at=at: known[at].get("key", loads[at]))  # type: ignore[misc]
    known[0].get("key", world.read)
    world.value = "new"
    for at in (1, 2):
        world.now += 0.3
        assert known[at].get("key", loads[at]) == "old"
    world.now += 0.401
    assert [known[at].get("key", loads[at]) for at in (2, 1, 0)] == ["new"] * 3


def test_nothing_is_kept_of_what_is_not_there_or_not_committed(world: World) -> None:
    known: Memory[str] = Memory()
    assert known.get("key", lambda: None) is None
    with transaction.atomic():
        assert known.get("key", world.read) == "old"
    world.value = "new"
    assert known.get("key", world.read) == "new"
