"""Turns: one at a time per name, others go on, and a turn ends however its work ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from paycenter.turns import turn_for

Threads = Callable[..., list[Any]]


@pytest.mark.django_db(transaction=True)
def test_one_at_a_time_per_name(in_threads: Threads) -> None:
    inside: list[int] = []

    def work(index: int) -> int:
        with turn_for("refund:1"):
            inside.append(index)
            most = len(inside)
            time.sleep(0.01)
            inside.remove(index)
            return most

    assert in_threads(work, 20) == [1] * 20


@pytest.mark.django_db(transaction=True)
def test_another_name_does_not_wait(in_threads: Threads) -> None:
    names = ["a", next(n for n in map(str, range(1000)) if hash(n) % 256 != hash("a") % 256)]
    both = threading.Barrier(2, timeout=5)

    def work(index: int) -> int:
        with turn_for(names[index]):
            return both.wait()  # only comes back when both are inside

    assert sorted(in_threads(work, 2)) == [0, 1]


def test_a_turn_ends_with_an_error() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="x"), turn_for("a"):
            raise ValueError("x")
