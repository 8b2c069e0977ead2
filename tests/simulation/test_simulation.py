"""The simulation itself: for a bounded time against the center as it is, and against defects that were planted."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation import run, stage
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


def test_one_seed_is_one_plan() -> None:
    assert make("7-1") == make("7-1")
    assert make("7-1") != make("7-2")


def test_a_plan_is_made_smaller_as_long_as_it_fails() -> None:
    plan = Plan("s", "s", 0.3, tuple(Step("time", (n,), dies_at=n, how="killed") for n in range(1, 9)))

    def fails(candidate: Plan) -> bool:
        return any(step.arguments == (4,) for step in candidate.steps)

    small = smaller(plan, fails)
    assert (small.steps, small.eagerness) == ((Step("time", (4,), None, "killed"),), 0.0)
