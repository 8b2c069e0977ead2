"""One parser under fire."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`run` gives the outcome in a word or two: what was understood, or how it was refused. Whatever it raises is a
    finding. `seeds` are genuine messages; `around` is entered once for a whole run."""

    name: str
    seeds: tuple[bytes, ...]
    run: Callable[[bytes], str]
    around: Callable[[], AbstractContextManager[None]] = nullcontext
