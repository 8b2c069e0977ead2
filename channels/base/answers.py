"""What a gateway hands on: a channel's answer that was verified, not yet understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Answer(Generic[V]):
    """`code` and `message` are the channel's words about the call itself, never about the payment asked for."""

    code: str
    message: str
    data: Mapping[str, V]

    def __str__(self) -> str:
        return " ".join(filter(None, (self.code, self.message)))
