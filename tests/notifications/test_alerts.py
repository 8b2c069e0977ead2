"""Raising alerts: once per window and key, safe wherever it is called."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from notifications import alerts
from notifications.alerts import alert
from notifications.models import Alert
from paycenter.models import RetrySchedule

pytestmark = pytest.mark.django_db


def raise_one(**values: str) -> None:
    alert(**{"kind": "security", "key": "k", "title": "Something", **values})


def test_a_first_one_is_due_at_once() -> None:
    raise_one(text="more", severity="critical", merchant_no="M1", trade_no="P1")
    one = Alert.objects.get()
    assert (one.title, one.text, one.severity, one.merchant_no, one.trade_no) == (
        "Something",
        "more",
        "critical",
        "M1",
        "P1",
    )
    assert (one.count, one.sent_at, one.tries) == (1, None, 0)
    assert abs((one.next_send_at - timezone.now()).total_seconds()) < 5


def test_repeats_count_up() -> None:
    for _ in range(5):
        raise_one()
    one = Alert.objects.get()
    assert one.count == 5
    assert one.last_at > one.created_at


def test_another_key_is_another_alert() -> None:
    raise_one(key="a")
    raise_one(key="b")
    assert Alert.objects.count() == 2


def test_a_lasting_trouble_stays_one_alert_and_is_told_again_after_the_window() -> None:
    raise_one()
    Alert.objects.update(next_send_at=None, routes_done=[1])
    raise_one()
    assert Alert.objects.get().next_send_at is None
    Alert.objects.update(window_at=timezone.now() - timedelta(minutes=10, seconds=1))
    raise_one()
    one = Alert.objects.get()
    assert (one.count, one.routes_done) == (3, [])
    assert one.next_send_at is not None


def test_what_was_acknowledged_and_comes_back_is_new() -> None:
    raise_one()
    Alert.objects.update(acknowledged_at=timezone.now())
    raise_one()
    assert Alert.objects.count() == 2


def test_secrets_and_personal_data_are_masked() -> None:
    raise_one(title="call 13812345678", text='{"password":"hunter2"}')
    one = Alert.objects.get()
    assert "13812345678" not in one.title
    assert "hunter2" not in one.text


def test_long_and_odd_text_is_cut_not_refused() -> None:
    raise_one(title="标" * 500, text="x\x00y" * 10_000, key="k" * 500, merchant_no="M" * 50)
    one = Alert.objects.get()
    assert len(one.title) == 160
    assert "\x00" not in one.text
    raise_one(title="again", key="k" * 500)
    assert Alert.objects.get().count == 2


def test_it_goes_with_the_callers_transaction() -> None:
    def change() -> None:
        with transaction.atomic():
            raise_one()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    assert not Alert.objects.exists()


def test_its_own_failure_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> bool:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1 FROM no_such_table")
        return False

    monkeypatch.setattr(alerts, "_counted_up", broken)
    with transaction.atomic():
        RetrySchedule.objects.create(name="before", delays=[1])
        raise_one()
        RetrySchedule.objects.create(name="after", delays=[1])
    assert RetrySchedule.objects.filter(name__in=["before", "after"]).count() == 2
    with pytest.raises(DatabaseError), transaction.atomic():
        broken()


@pytest.mark.clock
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_it_waits_for_no_other_transaction() -> None:
    """Else two transactions that raise two alerts in different order would lock each other out."""
    raise_one()
    counted, done = threading.Event(), threading.Event()

    def other() -> None:
        with transaction.atomic():
            raise_one()
            counted.set()
            done.wait(10)
        connections.close_all()

    thread = threading.Thread(target=other)
    thread.start()
    assert counted.wait(10)
    started = time.monotonic()
    with transaction.atomic():
        raise_one()
    assert time.monotonic() - started < 2
    done.set()
    thread.join()
    assert Alert.objects.get().count == 2
