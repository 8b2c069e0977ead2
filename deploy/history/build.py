"""All of it, in one transaction: either everything is there afterwards or nothing."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from dashboards.rebuilding import rebuild_everything
from deploy.history.applicants import applicants
from deploy.history.bills import Bills
from deploy.history.calendar import day_number, moments
from deploy.history.cast import Cast, cast
from deploy.history.clock import DAY, EAST, moment_of
from deploy.history.refunding import Refunding
from deploy.history.story import Story
from deploy.history.tables import PORTION, Sink, Table, analyse, keep_others_out, sink_for, without_indexes
from deploy.history.telling import Telling
from deploy.history.words import Words
from paycenter.models import Event
from paycenter.partitions.keeping import cover
from paycenter.sequencer import sequence_events

# From how many trades on it is worth making the indexes anew, per row that is there already.
_WORTH_IT = 0.2
Told = Callable[[str], None]


class History:
    """Everything that writes, around one chain of events."""

    def __init__(self, people: Cast, random: Random, *, now: int, log_from: int) -> None:
        self.now, words = now, Words(random)
        self.telling = Telling(words, log_from, now)
        self.bills = Bills(people, words, self.telling.chain, now, log_from)
        self.story = Story(people, words, self.telling, self.bills, now)
        self.refunding = Refunding(people, words, self.telling, self.bills, self.story, now)
        self.tables: tuple[Table, ...] = (
            *self.story.tables, *self.refunding.tables, *self.bills.tables, *self.telling.tables,
        )  # fmt: skip

    def tell(self, days: list[int], times: list[list[int]], sink: Sink, told: Told) -> None:
        done, total = 0, sum(map(len, times))
        for number, orders in zip(days, times, strict=True):
            start = number * DAY - EAST
            self.telling.chain.write_before(start)
            self.bills.write_before(number - 1)
            for at in orders:
                self.story.tell(at)
                if len(self.story.trades.rows) >= PORTION:
                    sink.flush()
            before, done = done, done + len(orders)
            if done * 20 // total > before * 20 // total:
                told(f"{done:,} of {total:,} trades")
        self._end(days[-1])
        sink.finish()
        self.telling.chain.save_head()

    def _end(self, today: int) -> None:
        self.story.reach(self.now)
        self.bills.write_before(today)
        self.telling.chain.finish()


def build(*, trades: int, seed: int, days: int, log_days: int, told: Told = print) -> dict[str, int]:
    """Add a past of `days` days with `trades` trades; answers how many rows each table got.

    The same seed on the same moment gives the same past. Raises whatever the database does, and leaves it as it was.
    """
    began, at = time.monotonic(), timezone.now()
    today = timezone.localdate(at)
    first = today - timedelta(days=days - 1)
    random = Random(seed)
    people = cast(random, first)
    applicants(Random(seed))
    numbers = [day_number(first) + n for n in range(days)]
    times = moments(random, numbers, trades, moment_of(at))
    while sequence_events():
        pass
    cover(at - timedelta(days=log_days))
    with transaction.atomic():
        # The lock first: ids, the head of the chain and what is unnumbered may not change any more.
        history = _locked(people, random, now=moment_of(at), log_from=(numbers[-1] - log_days + 1) * DAY - EAST)
        _write(history, numbers, times, lambda text: told(f"{time.monotonic() - began:6.1f} s  {text}"))
    analyse(history.tables)
    told(f"{time.monotonic() - began:6.1f} s  the dashboards' sums")
    rebuild_everything()
    return {table.name: table.written for table in history.tables}


def _locked(people: Cast, random: Random, **when: Any) -> History:
    if connection.vendor == "postgresql":
        keep_others_out(History(people, Random(0), **when).tables)
        while sequence_events():
            pass
    if Event.objects.filter(seq__isnull=True).exists():
        raise RuntimeError("somebody else is numbering events; stop the worker and try again")
    return History(people, random, **when)


def _write(history: History, numbers: list[int], times: list[list[int]], told: Told) -> None:
    trades = sum(map(len, times))
    large = [t for t in history.tables if connection.vendor == "postgresql" and trades > 20_000
             and trades > _WORTH_IT * t.last_id]  # fmt: skip
    sink = sink_for(history.tables)
    gc.disable()  # nothing here refers to itself, and looking for it takes a tenth of the time
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)  # the thread that copies asks for little, but often, and the database waits for it
    try:
        with without_indexes(large, told=told):
            history.tell(numbers, times, sink, told)
    except BaseException:
        sink.abort()  # what waits would be written after the transaction, and stay
        raise
    finally:
        gc.enable()
        sys.setswitchinterval(interval)
