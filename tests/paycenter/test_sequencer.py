"""Numbers and hashes: consecutive, given once, by one sequencer at a time."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.utils import timezone

from paycenter import sequencer
from paycenter.models import Event, EventHead
from paycenter.sequencer import HEAD_ID, sequence_events
from tests.fakes.audit_triggers import without_triggers


def make_events(count: int = 1, **values: Any) -> list[Event]:
    defaults = {
        "type": "test.happened", "created_at": timezone.now(), "object_type": "trade", "actor": "test",
        "data": {"b": 1, "a": [1.5, None, "物业"]}, "detail": {"z": 1, "y": 2},
    }  # fmt: skip
    return [Event.objects.create(**{**defaults, **values}) for _ in range(count)]


def numbered() -> list[Event]:
    return list(Event.objects.filter(seq__isnull=False).order_by("seq"))


# ---- numbers -----------------------------------------------------------------------------------
def test_events_get_consecutive_numbers_in_the_order_they_were_written(db: None) -> None:
    made = make_events(5)
    assert sequence_events() == 5
    assert [(e.pk, e.seq) for e in numbered()] == [(e.pk, n) for n, e in enumerate(made, start=1)]
    make_events(2)
    assert sequence_events() == 2
    assert [e.seq for e in numbered()] == [1, 2, 3, 4, 5, 6, 7]


def test_numbers_once_given_do_not_change(db: None) -> None:
    make_events(3)
    sequence_events()
    before = list(Event.objects.order_by("id").values_list("id", "seq", "hash"))
    assert sequence_events() == 0
    assert list(Event.objects.order_by("id").values_list("id", "seq", "hash")) == before


def test_with_nothing_to_do_it_asks_once_and_locks_nothing(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert sequence_events() == 0


def test_a_batch_is_written_in_one_statement(db: None, django_assert_max_num_queries: Any) -> None:
    make_events(50)
    sequence_events()
    make_events(200)
    with django_assert_max_num_queries(7):  # any?, savepoint, head, rows, update, head, release
        assert sequence_events() == 200


def test_a_backlog_is_done_in_batches_and_as_many_as_asked(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "BATCH", 3)
    make_events(8)
    assert sequence_events(batches=1) == 3
    assert sequence_events() == 5
    assert [e.seq for e in numbered()] == list(range(1, 9))


def test_the_first_thousand_of_more_than_a_thousand(db: None) -> None:
    now = timezone.now()
    Event.objects.bulk_create(
        [Event(type="t", created_at=now, object_type="x", actor="test") for _ in range(1001)], batch_size=500
    )
    assert sequence_events(batches=1) == 1000
    assert sequence_events() == 1
    assert EventHead.objects.get(pk=HEAD_ID).seq == 1001


def test_a_lost_head_goes_on_from_the_last_event(db: None) -> None:
    make_events(2)
    sequence_events()
    EventHead.objects.all().delete()
    make_events(1)
    sequence_events()
    events = numbered()
    assert [e.seq for e in events] == [1, 2, 3]
    assert events[2].hash == sequencer.chain_hash(events[1].hash, events[2])


# ---- hashes ------------------------------------------------------------------------------------
def test_the_hash_is_of_the_hash_before_and_every_lasting_column(db: None) -> None:
    """Written out here, so that a change of the format cannot go unnoticed."""
    make_events(2, merchant_no="M1", trade_no="P1", reason="因为", public=True, object_id=7)
    sequence_events()
    previous = ""
    for event in numbered():
        columns = {
            "id": event.pk, "type": "test.happened", "object_type": "trade", "object_id": 7, "app_id": "",
            "created_at": event.created_at.isoformat(timespec="microseconds"), "merchant_no": "M1", "trade_no": "P1",
            "attempt_no": "", "refund_no": "", "from_state": "", "to_state": "", "actor": "test", "reason": "因为",
            "detail": {"y": 2, "z": 1}, "data": {"a": [1.5, None, "物业"], "b": 1}, "public": True,
        }  # fmt: skip
        text = json.dumps(columns, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert event.hash == hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
        previous = event.hash
    head = EventHead.objects.get(pk=HEAD_ID)
    assert (head.seq, head.hash) == (2, previous)


# ---- several at once ---------------------------------------------------------------------------
def test_two_sequencers_give_every_event_one_number(transactional_db: None, in_threads: Callable[..., Any]) -> None:
    make_events(120)

    def work(_index: int) -> int:
        done = 0
        while Event.objects.filter(seq__isnull=True).exists():
            done += sequence_events(batches=1)
        return done

    found = in_threads(work, 4)
    assert sum(found) == 120
    assert [e.seq for e in numbered()] == list(range(1, 121))


@pytest.mark.clock
@pytest.mark.postgres
def test_a_second_sequencer_returns_at_once(transactional_db: None) -> None:
    make_events(1)
    sequence_events()
    make_events(1)
    locked, release, found = threading.Event(), threading.Event(), []

    def hold() -> None:
        try:
            with transaction.atomic():
                EventHead.objects.select_for_update().get(pk=HEAD_ID)
                locked.set()
                release.wait(20)
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(20)
    started = timezone.now()
    found.append(sequence_events())
    took = (timezone.now() - started).total_seconds()
    release.set()
    thread.join(20)
    assert found == [0]
    assert took < 2
    assert sequence_events() == 1


# ---- the database refuses ----------------------------------------------------------------------
def refused(work: Callable[[], Any]) -> bool:
    try:
        with transaction.atomic():
            work()
    except IntegrityError as exc:
        return "append-only" in str(exc)
    return False


@pytest.mark.parametrize("is_numbered", [False, True])
def test_an_event_cannot_be_deleted(db: None, is_numbered: bool) -> None:
    event = make_events()[0]
    if is_numbered:
        sequence_events()
    assert refused(lambda: event.delete())
    assert refused(lambda: Event.objects.all()._raw_delete("default"))
    assert Event.objects.count() == 1


CHANGES: dict[str, Any] = {
    "type": "x", "created_at": timezone.now(), "object_type": "y", "object_id": 99, "app_id": "A", "merchant_no": "M",
    "trade_no": "P", "attempt_no": "A", "refund_no": "R", "from_state": "a", "to_state": "b", "actor": "mallory",
    "reason": "because", "detail": {"x": 1}, "data": {"x": 1}, "public": True, "id": 10_000,
}  # fmt: skip


def test_every_column_but_seq_and_hash_is_tried_below() -> None:
    assert set(CHANGES) == {f.attname for f in Event._meta.concrete_fields} - {"seq", "hash"}


@pytest.mark.parametrize("column", sorted(CHANGES))
@pytest.mark.parametrize("is_numbered", [False, True])
def test_no_column_of_an_event_can_be_changed(db: None, column: str, is_numbered: bool) -> None:
    make_events()
    if is_numbered:
        sequence_events()
    before = Event.objects.values().get()
    assert refused(lambda: Event.objects.update(**{column: CHANGES[column]}))
    # Nor together with what the sequencer may write.
    assert refused(lambda: Event.objects.update(seq=50, hash="x", **{column: CHANGES[column]}))
    assert Event.objects.values().get() == before


@pytest.mark.parametrize("change", [{"seq": None}, {"seq": 9}, {"hash": "0" * 64}, {"seq": 9, "hash": "0" * 64}])
def test_number_and_hash_are_given_once(db: None, change: dict[str, Any]) -> None:
    make_events()
    sequence_events()
    assert refused(lambda: Event.objects.update(**change))


def test_null_columns_are_guarded_as_well(db: None) -> None:
    make_events(data=None, object_id=None)
    assert refused(lambda: Event.objects.update(data={}))
    assert refused(lambda: Event.objects.update(object_id=1))


@pytest.mark.postgres
def test_the_table_cannot_be_truncated(db: None) -> None:
    make_events()

    def truncate() -> None:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE paycenter_event")

    assert refused(truncate)


def test_what_tests_take_away_comes_back(db: None) -> None:
    with without_triggers():
        make_events()
        Event.objects.all()._raw_delete("default")
    make_events()
    assert refused(lambda: Event.objects.all()._raw_delete("default"))
