"""What counts as a kill: only what was alive and is dead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from deploy.checks.services import Unavailable
from deploy.soak import house as module
from deploy.soak.house import House
from deploy.soak.record import Record


class Server:
    """Starts where `starts`."""

    group = 4711

    def __init__(self) -> None:
        self.is_running, self.starts = True, True

    def kill(self) -> None:
        self.is_running = False

    def start(self) -> None:
        if not self.starts:
            raise Unavailable("it does not start")
        self.is_running = True


class Child:
    group: int | None = None

    def __init__(self) -> None:
        self.ended, self.started = False, 0

    def has_ended(self) -> bool:
        return self.ended

    def force_end(self) -> None:
        self.ended = True

    def start(self) -> None:
        self.ended, self.started = False, self.started + 1


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    found = Record(tmp_path / "operations.jsonl")
    yield found
    found.close()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(module, "Guard", lambda: SimpleNamespace(tell=lambda word, group: None))
    made: Any = House(tmp_path, Server(), Server(), ("postgres://x", "redis://127.0.0.1:1/0"))  # type: ignore[arg-type]
    made._children = {name: Child() for name in ("web1", "web2", "worker1", "beat1", "sandbox")}
    return made


@pytest.mark.parametrize("what", ["postgres", "redis", "web", "worker", "beat", "sandbox"])
def test_what_was_alive_is_killed_and_back(house: House, record: Record, what: str) -> None:
    house.blow(record, what, 0, 0.0)
    assert record.counts == {f"kill {what}": 1, f"back {what}": 1}


def test_what_was_dead_already_is_no_kill_and_is_started(house: Any, record: Record) -> None:
    house._children["worker1"].ended = True
    house._postgres.is_running = False
    house.blow(record, "worker", 0, 0.0)
    house.blow(record, "postgres", 0, 0.0)
    assert record.counts == {"missed worker": 1, "missed postgres": 1}
    assert (house._children["worker1"].started, house._postgres.is_running) == (1, True)


def test_what_somebody_else_holds_down_is_missed(house: Any, record: Record) -> None:
    with house._dead("redis"), house._dead("web1"):
        house.blow(record, "redis", 0, 0.0)
        house.blow(record, "web", 0, 0.0)
    assert record.counts == {"missed redis": 1, "missed web": 1}
    assert house._redis.is_running


def test_a_redis_that_does_not_answer_has_forgotten_nothing(house: House, record: Record) -> None:
    house.blow(record, "redis_flush", 0, 0.0)
    assert record.counts == {"missed redis_flush": 1}


def test_a_redis_that_forgot_counts(house: House, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis.Redis, "from_url", lambda url: SimpleNamespace(flushall=lambda: True))
    house.blow(record, "redis_flush", 0, 0.0)
    assert record.counts == {"kill redis_flush": 1, "back redis_flush": 1}


def test_a_web_server_without_processes_lost_none(house: House, record: Record) -> None:
    house.blow(record, "web_worker", 1, 0.0)
    assert record.counts == {"missed web_worker": 1}


def test_a_server_that_does_not_start_again_is_trouble(
    house: Any, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DATABASE_PATIENCE", 0.0)
    house._postgres.starts = False
    with pytest.raises(Unavailable):
        house.blow(record, "postgres", 0, 0.0)
    assert record.counts == {"kill postgres": 1}
