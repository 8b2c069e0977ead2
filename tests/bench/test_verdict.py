"""What makes the measurement of a limping channel pass, and what does not."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.verdict import Half, judge

CONNECTIONS = {"most_open": 20, "most_busy": 10, "allowed": 200}
LIMPED = {50401: 64, 50301: 400}


def half(name: str, p50: float, p99: float, limping: dict[int, int], **more: Any) -> Half:
    values = {"first_p99": p99, "slowest": p99, "calls": 120, "load": 1.0, "ours": 1.0, "others": 0.0}
    return Half(name=name, run=1, p50=p50, p99=p99, limping=limping, **{**values, "sound": {0: 120}, **more})


def run(p50: float, p99: float, *, well: float = 50, answered: dict[int, int] | None = None, **more: Any) -> list[Half]:
    """All stretches of one run; what is given is of the one in which the channel hangs."""
    return [
        half("alone", 45, 80, {}), half("well", well, 2 * well, answered or {0: 300}),
        half("hangs", p50, p99, LIMPED, **more), half("hangs, no breaker", 50, 100, LIMPED),
    ]  # fmt: skip


def verdict(halves: list[Half], log: Counter[str] | None = None) -> dict[str, Any]:
    return judge(halves, {"web": log or Counter()}, CONNECTIONS)


def test_it_passes_within_the_bars() -> None:
    found = verdict(run(59, 129))

    assert (found["ok"], found["missed"], found["baseline"]) == (True, [], "well")


def test_a_slower_median_or_tail_is_a_miss() -> None:
    assert "p50 1.22" in verdict(run(61, 100))["missed"][0]
    assert "p99 1.31" in verdict(run(50, 131))["missed"][0]
    assert "first_p99" in verdict(run(50, 100, first_p99=140.0))["missed"][0]


def test_the_median_over_the_runs_decides() -> None:
    assert verdict([*run(500, 900), *run(50, 100), *run(52, 100)])["ok"]


def test_a_failed_call_of_the_sound_channel_is_a_miss() -> None:
    assert "sound channel" in verdict(run(50, 100, sound={0: 119, 50001: 1}))["missed"][0]


def test_an_answer_that_no_channel_may_cause_is_a_miss() -> None:
    halves = run(50, 100)
    halves[2].limping = {50401: 64, 50001: 1}
    assert "50001" in verdict(halves)["missed"][0]


def test_an_exhausted_pool_in_a_log_is_a_miss() -> None:
    assert "PoolTimeout" in verdict(run(50, 100), Counter({"PoolTimeout": 3}))["missed"][0]


def test_a_machine_that_queues_when_all_is_well_is_no_measure() -> None:
    """Else anything would pass where 50 payments a second are more than it can do."""
    overloaded = verdict(run(300, 900, well=4000))

    assert (overloaded["baseline"], overloaded["ok"]) == ("alone", False)
    assert verdict(run(50, 100, answered={0: 200, 50301: 100}))["baseline"] == "alone"
