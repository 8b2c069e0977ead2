"""POST /v1/sync/events: a cursor over this app's changes that skips none."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test import Client

from paycenter.models import Event
from paycenter.transitions import record_event
from tests import factories
from tests.factories import HMAC_SECRET
from tests.fakes.declared import assert_as_declared
from tests.fakes.signing import Caller, signed_post
from trades.api.sync_events import SyncEvents
from trades.models import Trade

PATH = "/v1/sync/events"


def read(call: Caller, cursor: str = "", **more: Any) -> dict[str, Any]:
    found = call(PATH, {"cursor": cursor, **more})
    assert found.status_code == 200, found.content
    return found.json()["data"]


def read_all(call: Caller, limit: int = 100) -> list[dict[str, Any]]:
    events, cursor = [], ""
    while True:
        page = read(call, cursor, limit=limit)
        events += page["events"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            return events


def test_the_story_of_a_trade_in_order(call: Caller, order: dict[str, Any]) -> None:
    made = call("/v1/gopay", order).json()["data"]
    call("/v1/close", {"trade_no": made["trade_no"]})
    data = read(call)
    assert_as_declared(SyncEvents, data)
    events = data["events"]
    assert [e["type"] for e in events] == ["trade.created", "trade.paying", "trade.closed"]
    assert [e["data"]["state"] for e in events] == ["waiting", "paying", "closed"]
    assert [e["seq"] for e in events] == sorted({e["seq"] for e in events})
    assert {e["trade_no"] for e in events} == {made["trade_no"]}
    assert {e["refund_no"] for e in events} == {None}
    assert all(datetime.fromisoformat(e["created_at"]).utcoffset() is not None for e in events)
    assert data["has_more"] is False


def test_an_event_tells_nothing_of_staff(call: Caller, world: Any) -> None:
    trade = factories.trade_open(app=world.app, order=world.order())
    record_event(
        trade, "trade.noted", actor="staff:alice", reason="alice said so", public=True, data={"state": "waiting"}
    )
    record_event(trade, "trade.inside", actor="staff:alice", public=False)
    found = call(PATH, {})
    assert b"alice" not in found.content
    assert [e["type"] for e in found.json()["data"]["events"]] == ["trade.created", "trade.noted"]


def test_nothing_new_answers_the_cursor_that_was_sent(call: Caller, world: Any) -> None:
    assert read(call) == {"events": [], "next_cursor": "", "has_more": False}
    factories.trade_open(app=world.app, order=world.order())
    first = read(call)
    assert isinstance(first["next_cursor"], str)
    assert first["next_cursor"]
    again = read(call, first["next_cursor"])
    assert again == {"events": [], "next_cursor": first["next_cursor"], "has_more": False}


def test_pages_join_without_gap_or_overlap(call: Caller, world: Any) -> None:
    for _ in range(7):
        factories.trade_open(app=world.app, order=world.order())
    one_by_one, at_once = read_all(call, limit=1), read_all(call, limit=1000)
    assert one_by_one == at_once
    assert len({e["id"] for e in at_once}) == len(at_once) == Event.objects.filter(public=True).count()


@pytest.mark.parametrize(("count", "limit", "more"), [(3, 2, True), (3, 3, False), (3, 4, False)])
def test_has_more_is_exact(call: Caller, world: Any, count: int, limit: int, more: bool) -> None:
    for _ in range(count):
        factories.trade_open(app=world.app, order=world.order())
    assert read(call, limit=limit)["has_more"] is more


def test_an_app_sees_its_own_events_only(call: Caller, world: Any) -> None:
    other = factories.make_app(world.merchant)
    factories.trade_open(app=other, order=world.order())
    mine = factories.trade_open(app=world.app, order=world.order())
    assert [e["trade_no"] for e in read(call)["events"]] == [mine.trade_no]
    theirs = signed_post(call.client, PATH, {}, other.app_id, HMAC_SECRET).json()["data"]["events"]
    assert len(theirs) == 1
    assert theirs[0]["trade_no"] != mine.trade_no


def test_a_bad_or_foreign_cursor_is_a_wrong_parameter(call: Caller, world: Any) -> None:
    other = factories.make_app(world.merchant)
    factories.trade_open(app=other, order=world.order())
    foreign = signed_post(call.client, PATH, {}, other.app_id, HMAC_SECRET).json()["data"]["next_cursor"]
    for cursor in (foreign, "nonsense", "0", "1", " ", "é", "x" * 129, 5, None):
        found = call(PATH, {"cursor": cursor})
        assert (found.status_code, found.json()["errno"]) == (400, 40001), cursor
        assert list(found.json()["data"]["errors"]) == ["cursor"]


@pytest.mark.parametrize("limit", [0, 1001, -1, 1.0, "10", True, None])
def test_the_limit(call: Caller, limit: Any) -> None:
    found = call(PATH, {"limit": limit})
    assert found.json()["errno"] == 40001
    assert list(found.json()["data"]["errors"]) == ["limit"]


def test_events_are_there_at_once_although_no_worker_runs(call: Caller, world: Any) -> None:
    factories.trade_open(app=world.app, order=world.order())
    assert Event.objects.filter(seq__isnull=False).count() == 0
    assert len(read(call)["events"]) == 1


def test_reading_with_nothing_new_takes_no_write_lock(
    committed_world: Any, client: Client, django_assert_num_queries: Any
) -> None:
    """App, keys, nonce; is there anything to number; the events; the log row."""
    call = Caller(client, committed_world.app.app_id, HMAC_SECRET)
    factories.trade_open(app=committed_world.app, order=committed_world.order())
    cursor = read(call)["next_cursor"]
    with django_assert_num_queries(6):
        read(call, cursor)


def test_a_database_too_busy_to_number_is_still_read(call: Caller, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.trade_open(app=world.app, order=world.order())
    first = read(call)
    factories.trade_open(app=world.app, order=world.order())

    def busy(**_given: Any) -> int:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr("trades.api.sync_events.sequence_events", busy)
        assert read(call) == first
    assert len(read(call, first["next_cursor"])["events"]) == 1


# ---- overlapping transactions ------------------------------------------------------------------------
class Reader(threading.Thread):
    """An app that polls with its cursor until told to stop, then once more."""

    def __init__(self, app_id: str) -> None:
        super().__init__()
        self.call = Caller(Client(), app_id, HMAC_SECRET)
        self.seen: list[dict[str, Any]] = []
        self.cursor = ""
        self.stopping = threading.Event()
        self.trouble: Exception | None = None

    def poll(self) -> None:
        page = read(self.call, self.cursor, limit=5)
        self.seen += page["events"]
        self.cursor = page["next_cursor"]
        if page["has_more"]:
            self.poll()

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.poll()
                time.sleep(0.005)
            self.poll()
        except Exception as exc:
            self.trouble = exc
        finally:
            connections.close_all()

    def finish(self) -> list[dict[str, Any]]:
        self.stopping.set()
        self.join(timeout=60)
        assert self.trouble is None
        return self.seen


@pytest.mark.postgres
def test_a_transaction_that_commits_late_is_not_skipped(committed_world: Any) -> None:
    """The event with the lower id commits after a higher one was numbered and read."""
    world = committed_world
    early, late = (factories.trade_open(app=world.app, order=world.order()) for _ in range(2))
    call = Caller(Client(), world.app.app_id, HMAC_SECRET)
    cursor = read(call)["next_cursor"]
    wrote, may_commit = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                record_event(late, "trade.slow", actor="test", public=True, data={})
                wrote.set()
                assert may_commit.wait(20)
        finally:
            connections.close_all()

    thread = threading.Thread(target=slow)
    thread.start()
    assert wrote.wait(20)
    record_event(early, "trade.quick", actor="test", public=True, data={})
    first = read(call, cursor)
    assert [e["type"] for e in first["events"]] == ["trade.quick"]
    may_commit.set()
    thread.join(20)
    second = read(call, first["next_cursor"])
    assert [e["type"] for e in second["events"]] == ["trade.slow"]
    assert second["events"][0]["id"] < first["events"][0]["id"], "the ids must really be the wrong way round"


def test_a_polling_reader_misses_nothing_while_many_write(committed_world: Any, in_threads: Any) -> None:
    """Writers hold their transactions open for different times; per trade the order is that of the commits."""
    world, rounds, writers = committed_world, 12, 4
    trades = [factories.trade_open(app=world.app, order=world.order()) for _ in range(writers)]
    reader = Reader(world.app.app_id)
    reader.start()
    committed: dict[str, list[int]] = {trade.trade_no: [] for trade in trades}

    def write(index: int) -> None:
        for number in range(rounds):
            with transaction.atomic():
                # Two threads per pair of trades, so that the row lock decides the order of commits.
                trade = Trade.objects.select_for_update(of=("self",)).get(pk=trades[(index + number) % 2].pk)
                event = record_event(
                    trade, "trade.step", actor="test", public=True, data={"by": index, "n": number},
                    app_id=world.app.app_id, trade_no=trade.trade_no, merchant_no=world.merchant.merchant_no,
                )  # fmt: skip
                if connection.vendor == "postgresql":
                    time.sleep(0.002 * ((index * 7 + number * 3) % 5))
                committed[trade.trade_no].append(event.pk)

    assert in_threads(write, writers) == [None] * writers
    seen = reader.finish()
    ids = [e["id"] for e in seen]
    assert len(ids) == len(set(ids)), "an event was told twice"
    assert set(ids) == set(Event.objects.filter(public=True).values_list("pk", flat=True))
    assert [e["seq"] for e in seen] == sorted(e["seq"] for e in seen)
    for trade_no, order in committed.items():
        told = [e["id"] for e in seen if e["trade_no"] == trade_no and e["type"] == "trade.step"]
        assert told == order
