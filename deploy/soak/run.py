"""One run: open the house, follow the plan for a while, let everything settle, compare the books."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.soak import books as reading
from deploy.soak import bundle
from deploy.soak.acting import Order, Place, control
from deploy.soak.apps import Receiver
from deploy.soak.books import Books, Row
from deploy.soak.checker import Difference, differences
from deploy.soak.desk import Desk
from deploy.soak.following import Follower
from deploy.soak.house import House, opened, use_django
from deploy.soak.plan import Item, plan
from deploy.soak.reconciling import reconcile
from deploy.soak.record import Record

PROGRESS = 10.0  # seconds
SETTLE_LIMIT = 180.0  # seconds until nothing may be due any more
_LATE_MONEY = 3.0  # seconds for notifications that are on their way when nothing is due
# Retries span a day in production; here they have to be over when the run is.
SCHEDULES = {"delivery": [0, 1, 2, 3, 5], "query": [2, 4, 6], "refund_query": [1, 2, 4, 6], "refund_send": [0, 1, 3, 6]}


@dataclass
class Run:
    """Prints as it goes. `folder` is where the run's data and, if it fails, its bundle lie."""

    seed: int
    seconds: float
    folder: Path
    clients: int
    begun: float = field(default_factory=time.monotonic)
    followed: int = 0
    _broken: list[Difference] = field(default_factory=list)

    def go(self) -> int:
        """The exit status: 0 where all books agree."""
        record = Record(self.folder / "operations.jsonl")
        self._say(f"seed {self.seed}: starting PostgreSQL, Redis, sandbox, 2 web, 2 workers, 2 beats ...")
        try:
            with opened(self.folder) as house:
                use_django(house.environment)
                receiver = Receiver(self.seed, record)
                with receiver.serving() as url:
                    house.prepare(lambda: self._configure(house, receiver, url))
                    found, books = self._soak(house, receiver, record)
        finally:
            record.close()
        return self._judge(found, books, record)

    def _configure(self, house: House, receiver: Receiver, url: str) -> None:
        from channels.base.discovery import providers
        from merchants.models import App
        from paycenter.models import RetrySchedule

        seeded = json.loads(house.layout.seeded.read_text())
        for app in seeded["apps"]:
            receiver.secrets[app["app_id"]] = app["webhook_secret"]
            App.objects.filter(app_id=app["app_id"]).update(notify_url=f"{url}/{app['app_id']}")
        for name, delays in SCHEDULES.items():
            for each in (name, *(f"{name}:{code}" for code in providers() if name != "delivery")):
                RetrySchedule.objects.update_or_create(name=each, defaults={"delays": delays, "repeat_last": True})
        self._place = Place(house.bases, house.layout.sandbox_url, seeded["apps"], seeded["merchants"], self.seed)

    # -- load, with things dying

    def _soak(self, house: House, receiver: Receiver, record: Record) -> tuple[list[Difference], Books]:
        desk, watch = Desk(self.seed, record), _Every(PROGRESS, lambda: self._progress(record))
        tending = _Every(0.5, lambda: house.tend(record))
        self._say(f"everything answers; {self.seconds / 60:g} minutes of load")
        followers = [Follower(self._place.bases, app, record) for app in self._place.apps]
        loaded_at = datetime.now(UTC)
        desk.start()
        for follower in followers:
            follower.start()
        try:
            self._follow(house, record)
            self._say(f"the load is over after {self.followed} items of the plan; settling")
            receiver.behaving = desk.finishing = True
            self._settle(record)
            bills = reconcile(loaded_at)
            self._settle(record)  # what bills taught is told to apps
            for follower in followers:
                follower.finish()
            return self._compare(house, record, followers, bills)
        finally:
            for one in (watch, tending):
                one.stop()
            desk.stop()

    def _follow(self, house: House, record: Record) -> None:
        ends = time.monotonic() + self.seconds
        free = threading.Semaphore(self.clients)
        with ThreadPoolExecutor(self.clients + 8, "client") as pool:
            for item in plan(self.seed):
                free.acquire()
                if time.monotonic() > ends:
                    break
                self.followed = item.number
                if item.kind == "order":
                    pool.submit(self._act, item, record).add_done_callback(lambda _done: free.release())
                    continue
                free.release()
                if item.kind == "blow":
                    pool.submit(_guarded, record, lambda item=item: house.blow(record, **item.values))  # type: ignore[misc]
                else:
                    control(self._place.sandbox_url, "/control/faults", item.values)
                    record.note("fault", **item.values)

    def _act(self, item: Item, record: Record) -> None:
        _guarded(record, Order(self._place, record, item).run)

    def _progress(self, record: Record) -> None:
        count, kills = record.counts, sum(n for name, n in record.counts.items() if name.startswith("kill "))
        self._say(f"{self.followed} items, {count['answer']} answers, {count['receipt']} notifications received,"
                  f" {count['decision']} decisions, {count['fault']} faults, {kills} kills")  # fmt: skip
        with suppress(Exception):  # the database may be down just now
            self._broken.extend(_sums_now())

    # -- settling and comparing

    def _settle(self, record: Record) -> None:
        while control(self._place.sandbox_url, "/control/faults", None, "DELETE")[0] == 0:
            time.sleep(0.5)  # it was just killed and comes back
        limit = time.monotonic() + SETTLE_LIMIT
        while time.monotonic() < limit:
            with suppress(Exception):  # a connection that died with its server
                self._end_pending_refunds()
                if not reading.due_rows():
                    time.sleep(_LATE_MONEY)
                    if not reading.due_rows():
                        return
            time.sleep(1)
        record.note("not settled")

    def _end_pending_refunds(self) -> None:
        """What the plan left undecided at the channel succeeds now."""
        from django.db import close_old_connections

        from refunds.models import Refund

        close_old_connections()
        for number in Refund.objects.filter(state="processing").values_list("channel_request_no", flat=True):
            control(self._place.sandbox_url, f"/control/refunds/{number}", {"outcome": "success"})

    def _compare(
        self, house: House, record: Record, followers: list[Follower], bills: list[Row]
    ) -> tuple[list[Difference], Books]:
        books = Books(answers=record.answers, receipts=record.receipts, decisions=record.decisions, bills=bills)
        books.events_read = [row for follower in followers for row in follower.rows]
        reading.center_rows(books)
        reading.sandbox_rows(books, house.layout.sandbox_state)
        return [*self._broken, *differences(books)], books

    def _judge(self, found: list[Difference], books: Books, record: Record) -> int:
        kills = {name.removeprefix("kill "): n for name, n in sorted(record.counts.items()) if name.startswith("kill ")}
        self._say(f"{self.followed} items of the plan, {record.counts['act']} acts, {len(books.answers)} answers,"
                  f" {len(books.receipts)} notifications received, {record.counts['fault']} faults")  # fmt: skip
        self._say(f"{len(books.trades)} trades, {len(books.attempts)} attempts, {len(books.abnormal)} abnormal,"
                  f" {len(books.refunds)} refunds, {len(books.events)} events")  # fmt: skip
        self._say(f"{len(books.events_read)} events read by apps, {len(books.bills)} bills compared")
        self._say("killed: " + (", ".join(f"{name} {count}" for name, count in kills.items()) or "nothing"))
        if found:
            bundle.write(self.folder, seed=self.seed, items=self.followed, found=found, books=books)
            for one in found[:10]:
                self._say(str(one))
            self._say(f"FAILED: {len(found)} differences; everything about them is in {self.folder}")
            return 1
        self._say(f"ok: all books agree (seed {self.seed})")
        return 0

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self.begun:6.0f} s  {text}", flush=True)


_SUMS = """
SELECT t.trade_no, t.paid_amount, t.refunded_amount, t.refunding_amount, coalesce(r.back, 0), coalesce(r.under_way, 0)
FROM trades_trade t LEFT JOIN (
  SELECT trade_id,
    sum(amount) FILTER (WHERE state = 'succeeded' AND NOT counted_as_external) AS back,
    sum(amount) FILTER (WHERE source <> 'external'
                        AND state IN ('pending_approval', 'on_hold', 'approved', 'processing')) AS under_way
  FROM refunds_refund WHERE abnormal_id IS NULL GROUP BY trade_id) r ON r.trade_id = t.id
WHERE t.refunded_amount <> coalesce(r.back, 0) OR t.refunding_amount <> coalesce(r.under_way, 0)
   OR t.refunded_amount + t.refunding_amount > t.paid_amount
"""


def _sums_now() -> list[Difference]:
    """Trades whose sums are wrong this very moment, with everything running: one statement, one snapshot."""
    from django.db import connection

    try:
        with connection.cursor() as cursor:
            cursor.execute(_SUMS)
            rows = cursor.fetchall()
    finally:
        connection.close()
    return [Difference("sums under load", f"trade {row[0]}: paid, refunded, refunding, by its refunds: {row[1:]}",
                       (str(row[0]),)) for row in rows]  # fmt: skip


def _guarded(record: Record, work: Callable[[], Any]) -> None:
    try:
        work()
    except Exception as exc:
        record.note("trouble", error=f"{type(exc).__name__}: {exc}"[:300])


class _Every:
    """Calls something every so many seconds in a thread of its own, until it is stopped."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        self._seconds, self._work, self._ended = seconds, work, threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            with suppress(Exception):
                self._work()

    def stop(self) -> None:
        self._ended.set()
