"""Writers that are held until others wait, so that these are written together (paycenter.combining)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection

from paycenter.combining import Combiner


def hold_first(patch: pytest.MonkeyPatch, combiner: Combiner[Any, Any], waiting: int = 8) -> list[int]:
    """Hold whoever writes first until so many wait, 2 seconds at most; the sizes of the groups, as they are written."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time: nothing is written together")
    sizes: list[int] = []
    first, alone, together = threading.Lock(), combiner._alone, combiner._together

    def held(write: Callable[[Any], Any], given: Any) -> Any:
        if first.acquire(blocking=False):
            for _ in range(200):
                if len(combiner._waiting) >= waiting:
                    break
                threading.Event().wait(0.01)
        return write(given)

    def counted(items: Sequence[Any]) -> Any:
        sizes.append(len(items))
        return held(together, items)

    patch.setattr(combiner, "_alone", lambda item: held(alone, item))
    patch.setattr(combiner, "_together", counted)
    return sizes
