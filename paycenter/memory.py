"""Configuration that a process remembers for a moment, because every payment asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, ClassVar, Generic, TypeVar

from django.conf import settings
from django.db import connection

V = TypeVar("V")
_MOST = 10_000  # keys of one memory; then it starts afresh


class Memory(Generic[V]):
    """What `load` found for a key, for `CONFIGURATION_MEMORY` seconds; that nothing was found is not kept.

    What is suspended, revoked or changed therefore has its effect within that time in every process. The values
    are shared by threads: whoever gets one does not change it.
    """

    _all: ClassVar[list[Memory[Any]]] = []

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[float, V]] = {}
        self._all.append(self)

    def get(self, key: Hashable, load: Callable[[], V | None]) -> V | None:
        """The value of the key, loaded where it is not known."""
        known = self._known.get(key)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        began = time.monotonic()  # before reading: what changes meanwhile is not kept longer
        found = load()
        # Inside a transaction one may see what is never committed.
        if found is not None and settings.CONFIGURATION_MEMORY and not connection.in_atomic_block:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = (began + settings.CONFIGURATION_MEMORY, found)
        return found

    @classmethod
    def forget_all(cls) -> None:
        """Empty every memory of this process."""
        for memory in cls._all:
            memory._known.clear()
