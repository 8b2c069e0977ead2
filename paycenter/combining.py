"""Writing together what waits at the same moment: requests of one process share a transaction under load.

Who comes while nobody writes, writes at once and alone: an idle process is as quick as without this. Who comes while
somebody writes, waits; whoever of those came first then writes for all that wait by then, and wakes each with its own
answer after the commit. So a group forms from what has to wait anyway, and nobody waits for a group to form.

Nobody waits for ever either. Who has waited long enough leaves the queue, and nothing of theirs is written by others
after that; who is being written by then hears how it ends.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")
R = TypeVar("R")
_WEIGHT = 0.1  # of the newest wait in the average


class WriteAlone(Exception):
    """Stands for the result of one that `together` left to be written alone."""


class NotWritten(Exception):
    """It was nobody's turn in time, and nothing of it is stored."""


MOST_WAIT = 10.0  # seconds that who is being written waits for the outcome


class _Place(Generic[T, R]):
    """Somebody's turn: woken to write (`leads`), to write alone, or with an outcome."""

    __slots__ = ("alone", "error", "item", "leads", "result", "woken")

    def __init__(self, item: T) -> None:
        self.item = item
        self.woken = threading.Event()
        self.leads = self.alone = False
        self.result: Any = None
        self.error: Exception | None = None


class Combiner(Generic[T, R]):
    """`alone(item)` writes one; `together(items)` writes several in one transaction and answers a result or an
    exception for each. Where `together` fails because of some row, each is written alone: a bad row spoils nobody
    else's. Where the database itself fails, everybody gets that error, as everybody would alone. `patience` is how
    many seconds somebody waits in the queue who names no time. With `skips_locked`, `together` waits for no row that
    somebody else has locked but leaves it to be written alone; then one is a group, too, and holds nobody up.
    """

    _all: ClassVar[list[Combiner[Any, Any]]] = []
    _waits: ClassVar[float] = 0.0

    def __init__(
        self, alone: Callable[[T], R], together: Callable[[Sequence[T]], Sequence[R | Exception]],
        patience: float = MOST_WAIT, skips_locked: bool = False,
    ) -> None:  # fmt: skip
        self._alone, self._together, self._patience = alone, together, patience
        self._least = 1 if skips_locked else 2
        self._start_afresh()
        self._all.append(self)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Place[T, R]] = deque()
        self._writing = False

    def write(self, item: T, *, until: float | None = None) -> R:
        """Write it, alone or with others, and answer when it is committed. Raises what `alone` raises.

        `until` (of `time.monotonic`) is how long it may wait for its turn; then it raises NotWritten. Without it, it
        is written alone after a while. Inside a transaction it is part of that one, and written alone.
        """
        if settings.WRITE_TOGETHER < 2 or connection.vendor != "postgresql" or connection.in_atomic_block:
            return self._alone(item)
        place: _Place[T, R] = _Place(item)
        with self._lock:
            leads, self._writing = not self._writing, True
            if not leads:
                self._waiting.append(place)
        if leads:
            self._note_wait(0.0)
        else:
            connection.close()  # back to the pool, where whoever writes may need it
            began = time.monotonic()
            woken = self._woken(place, until)
            self._note_wait(time.monotonic() - began)
            if not woken or place.alone:
                return self._alone(item)
            if not place.leads:
                return self._outcome(place)
        return self._lead(place)

    def _woken(self, place: _Place[T, R], until: float | None) -> bool:
        """Wait for the turn. False where it left the queue to be written alone; raises NotWritten where it may not be,
        and OperationalError where somebody writes it and does not come back: then nobody knows whether it is stored."""
        left = self._patience if until is None else max(until - time.monotonic(), 0.0)
        if place.woken.wait(left):
            return True
        with self._lock:
            try:
                self._waiting.remove(place)
            except ValueError:  # somebody has it in hand
                pass
            else:
                if until is None:
                    return False
                raise NotWritten
        if not place.woken.wait(MOST_WAIT):
            raise OperationalError("whoever writes it has not answered")
        return True

    def _lead(self, own: _Place[T, R]) -> R:
        """Write for `own` and for those that wait now, then hand over to the first of those that came meanwhile."""
        with self._lock:
            most = min(len(self._waiting), settings.WRITE_TOGETHER - 1)
            group = [own, *(self._waiting.popleft() for _ in range(most))]
        try:
            if len(group) < self._least:
                return self._alone(own.item)
            self._write_group(group)
        except BaseException as exc:
            # Nobody is left waiting for somebody who is gone; whether it was committed is not known.
            error = exc if isinstance(exc, Exception) else OperationalError(f"whoever wrote it ended: {exc!r}")
            for place in group[1:]:
                place.error = error
            raise
        finally:
            self._hand_over()
            for place in group[1:]:
                place.woken.set()
        return self._alone(own.item) if own.alone else self._outcome(own)

    def _write_group(self, group: list[_Place[T, R]]) -> None:
        try:
            found = self._together([place.item for place in group])
        except Exception as exc:
            if is_the_database(exc):
                raise
            # Whatever a row did, the transaction is undone: nothing of anybody is written yet.
            for place in group:
                place.alone = True
            return
        for place, result in zip(group, found, strict=True):
            if isinstance(result, WriteAlone):
                place.alone = True
            elif isinstance(result, Exception):
                place.error = result
            else:
                place.result = result

    def _hand_over(self) -> None:
        with self._lock:
            following = self._waiting.popleft() if self._waiting else None
            if following is None:
                self._writing = False
                return
        following.leads = True
        following.woken.set()

    def _outcome(self, place: _Place[T, R]) -> R:
        if place.error is not None:
            raise place.error
        found: R = place.result
        return found

    @classmethod
    def waited(cls) -> float:
        """Seconds that writes of this process waited lately, as a moving average: how busy the database is."""
        return Combiner._waits

    @staticmethod
    def _note_wait(seconds: float) -> None:
        # Threads may overwrite each other's sample: it is an average.
        Combiner._waits += (seconds - Combiner._waits) * _WEIGHT

    @classmethod
    def forget_all(cls) -> None:
        """A forked child starts with nobody waiting."""
        Combiner._waits = 0.0
        for combiner in cls._all:
            combiner._start_afresh()


def is_the_database(error: Exception) -> bool:
    """Whether the database failed, not some row. Of two that waited for each other one was undone: alone it goes on."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    return getattr(error.__cause__, "sqlstate", None) not in ("40P01", "40001")  # deadlock, serialization


os.register_at_fork(after_in_child=Combiner.forget_all)
