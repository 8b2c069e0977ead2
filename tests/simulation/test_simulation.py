"""The simulation itself: for a bounded time against the center as it is, and against defects that were planted."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest

from tests.simulation import run, stage, workers
from tests.simulation.plan import Plan, Step, make, smaller

SECONDS = float(os.environ.get("PAYCENTER_SIMULATION_SECONDS", "20"))


@pytest.fixture
def played(transactional_db: None) -> Iterator[stage.Stage]:
    with stage.opened() as opened:
        yield opened


@pytest.mark.timeout(300)
def test_random_histories_break_no_rule(played: stage.Stage, record_property: Any) -> None:
    seed = os.environ.get("PAYCENTER_SIMULATION_SEED") or str(secrets.randbelow(1_000_000))
    score = run.play_for(played, SECONDS, seed)
    record_property("summary", f"simulation, seed {seed}: {score}")
    assert score.failure is None, f"seed {seed}: {run.report(score)}"


def test_workers_add_up_and_a_failure_ends_it() -> None:
    def told(*scores: run.Score) -> list[Connection]:
        answers = []
        for score in scores:
            answer, end = Pipe(duplex=False)
            end.send(score)
            answers.append(answer)
        return answers

    one, two = run.Score(3, 40, 10.0, 6.0), run.Score(4, 50, 11.0, 5.0)
    total = workers._together(told(one, two))
    assert total == run.Score(7, 90, 11.0, 11.0)
    assert "7 histories, 90 steps in 11 s (38 a minute), 11 s of processor" in run.report(total)
    plan = Plan("s-2", "s-2", 0.0, ())
    failed = run.Score(2, 9, 1.0, 0.5, plan, "Broken: money", plan)
    silent, _end = Pipe(duplex=False)
    total = workers._together([*told(failed), silent])
    assert (total.failure, total.broken) == (plan, "Broken: money")
    assert "--history s-2" in run.report(total)


def test_one_seed_is_one_plan() -> None:
    assert make("7-1") == make("7-1")
    assert make("7-1") != make("7-2")


def test_a_plan_is_made_smaller_as_long_as_it_fails() -> None:
    plan = Plan("s", "s", 0.3, tuple(Step("time", (n,), dies_at=n, how="killed") for n in range(1, 9)))

    def fails(candidate: Plan) -> bool:
        return any(step.arguments == (4,) for step in candidate.steps)

    small = smaller(plan, fails)
    assert (small.steps, small.eagerness) == ((Step("time", (4,), None, "killed"),), 0.0)
