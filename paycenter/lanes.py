"""Work on due rows in lanes: one for each channel, so that one that hangs keeps its own rows waiting and
nobody else's; the calls of a lane run side by side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, models
from django.utils import timezone

from paycenter.claims import claim_due

SIDE_BY_SIDE = 8  # calls of one lane at a time
BATCH = 4 * SIDE_BY_SIDE  # claimed at once: even if every call takes its whole time, within the lease
LEASE_SECONDS = 60.0
LANE_SECONDS = 20.0  # a lane with more to do is left to the next tick
log = structlog.get_logger(__name__)
_lanes: set[tuple[str, str | None]] = set()
_lanes_lock = threading.Lock()


def sweep(name: str, model: type[models.Model], due: str, path: str, work: Callable[[int], object]) -> int:
    """Claim rows of `model` whose `due` time has come and run `work(pk)` for each; answers how many.

    A lane for every value of the lookup `path` (a channel) that this process is not sweeping already. A
    failure of `work` is logged and leaves its row to a later sweep.
    """
    rows = model._default_manager.filter(**{f"{due}__lte": timezone.now()})
    channels: list[str | None] = sorted(set(rows.values_list(path, flat=True).distinct()), key=str)

    def lane(channel: str | None) -> int:
        if not _enter((name, channel)):
            return 0
        try:
            return _run_lane(model, due, {path: channel} if channel else {f"{path}__isnull": True}, work)
        finally:
            _lanes.discard((name, channel))

    if settings.SWEEP_THREADS == 0 or len(channels) <= 1:
        return sum(lane(channel) for channel in channels)
    with ThreadPoolExecutor(len(channels), "lane") as pool:
        return sum(pool.map(lambda run, channel: run(_then_disconnect, lane, channel), _runs(channels), channels))


def _enter(lane: tuple[str, str | None]) -> bool:
    with _lanes_lock:
        if lane in _lanes:
            return False
        _lanes.add(lane)
        return True


def _run_lane(model: type[models.Model], due: str, only: dict[str, Any], work: Callable[[int], object]) -> int:
    ends = time.monotonic() + LANE_SECONDS
    done = 0
    while time.monotonic() < ends:
        ids = claim_due(model, due, now=timezone.now(), lease=LEASE_SECONDS, limit=BATCH, **only)
        _side_by_side(work, ids)
        done += len(ids)
        if len(ids) < BATCH:
            break
    return done


def _side_by_side(work: Callable[[int], object], ids: list[int]) -> None:
    """Run `work` for every id; a failure is logged and leaves its row to the next sweep."""
    if settings.SWEEP_THREADS == 0 or len(ids) <= 1:
        for pk in ids:
            _guarded(work, pk)
        return
    places = min(SIDE_BY_SIDE, settings.SWEEP_THREADS, len(ids))
    with ThreadPoolExecutor(places, "sweep") as pool:
        list(pool.map(lambda run, pk: run(_then_disconnect, lambda one: _guarded(work, one), pk), _runs(ids), ids))


def _runs(items: Sequence[Any]) -> list[Callable[..., Any]]:
    """For each item a way to run something in the caller's context, so that log lines of a pool's threads tell which
    task they belong to."""
    return [copy_context().run for _item in items]


def _then_disconnect(work: Callable[[Any], Any], argument: Any) -> Any:
    """A pool's thread leaves no database connection behind."""
    try:
        return work(argument)
    finally:
        connection.close()


def _guarded(work: Callable[[int], object], pk: int) -> None:
    try:
        work(pk)
    except Exception:
        log.exception("sweep left a row for the next one", work=getattr(work, "__name__", ""), pk=pk)
