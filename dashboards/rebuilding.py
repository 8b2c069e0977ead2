"""Counting days afresh from the rows: after an import, a changed time zone, or for what is older than the sums."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, timedelta

from django.db import OperationalError, connection, transaction
from django.db.models import Max, Min
from django.utils import timezone

from dashboards.counting import count_days
from dashboards.folding import changes_of, fold, unfolded
from dashboards.keeping import add, fold_events, hold_mark, lock_mark
from dashboards.models import AppDay, ChannelDay, PaymentDay
from paycenter.models import EventHead
from refunds.models import Refund
from refunds.states import RefundState
from trades.models import Attempt, Trade
from trades.states import AttemptState

Progress = Callable[[date], None]
_TRIES = 20
_ONE = timedelta(days=1)
_AT_ONCE = 31  # days counted in one snapshot, during which no event is folded in
_ALL_AT_ONCE = 61  # the same where the sums are incomplete until the end anyway
_LANES = 2  # that many parts side by side, then: one is written while another is counted


def rebuild(
    first: date, last: date, *, progress: Progress | None = None, at_once: int = _AT_ONCE, lanes: int = 1
) -> int:
    """Replace the sums of the days from `first` to `last`; answers how many days. Payments go on meanwhile.

    Some days are counted in one snapshot; what they hold already of events that are not folded in yet is taken off
    again, because it comes once more. Raises ValueError where the last day lies before the first.
    """
    if last < first:
        raise ValueError("the last day lies before the first")
    while fold_events():
        pass
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    parts = [days[at : at + at_once] for at in range(0, len(days), at_once)]
    for part in _side_by_side(parts, lanes):
        if progress is not None:
            for day in part:
                progress(day)
    return len(days)


def _side_by_side(parts: Sequence[list[date]], lanes: int) -> Iterator[list[date]]:
    """Each part when it is done, in their order. In a caller's transaction, and on SQLite, one after the other."""
    if lanes == 1 or connection.in_atomic_block or connection.vendor != "postgresql":
        for part in parts:
            _rebuild_days(part[0], part[-1])
            yield part
        return

    def in_lane(part: list[date]) -> list[date]:
        try:
            _rebuild_days(part[0], part[-1])
        finally:
            connection.close()
        return part

    with ThreadPoolExecutor(lanes, "sums") as pool:
        yield from pool.map(in_lane, parts)


def rebuild_everything(*, progress: Progress | None = None) -> int:
    """Count all days there are, without folding the events of the past one by one; answers how many days.

    Sums are incomplete until it ends; when it does not, run it again.
    """
    with transaction.atomic():
        mark = lock_mark(wait=True)
        head = EventHead.objects.first()
        if mark is not None and head is not None:
            mark.seq = head.seq
            mark.save(update_fields=["seq"])
    times = _all_times()  # behind the mark: what is in the past for it is there by now
    if not times:
        return 0
    # A day more at both ends: merchants may live in other time zones than the center.
    first, last = timezone.localdate(min(times)) - _ONE, timezone.localdate(max(times)) + _ONE
    return rebuild(first, last, progress=progress, at_once=_ALL_AT_ONCE, lanes=_LANES)


def _all_times() -> list[datetime]:
    """The first and the last time of everything that is counted. Channels name times of their own."""
    asked = (
        Trade.objects.aggregate(Min("created_at"), Max("created_at")),
        Attempt.objects.filter(state=AttemptState.SUCCEEDED).aggregate(Min("paid_at"), Max("paid_at")),
        Refund.objects.filter(state=RefundState.SUCCEEDED).aggregate(Min("finished_at"), Max("finished_at")),
    )
    return [at for times in asked for at in times.values() if at is not None]


def _rebuild_days(first: date, last: date) -> None:
    for tries in range(_TRIES):
        try:
            with _snapshot():
                _replace(first, last)
            return
        except OperationalError:
            # The sweep moved the mark while we waited for it: the snapshot is older than the mark.
            if tries == _TRIES - 1 or connection.in_atomic_block:
                raise
            time.sleep(0.05)


@contextmanager
def _snapshot() -> Iterator[None]:
    """A transaction whose every statement sees the same moment. SQLite's always do."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SET LOCAL work_mem = '64MB'")
        yield


def _replace(first: date, last: date) -> None:
    mark = hold_mark()
    sums = count_days(first, last)
    for key, waiting in fold(changes_of(unfolded(mark))).items():
        if first <= key.day <= last:
            sums[key].subtract(waiting)
    for model in (PaymentDay, ChannelDay, AppDay):
        model._default_manager.filter(day__range=(first, last)).delete()
    add(sums)
