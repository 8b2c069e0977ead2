"""Several workers on one outbox, and workers that die: real threads, real commits, both databases."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connections, transaction
from django.utils import timezone

from merchants.models import App
from notifications import deliveries, tasks
from notifications.deliveries import Pump
from notifications.models import Delivery, Notification, NotificationState
from tests.notifications.conftest import make_app
from tests.notifications.receiver import Receiver, Say, wait_for

Tell = Callable[..., Notification]
InThreads = Callable[..., list[Any]]


@pytest.fixture
def app(committed_app: App) -> App:
    return committed_app


def run_pump(_index: int = 0) -> int:
    pump = Pump()
    pump.run(10)
    pump.drain()
    return pump.sent


def test_four_workers_send_each_message_once(app: App, receiver: Receiver, tell: Tell, in_threads: InThreads) -> None:
    receiver.answers["/told"] = Say(after=0.01)
    made = {tell(app).webhook_id for _ in range(150)}
    sent = in_threads(run_pump, 4)
    assert all(isinstance(one, int) for one in sent), sent
    assert sum(sent) == 150
    assert Counter(one.headers["webhook-id"] for one in receiver.got) == Counter(made)
    assert Notification.objects.filter(state=NotificationState.DELIVERED, tries=1).count() == 150
    assert Delivery.objects.filter(acknowledged=True).count() == 150


def test_claims_of_many_threads_never_overlap(app: App, receiver: Receiver, tell: Tell, in_threads: InThreads) -> None:
    for _ in range(60):
        tell(app)

    def claim(_index: int) -> list[int]:
        found: list[int] = []
        for _ in range(4):
            found += [one.pk for one in deliveries.claim(limit=5, room={})]
        return found

    claimed = [pk for found in in_threads(claim, 6) for pk in found]
    assert len(claimed) == len(set(claimed)) > 0


@pytest.mark.clock
@pytest.mark.postgres
def test_a_row_locked_by_another_worker_is_passed_over_not_waited_for(app: App, receiver: Receiver, tell: Tell) -> None:
    first, second = tell(app), tell(app)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Notification.objects.select_for_update().get(pk=first.pk)
            locked.set()
            done.wait(10)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(10)
    started = time.monotonic()
    claimed = deliveries.claim(limit=10, room={})
    assert time.monotonic() - started < 2
    assert [one.pk for one in claimed] == [second.pk]
    done.set()
    holder.join()
    assert [one.pk for one in deliveries.claim(limit=10, room={})] == [first.pk]


def test_a_worker_killed_while_sending_leaves_its_rows_to_the_next(app: App, receiver: Receiver, tell: Tell) -> None:
    made = tell(app)
    (lost,) = deliveries.claim(limit=10, room={})  # ... and the process is gone
    assert run_pump() == 0  # not before the lease is over
    assert lost.until - timezone.now() < timedelta(seconds=61)
    Notification.objects.filter(pk=made.pk).update(next_delivery_at=timezone.now())  # the lease is over
    assert run_pump() == 1
    made.refresh_from_db()
    assert made.state == NotificationState.DELIVERED
    assert len(receiver.got) == 1


def test_a_process_killed_with_messages_on_the_wire(app: App, receiver: Receiver, tell: Tell, settings: Any) -> None:
    receiver.answers["/told"] = Say(hang=True)
    made = {tell(app).webhook_id for _ in range(5)}
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import django; django.setup(); from notifications.deliveries import Pump; Pump().run(60)",
        ],
        env={**os.environ, "PAYCENTER_VAR": str(settings.VAR_DIR), "DATABASE_URL": database_url()},
    )
    try:
        wait_for(lambda: len(receiver.got) == 5)
    finally:
        worker.kill()
        worker.wait(10)
    left = Notification.objects.values_list("state", "tries", "next_delivery_at")
    assert {(state, tries) for state, tries, _due in left} == {("pending", 0)}
    assert all(timezone.now() < due < timezone.now() + timedelta(seconds=60) for _state, _tries, due in left)

    receiver.answers["/told"] = Say()
    assert run_pump() == 0
    Notification.objects.update(next_delivery_at=timezone.now())  # the lease is over
    assert run_pump() == 5
    assert Counter(one.headers["webhook-id"] for one in receiver.got) == dict.fromkeys(made, 2)
    assert len({one.body for one in receiver.got}) == 5
    assert Notification.objects.filter(state=NotificationState.DELIVERED).count() == 5


def database_url() -> str:
    """The test database, for another process."""
    found = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    place = f"{found['HOST'] or '127.0.0.1'}:{found['PORT'] or 5432}"
    return f"postgres://{quote(found['USER'])}:{quote(found['PASSWORD'])}@{place}/{found['NAME']}"


def test_a_notification_is_not_seen_before_its_change_is_committed(app: App, receiver: Receiver, tell: Tell) -> None:
    with transaction.atomic():
        tell(app)
        found: list[list[deliveries.Claim]] = []

        def look() -> None:
            if connections["default"].vendor == "postgresql":  # SQLite has one writer at a time
                found.append(deliveries.claim(limit=10, room={}))
            connections.close_all()

        other = threading.Thread(target=look)
        other.start()
        other.join()
        transaction.set_rollback(True)
    assert [one for claimed in found for one in claimed] == []
    assert run_pump() == 0
    assert receiver.connections == 0


@pytest.mark.clock
def test_one_process_claims_and_the_others_step_aside(
    app: App, receiver: Receiver, tell: Tell, in_threads: InThreads
) -> None:
    """Hanging receivers must not keep every worker process waiting."""
    receiver.answers["/told"] = Say(after=1.0)
    tell(app)

    def work(index: int) -> tuple[int, float]:
        time.sleep(0.2 * index)
        started = time.monotonic()
        return tasks.deliver_due(), time.monotonic() - started

    results = in_threads(work, 3)
    assert sorted(sent for sent, _took in results) == [0, 0, 1]
    assert all(took < 0.8 for sent, took in results if sent == 0)


@pytest.mark.clock
def test_the_claimer_keeps_looking_while_something_is_in_flight(app: App, receiver: Receiver, tell: Tell) -> None:
    receiver.answers["/slow"] = Say(after=1.5)
    tell(app, "/slow")
    started = time.monotonic()
    running = threading.Thread(target=lambda: (tasks.deliver_due(), connections.close_all()))
    running.start()
    time.sleep(0.4)
    tell(app, "/later")
    running.join()
    (later,) = receiver.of("/later")
    assert later.at - started < 1.4
    assert Notification.objects.filter(state=NotificationState.DELIVERED).count() == 2


def test_the_lock_is_free_again_after_a_failure(
    app: App, receiver: Receiver, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(app)
    with monkeypatch.context() as broken:
        broken.setattr(Pump, "run", lambda self, seconds: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tasks.deliver_due()
    assert tasks.deliver_due() == 1


def test_without_a_writable_directory_it_still_delivers(
    app: App, receiver: Receiver, tell: Tell, settings: Any
) -> None:
    settings.VAR_DIR = "/proc/nowhere"
    tell(app)
    assert tasks.deliver_due() == 1
    assert len(receiver.got) == 1


@pytest.mark.clock
def test_apps_do_not_wait_for_each_other(app: App, receiver: Receiver, tell: Tell) -> None:
    other = make_app("app0000000002")
    receiver.answers["/a"] = Say(after=1.0)
    for _ in range(5):
        tell(app, "/a")
    tell(other, "/b")
    started = time.monotonic()
    run_pump()
    (quick,) = receiver.of("/b")
    assert quick.at - started < 0.9
