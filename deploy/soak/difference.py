"""What a check found: which rule was broken, and what it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.soak.books import Books


@dataclass(frozen=True, slots=True)
class Difference:
    """`rule` names what was broken; `numbers` what it is about, for whoever looks up the rows."""

    rule: str
    words: str
    numbers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"[{self.rule}] {self.words}"


Check = Callable[[Books], Iterator[Difference]]
