"""What is due, done in batches: queries, closes of expired trades, closes of superseded attempts.

Work grows with what is due, never with what is stored. Channel calls of one batch run side by side,
with a limit per channel so that one that hangs does not take all the places.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.conf import settings
from django.db import connection, models
from django.utils import timezone

from paycenter.claims import claim_due
from trades.closing import attempt_finish, trade_finish
from trades.models import Attempt, Trade
from trades.querying import attempt_query, load_attempt, lose_sight_of_stale
from trades.states import LIVE_ATTEMPT_STATES, AttemptState

BATCH = 200
LEASE_SECONDS = 60.0
PER_CHANNEL = 8
log = structlog.get_logger(__name__)


def query_due(limit: int = BATCH) -> int:
    """Query attempts whose time has come. Returns how many."""
    ids = claim_due(Attempt, "next_query_at", now=timezone.now(), lease=LEASE_SECONDS, limit=limit)
    return run_side_by_side(_query_one, _by_channel(Attempt, ids, "channel"))


def close_due(limit: int = BATCH) -> int:
    """Close trades whose expiry has come. Returns how many were looked at."""
    ids = claim_due(Trade, "next_close_at", now=timezone.now(), lease=LEASE_SECONDS, limit=limit)
    channels = _by_channel(Trade, ids, "current_attempt__channel")
    return run_side_by_side(lambda pk: trade_finish(trade_id=pk, actor="system:expiry"), channels)


def close_superseded(limit: int = BATCH) -> int:
    """Close attempts that another one replaced or outran. Returns how many were looked at."""
    ids = claim_due(Attempt, "next_close_at", now=timezone.now(), lease=LEASE_SECONDS, limit=limit)
    return run_side_by_side(_finish_one, _by_channel(Attempt, ids, "channel"))


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
    if attempt.state not in LIVE_ATTEMPT_STATES and not attempt.abnormal_payments.filter(state="unverified").exists():
        Attempt.objects.filter(pk=attempt_id).update(next_query_at=None)
        return
    attempt_query(attempt_id=attempt_id, actor="system:query")


def _by_channel(model: type[models.Model], ids: list[int], path: str) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for pk, channel in model._default_manager.filter(pk__in=ids).order_by("pk").values_list("pk", path):
        groups[channel or ""].append(pk)
    return groups


def run_side_by_side(work: Callable[[int], object], groups: dict[str, list[int]]) -> int:
    """Run `work` for every id, channels in turn, a bounded number at a time; a failure is logged and
    leaves its row to the next sweep. Returns the number of ids."""
    ids = list(_interleaved(groups))
    if settings.SWEEP_THREADS == 0:
        for _channel, pk in ids:
            _guarded(work, pk)
        return len(ids)
    places = {channel: threading.Semaphore(PER_CHANNEL) for channel in groups}

    def one(channel: str, pk: int) -> None:
        with places[channel]:
            try:
                _guarded(work, pk)
            finally:
                connection.close()

    with ThreadPoolExecutor(min(settings.SWEEP_THREADS, max(len(ids), 1)), "sweep") as pool:
        for channel, pk in ids:
            pool.submit(one, channel, pk)
    return len(ids)


def _guarded(work: Callable[[int], object], pk: int) -> None:
    try:
        work(pk)
    except Exception:
        log.exception("sweep left a row for the next one", work=getattr(work, "__name__", ""), pk=pk)


def _interleaved(groups: dict[str, list[int]]) -> Iterable[tuple[str, int]]:
    queues = {channel: list(ids) for channel, ids in groups.items()}
    while queues:
        for channel in list(queues):
            yield channel, queues[channel].pop(0)
            if not queues[channel]:
                del queues[channel]
