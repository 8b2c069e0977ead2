"""What is due, done in batches: queries, closes of expired trades, closes of superseded attempts.

Work grows with what is due, never with what is stored. Every channel has a lane of its own, so that one
that hangs keeps its own rows waiting and nobody else's; the calls of a lane run side by side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, models
from django.utils import timezone

from paycenter.claims import claim_due
from trades.closing import attempt_finish, trade_finish
from trades.contracts.services import contract_work
from trades.models import Attempt, Contract, Trade
from trades.querying import attempt_query, load_attempt, lose_sight_of_stale
from trades.states import LIVE_ATTEMPT_STATES, AttemptState

SIDE_BY_SIDE = 8  # calls of one lane at a time
BATCH = 4 * SIDE_BY_SIDE  # claimed at once: even if every call takes its whole time, within the lease
LEASE_SECONDS = 60.0
LANE_SECONDS = 20.0  # a lane with more to do is left to the next tick
log = structlog.get_logger(__name__)
_lanes: set[tuple[str, str | None]] = set()
_lanes_lock = threading.Lock()


def query_due() -> int:
    """Query attempts whose time has come. Returns how many."""
    return _sweep("query", Attempt, "next_query_at", "channel", _query_one)


def close_due() -> int:
    """Close trades whose expiry has come. Returns how many were looked at."""
    return _sweep("close", Trade, "next_close_at", "current_attempt__channel", _close_one)


def close_superseded() -> int:
    """Close attempts that another one replaced or outran. Returns how many were looked at."""
    return _sweep("superseded", Attempt, "next_close_at", "channel", _finish_one)


def query_contracts() -> int:
    """Ask about contracts that are being signed or ended. Returns how many were looked at."""
    return _sweep("contracts", Contract, "next_query_at", "channel", contract_work)


def _close_one(trade_id: int) -> None:
    trade_finish(trade_id=trade_id, actor="system:expiry")


def _finish_one(attempt_id: int) -> None:
    attempt = load_attempt(attempt_id)
    if attempt.state not in LIVE_ATTEMPT_STATES:
        Attempt.objects.filter(pk=attempt_id).update(next_close_at=None)
        return
    attempt_finish(attempt_id=attempt_id, actor="system:superseded")


def _query_one(attempt_id: int) -> None:
    attempt = load_attempt(attempt_id)
    if attempt.state == AttemptState.CREATED:
        lose_sight_of_stale(attempt, "system:query")
    answer = None
    if attempt.state != AttemptState.SUCCEEDED:
        answer = attempt_query(attempt_id=attempt_id, actor="system:query")
    if attempt.state == AttemptState.SUCCEEDED or answer is not None:
        # One that was over already is asked until the channel answers, then no more.
        over = Attempt.objects.filter(pk=attempt_id).exclude(state__in=LIVE_ATTEMPT_STATES)
        over.update(next_query_at=None)


def _sweep(name: str, model: type[models.Model], due: str, path: str, work: Callable[[int], object]) -> int:
    """Run a lane for every channel with due rows that this process is not sweeping already."""
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
        return sum(pool.map(lambda channel: _then_disconnect(lane, channel), channels))


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
        list(pool.map(lambda pk: _then_disconnect(lambda one: _guarded(work, one), pk), ids))


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
