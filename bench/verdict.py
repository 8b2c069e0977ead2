"""What the figures of `bench.limping` mean: medians, the baseline, the bars, the table."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

FIRST_SECONDS = 2.0  # before any call of the limping channel can have timed out
HANGING = ("hangs", "hangs, no breaker")
KEPT_UP = 2.0  # × the sound channel's p50 alone: with more, the machine was busy with queueing
QUIET = 0.2  # processors that other programs may use without the figures being doubtful
P50_RATIO, P99_RATIO, P99_MORE = 1.2, 1.2, 30.0  # the last in ms
EXPECTED = {0, 50301, 50401}  # errnos that a channel may cause; 50301 shed, 50401 outcome unknown


@dataclass(slots=True)
class Half:
    """What one stretch of one run gave. Times in ms, of the sound channel's calls."""

    name: str
    run: int
    p50: float
    p99: float
    first_p99: float
    slowest: float
    calls: int
    load: float
    ours: float  # processors that everything measured kept busy, the clients included
    others: float  # the same of whatever else ran on the machine
    sound: dict[int, int]
    limping: dict[int, int] = field(default_factory=dict)
    refused_p99: float | None = None  # ms until 50301 was answered


def say(text: str) -> None:
    print(text, flush=True)


def judge(halves: Sequence[Half], logs: Mapping[str, Counter[str]], connections: Mapping[str, int]) -> dict[str, Any]:
    """The figures for people and programs, with what missed a bar in words."""
    medians = {name: _medians([h for h in halves if h.name == name]) for name in dict.fromkeys(h.name for h in halves)}
    baseline = "well" if _kept_up(medians, halves) else "alone"
    missed = [line for name in HANGING for line in _slower(name, medians[name], medians[baseline])]
    for half in halves:
        if half.name == "well" and baseline == "alone":
            continue  # more than the machine can do: its own limits answered
        missed += _unexpected(half)
    missed += [f"log of {name}: {dict(found)}" for name, found in logs.items() if found]
    return {
        "processors": os.cpu_count(), "baseline": baseline, "medians": medians,
        "halves": [asdict(half) for half in halves], "missed": missed,
        "ok": not missed, "logs": {name: dict(found) for name, found in logs.items()},
        "connections": dict(connections),
    }  # fmt: skip


def _kept_up(medians: Mapping[str, Any], halves: Sequence[Half]) -> bool:
    """Whether the machine carried both channels' payments when both were well, so that it is a fair measure."""
    all_answered = all(set(h.limping) == {0} for h in halves if h.name == "well")
    return all_answered and bool(medians["well"]["p50"] <= KEPT_UP * medians["alone"]["p50"])


def _unexpected(half: Half) -> list[str]:
    """Answers that no channel may cause, and any failure of the sound one."""
    found = []
    if set(half.sound) != {0}:
        found.append(f"{half.name}, run {half.run}: the sound channel answered {half.sound}")
    wrong = {errno: count for errno, count in half.limping.items()
             if errno not in (EXPECTED if half.name in HANGING else {0})}  # fmt: skip
    if wrong:
        found.append(f"{half.name}, run {half.run}: the limping channel answered {wrong}")
    return found


def _medians(halves: Sequence[Half]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column in ("p50", "p99", "first_p99", "slowest", "ours", "others"):
        values = [getattr(half, column) for half in halves]
        found[column] = statistics.median(values)
        found[f"{column}_spread"] = [min(values), max(values)]
    return found


def _slower(name: str, hangs: Mapping[str, float], baseline: Mapping[str, float]) -> list[str]:
    """What of a half lies above its bar."""
    missed = []
    if hangs["p50"] > P50_RATIO * baseline["p50"]:
        missed.append(f"{name}: p50 {hangs['p50'] / baseline['p50']:.2f} ×, the bar is {P50_RATIO}")
    for column in ("p99", "first_p99"):
        more = hangs[column] - baseline[column]
        if hangs[column] > P99_RATIO * baseline[column] and more > P99_MORE:
            missed.append(f"{name}: {column} {hangs[column] / baseline[column]:.2f} ×, {more:+.0f} ms;"
                          f" the bar is {P99_RATIO} or {P99_MORE:+.0f} ms")  # fmt: skip
    return missed


def print_report(result: Mapping[str, Any]) -> None:
    """The table: medians over the runs, the spread in brackets, the ratio to the baseline."""
    medians, baseline = result["medians"], result["baseline"]
    say(f"\nSound channel's gopay, ms: median over the runs [least, most], × `{baseline}`")
    for name, found in medians.items():
        cells = [f"{title} {_cell(found, medians[baseline], column)}"
                 for title, column in (("p50", "p50"), ("p99", "p99"), ("first 2 s p99", "first_p99"))]  # fmt: skip
        say(f"  {name:18} {'   '.join(cells)}   processors {found['ours']:.2f} + others' {found['others']:.2f}")
    if baseline == "alone":
        say("  This machine cannot carry these payments when both channels are well, so `well` is no measure.")
    disturbed = max(found["others"] for found in medians.values())
    if disturbed > QUIET:
        say(f"  Other programs kept {disturbed:.2f} processors busy: repeat this on a quiet machine.")
    say("Limping channel: answers by errno, all runs")
    for name in medians:
        _print_answers(name, [half for half in result["halves"] if half["name"] == name])
    failed = sum(count for half in result["halves"] for errno, count in half["sound"].items() if errno != 0)
    found = result["connections"]
    say(f"Sound channel's calls that failed: {failed}")
    say(f"database connections: at most {found['most_open']} open and {found['most_busy']} busy; the server allows"
        f" {found['allowed']}")  # fmt: skip
    say(f"pool or connection trouble in the logs: {result['logs']}")
    for line in result["missed"]:
        say(f"MISSED  {line}")
    say("Every bar holds." if result["ok"] else "")


def _print_answers(name: str, halves: Sequence[Mapping[str, Any]]) -> None:
    total: Counter[int] = Counter()
    for half in halves:
        total.update(half["limping"])
    refused = [half["refused_p99"] for half in halves if half["refused_p99"] is not None]
    quick = f"   50301 within {statistics.median(refused):.0f} ms (p99)" if refused else ""
    if total:
        say(f"  {name:18} {dict(sorted(total.items()))}{quick}")


def _cell(found: Mapping[str, Any], baseline: Mapping[str, Any], column: str) -> str:
    least, most = found[f"{column}_spread"]
    return f"{found[column]:6.1f} [{least:.0f}, {most:.0f}] {found[column] / baseline[column]:4.2f} ×"
