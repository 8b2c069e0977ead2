"""Playing histories for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tests.simulation.history import History
from tests.simulation.plan import Plan, make, smaller
from tests.simulation.stage import Stage


@dataclass
class Score:
    """What was played, and the wall and processor seconds it took; `failure` is the first plan that broke a rule, as
    small as it could be made, and how."""

    histories: int = 0
    steps: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    failure: Plan | None = None
    broken: str = ""
    original: Plan | None = field(default=None, repr=False)

    def __str__(self) -> str:
        by_clock, by_processor = (self.histories * 60 / max(s, 0.001) for s in (self.seconds, self.processor))
        return (f"{self.histories} histories, {self.steps} steps in {self.seconds:.0f} s ({by_clock:.0f} a minute), "
                f"{self.processor:.0f} s of processor time ({by_processor:.0f} a minute of it)")  # fmt: skip


def play(stage: Stage, plan: Plan) -> str | None:
    return History(stage, plan).play()


def play_for(
    stage: Stage, seconds: float, seed: str, *, first: int = 1, every: int = 1, shrink: bool = True
) -> Score:  # fmt: skip
    """Histories `seed-1`, `seed-2` … until the time is over or one breaks a rule; from `first`, each `every`-th."""
    score, began, worked = Score(), time.monotonic(), time.process_time()
    while score.failure is None and time.monotonic() - began < seconds:
        history = History(stage, make(f"{seed}-{first + score.histories * every}"))
        score.histories += 1
        broken = history.play()
        score.steps += history.steps
        score.seconds, score.processor = time.monotonic() - began, time.process_time() - worked
        if broken is not None:
            score.original = score.failure = history.plan
            score.broken = broken
    if score.failure is not None and shrink:
        score.failure = smaller(score.failure, lambda plan: play(stage, plan) is not None)
        score.broken = play(stage, score.failure) or score.broken
    return score


def report(score: Score) -> str:
    """For whoever has to repeat and explain it."""
    if score.failure is None:
        return str(score)
    original = score.original or score.failure
    return (f"{score}\nBroken: {score.broken}\nThe smallest plan that breaks: {score.failure}\n"
            f"Repeat the whole one: python -m tests.simulation --history {original.seed}\n")  # fmt: skip
