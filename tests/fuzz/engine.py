"""Runs a target on mutants and notes what none may do: an error nobody declared, too much time, too much memory.

Time is the process's own processor time, so that a busy machine is no finding.
"""

from __future__ import annotations

import hashlib
import re
import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from tests.fuzz.mutation import mutate
from tests.fuzz.target import Target

MOST_SECONDS = 2.0
HOPELESS_SECONDS = 20.0
MOST_MEMORY = 128 * 1024  # KiB that one input may add to the peak
_KEPT = 2000


class TooSlow(Exception):
    """The input took so long that it was given up."""


@dataclass
class Finding:
    """The first input of its kind: `kind` names the error and the line it came from."""

    kind: str
    data: bytes
    text: str


@dataclass
class Score:
    """What a run did to one target."""

    target: str
    tried: int = 0
    understood: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{self.target}: {self.tried} inputs, {self.understood} understood, {len(self.outcomes)} kinds of outcome,"
            f" slowest {self.slowest * 1000:.0f} ms, {len(self.findings)} findings"
        )


class Runner:
    """Tries inputs and keeps score. Use it inside `guarded`."""

    def __init__(self, target: Target) -> None:
        self.target, self.score = target, Score(target.name)

    def __call__(self, data: bytes) -> bool:
        """Whether the outcome is of a kind not seen before."""
        self.score.tried += 1
        memory, began = _peak(), time.process_time()
        signal.setitimer(signal.ITIMER_PROF, HOPELESS_SECONDS)
        try:
            outcome = self.target.run(data)
        except Exception as exc:
            self._found(_kind(exc), data, traceback.format_exc())
            return False
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        self._check(data, time.process_time() - began, _peak() - memory)
        self.score.understood += outcome.startswith(("understood", "read", "taken"))
        kind = re.sub(r"[0-9]+|'[^']*'|\"[^\"]*\"", "#", outcome)[:120]
        self.score.outcomes[kind] += 1
        return self.score.outcomes[kind] == 1

    def _check(self, data: bytes, seconds: float, memory: int) -> None:
        self.score.slowest = max(self.score.slowest, seconds)
        if seconds > MOST_SECONDS:
            self._found("slow", data, f"{seconds:.1f} s of processor time for {len(data)} bytes")
        if memory > MOST_MEMORY:
            self._found("large", data, f"{memory // 1024} MiB for {len(data)} bytes")

    def _found(self, kind: str, data: bytes, text: str) -> None:
        known = self.score.findings.get(kind)
        if known is None or len(data) < len(known.data):
            self.score.findings[kind] = Finding(kind, data, text)


def play(target: Target, seed: str, *, seconds: float, most: int = 10**9, findings: int = 10**9) -> Score:
    """Mutants of the seeds, and of mutants that were answered in a new way; one at least, then until a bound is met."""
    random, run = Random(f"{seed}:{target.name}"), Runner(target)
    corpus, end = list(target.seeds) or [b""], time.monotonic() + seconds
    with guarded(), target.around():
        began = time.monotonic()
        waiting = list(target.seeds)[::-1]
        while not run.score.tried or (time.monotonic() < end and _goes_on(run.score, most, findings)):
            data = waiting.pop() if waiting else mutate(random.choice(corpus), random, corpus)
            if run(data) and len(corpus) < _KEPT:
                corpus.append(data)
    run.score.seconds = time.monotonic() - began
    return run.score


def _goes_on(score: Score, most: int, findings: int) -> bool:
    return score.tried < most and len(score.findings) < findings


@contextmanager
def guarded() -> Iterator[None]:
    """Inputs that never end are ended: the main thread's own work only."""
    before = signal.signal(signal.SIGPROF, _give_up)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def write(score: Score, folder: Path) -> list[Path]:
    """The inputs of the findings, and beside each what happened."""
    written = []
    for finding in score.findings.values():
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{score.target}-{hashlib.sha256(finding.kind.encode()).hexdigest()[:8]}"
        (folder / f"{name}.txt").write_text(f"{finding.kind}\n\n{finding.text}")
        written.append(folder / f"{name}.bin")
        written[-1].write_bytes(finding.data)
    return written


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise TooSlow(f"more than {HOPELESS_SECONDS:g} s of processor time")


def _kind(exc: BaseException) -> str:
    """The error, and the line that raised it."""
    last = traceback.extract_tb(exc.__traceback__)[-1]
    words = re.sub(r"[0-9]+|'.*", "#", str(exc))[:60]
    return f"{type(exc).__name__} at {Path(last.filename).name}:{last.lineno} {words}"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
