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
from http import HTTPStatus
from pathlib import Path
from typing import Any

from deploy.soak import books as reading
from deploy.soak import bundle
from deploy.soak.acting import Order, Place, control
from deploy.soak.apps import Receiver
from deploy.soak.books import Books, Row
from deploy.soak.checker import differences
from deploy.soak.desk import Desk
from deploy.soak.difference import Difference
from deploy.soak.duties import due_rows
from deploy.soak.following import Follower
from deploy.soak.house import House, opened, use_django
from deploy.soak.plan import Item, plan
from deploy.soak.reconciling import reconcile
from deploy.soak.record import Record
from deploy.soak.setting import set_up
from deploy.soak.verdict import SHOWN, judge, kinds

PROGRESS = 10.0  # seconds
SETTLE_LIMIT = 180.0  # seconds until nothing may be due any more
_LATE_MONEY = 3.0  # seconds for notifications that are on their way when nothing is due


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
        """The exit status: 0 where all books agree, and enough happened for that to mean anything."""
        record = Record(self.folder / "operations.jsonl")
        self._say(f"seed {self.seed}: starting PostgreSQL, Redis, sandbox, 2 web, 2 workers, 2 beats ...")
        try:
            with opened(self.folder) as house:
                use_django(house.environment)
                receiver = Receiver(self.seed, record)
                with receiver.serving() as url:
                    house.prepare(lambda: self._configure(house, receiver, url))
                    return self._judge(*self._outcome(house, receiver, record), record)
        finally:
            record.close()

    def _configure(self, house: House, receiver: Receiver, url: str) -> None:
        self._seeded = json.loads(house.layout.seeded.read_text())
        set_up(self._seeded["apps"], receiver, url)

    def _outcome(self, house: House, receiver: Receiver, record: Record) -> tuple[list[Difference], Books]:
        """What was found. A run that breaks off leaves what is known by then."""
        try:
            return self._soak(house, receiver, record)
        except Exception as exc:
            record.trouble(exc)
            self._say(f"broken off: {type(exc).__name__}: {exc}")
            books = Books(answers=record.answers, receipts=record.receipts, decisions=record.decisions)
            with suppress(Exception):  # the database itself may be what is gone
                reading.center_rows(books)
                reading.sandbox_rows(books, house.layout.sandbox_state)
            return self._broken, books

    # -- load, with things dying

    def _soak(self, house: House, receiver: Receiver, record: Record) -> tuple[list[Difference], Books]:
        desk = Desk(self.seed, record)
        self._place = Place(house.bases, house.layout.sandbox_url, self._seeded["apps"], self._seeded["merchants"],
                            self.seed, desk.ask)  # fmt: skip
        watch = _Every(PROGRESS, record, lambda: self._progress(record))
        tending = _Every(0.5, record, lambda: house.tend(record))
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
                    taken = control(self._place.sandbox_url, "/control/faults", item.values)[0] == HTTPStatus.OK
                    record.note("fault" if taken else "missed fault", **item.values)

    def _act(self, item: Item, record: Record) -> None:
        _guarded(record, Order(self._place, record, item).run)

    def _progress(self, record: Record) -> None:
        count = record.totals()
        kills = sum(kinds(count, "kill").values())
        self._say(f"{self.followed} items, {count['answer']} answers, {count['receipt']} notifications received,"
                  f" {count['decision']} decisions, {count['fault']} faults, {kills} kills")  # fmt: skip
        with suppress(Exception):  # the database may be down just now
            self._broken.extend(_sums_now())

    # -- settling and comparing

    def _settle(self, record: Record) -> None:
        limit = time.monotonic() + SETTLE_LIMIT
        while control(self._place.sandbox_url, "/control/faults", None, "DELETE")[0] == 0 and time.monotonic() < limit:
            time.sleep(0.5)  # it was just killed and comes back
        while time.monotonic() < limit:
            with suppress(Exception):  # a connection that died with its server
                self._end_pending_refunds()
                if not due_rows():
                    time.sleep(_LATE_MONEY)
                    if not due_rows():
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
        verdict = judge(found, books, record.totals(), record.troubles, minutes=self.seconds / 60)
        for line in (f"{self.followed} items of the plan", *verdict.lines):
            self._say(line)
        if verdict.wrong:
            bundle.write(self.folder, seed=self.seed, items=self.followed, verdict=verdict, books=books)
            for one in verdict.wrong[:SHOWN]:
                self._say(str(one))
            self._say(f"FAILED: {len(verdict.wrong)} differences; everything about them is in {self.folder}")
        else:
            self._say(f"ok: all books agree (seed {self.seed})")
        return verdict.status

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
        record.trouble(exc)


class _Every:
    """Calls something every so many seconds in a thread of its own, until it is stopped."""

    def __init__(self, seconds: float, record: Record, work: Callable[[], None]) -> None:
        self._seconds, self._record, self._work, self._ended = seconds, record, work, threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            _guarded(self._record, self._work)

    def stop(self) -> None:
        self._ended.set()
