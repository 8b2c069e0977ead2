"""Configuration that a process remembers for a moment, because every payment asks for it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, ClassVar, Generic, TypeVar

from django.conf import settings

from paycenter.cursors import default_db

V = TypeVar("V")
_MOST = 10_000  # keys of one memory; then it starts afresh
_RENEWED_FROM = 0.8  # of its time


class Memory(Generic[V]):
    """What `load` found for a key, for `CONFIGURATION_MEMORY` seconds; that nothing was found is not kept.

    What is suspended, revoked or changed therefore has its effect within that time in every process, also where one
    memory's value is made of another's: it ends with the first of them. Shortly before a value ends, one who asks loads
    it again while the others still get it, to its end where that load fails or finds nothing. The values are shared by
    threads: whoever gets one does not change it.
    """

    _all: ClassVar[list[Memory[Any]]] = []

    def __init__(self) -> None:
        self._known: dict[Hashable, _Kept[V]] = {}
        self._all.append(self)

    def get(self, key: Hashable, load: Callable[[], V | None]) -> V | None:
        """The value of the key, loaded where it is not known."""
        known = self._known.get(key)
        if known is not None and known.is_good():
            if known.until < _loading.until:
                _loading.until = known.until
            return known.value
        return self._load(key, load)

    def _load(self, key: Hashable, load: Callable[[], V | None]) -> V | None:
        seconds = settings.CONFIGURATION_MEMORY
        began = time.monotonic()  # before reading: what changes meanwhile is not kept longer
        around, _loading.until = _loading.until, began + seconds
        try:
            found = load()
            until = _loading.until
        finally:
            _loading.until = min(around, _loading.until)
        # Inside a transaction one may see what is never committed.
        if found is not None and seconds and not default_db().in_atomic_block:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = _Kept(found, began, until)
        return found

    @classmethod
    def forget_all(cls) -> None:
        """Empty every memory of this process."""
        for memory in cls._all:
            memory._known.clear()


class _Kept(Generic[V]):
    __slots__ = ("_renewal", "until", "value")

    def __init__(self, value: V, began: float, until: float) -> None:
        self.value, self.until, self._renewal = value, until, began + (until - began) * _RENEWED_FROM

    def is_good(self) -> bool:
        """Whether it may be used; says no to the first who asks shortly before its end."""
        if time.monotonic() < self._renewal:
            return True
        self._renewal = self.until  # the others may use it until then
        return False


class _Loading(threading.local):
    """When the first of the values ends that the thread's present load has used."""

    until = math.inf


_loading = _Loading()
