"""The outbox: what is frozen, when it becomes visible, and the wake-up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from merchants.models import App
from notifications import selectors, services
from notifications.models import Notification
from notifications.services import host_of, notification_create
from paycenter import wakeup
from tests.notifications.receiver import wait_for

Capture = Callable[..., object]
NOW = datetime(2026, 3, 1, 4, 5, 6, 789000, tzinfo=UTC)


def create(app: App, **values: object) -> Notification | None:
    arguments = {"type": "trade.paid", "data": {"amount": 1}, "url": "https://a.example/cb", "now": NOW, **values}
    return notification_create(app=app, **arguments)  # type: ignore[arg-type]


def test_the_body_is_frozen(app: App) -> None:
    data = {"trade_no": "P1", "amount": 100, "detail": {"b": 1, "a": None}, "subject": "物业费"}
    made = create(app, data=data, trade_no="P1")
    data["amount"] = 999
    assert made is not None
    assert json.loads(made.body) == {
        "id": made.webhook_id,
        "type": "trade.paid",
        "created_at": "2026-03-01T12:05:06.789+08:00",
        "data": {"trade_no": "P1", "amount": 100, "detail": {"b": 1, "a": None}, "subject": "物业费"},
    }
    assert list(json.loads(made.body)) == ["id", "type", "created_at", "data"]
    assert (made.next_delivery_at, made.state, made.tries) == (NOW, "pending", 0)
    made.refresh_from_db()
    assert made.host == "a.example:443"


def test_without_an_address_nothing_is_written(app: App) -> None:
    assert create(app, url="") is None
    assert not Notification.objects.exists()


def test_ids_differ(app: App) -> None:
    made = {create(app).webhook_id for _ in range(20)}  # type: ignore[union-attr]
    assert len(made) == 20
    assert all(len(one) <= 40 for one in made)


def test_later_ids_are_greater(app: App) -> None:
    """Or their index would be written all over."""
    made = [create(app, now=NOW + timedelta(milliseconds=n)).webhook_id for n in range(20)]  # type: ignore[union-attr]
    assert made == sorted(made)


def test_data_that_is_not_json_is_refused_where_it_is_made(app: App) -> None:
    with pytest.raises(ValueError, match="JSON"):
        create(app, data={"amount": float("nan")})
    with pytest.raises(TypeError):
        create(app, data={"at": NOW})


def test_a_rolled_back_change_tells_nothing(app: App, django_capture_on_commit_callbacks: Capture) -> None:
    def change() -> None:
        with transaction.atomic():
            create(app)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    assert not Notification.objects.exists()


def test_the_wake_up_follows_the_commit(
    app: App, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Capture
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(services, "wake", asked.append)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[attr-defined]
        create(app)
        assert asked == []
    assert asked == ["notifications.tasks.deliver_due"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://A.Example/x", "a.example:80"), ("https://a.example:8443/", "a.example:8443"),
        ("http://[::1]:9/", "::1:9"),
        ("http://a.example:99999/", ""), ("http://[::1", ""),
    ],
)  # fmt: skip
def test_the_receiver_of_an_address(url: str, host: str) -> None:
    assert host_of(url) == host


class TestNotifyState:
    def test_nothing_told(self, app: App) -> None:
        assert selectors.notify_state_of("P1") == {"notify_state": None, "notified_at": None}
        create(app)  # of no trade
        assert selectors.notify_state_of("") == {"notify_state": None, "notified_at": None}

    def test_pending_delivered_and_a_newer_one(self, app: App) -> None:
        first = create(app, trade_no="P1")
        assert selectors.notify_state_of("P1") == {"notify_state": "pending", "notified_at": None}
        Notification.objects.filter(pk=first.pk).update(state="delivered", delivered_at=NOW)  # type: ignore[union-attr]
        told = "2026-03-01T12:05:06.789+08:00"
        assert selectors.notify_state_of("P1") == {"notify_state": "delivered", "notified_at": told}
        create(app, trade_no="P1", type="trade.duplicate_paid")
        assert selectors.notify_state_of("P1") == {"notify_state": "pending", "notified_at": told}

    def test_one_query(self, app: App, django_assert_num_queries: Capture) -> None:
        create(app, trade_no="P1")
        with django_assert_num_queries(1):  # type: ignore[attr-defined]
            selectors.notify_state_of("P1")


class TestWaker:
    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        from paycenter.celery import app as celery

        found: list[str] = []
        monkeypatch.setattr(celery, "send_task", lambda task, **_options: found.append(task))
        return found

    def test_sends_what_was_asked_for(self, sent: list[str]) -> None:
        waker = wakeup._Waker()
        waker.ask("a")
        wait_for(lambda: sent == ["a"])
        waker.ask("b")
        wait_for(lambda: sent == ["a", "b"])

    @pytest.mark.clock
    def test_a_broker_that_is_down_neither_blocks_nor_raises(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from paycenter.celery import app as celery

        tried, hang = [], threading.Event()

        def refuse(task: str, **_options: object) -> None:
            tried.append(task)
            hang.wait(0.2)
            raise ConnectionError("refused")

        warned: list[str] = []
        monkeypatch.setattr(celery, "send_task", refuse)
        monkeypatch.setattr(wakeup, "PAUSE_AFTER_FAILURE", 0.01)
        monkeypatch.setattr(wakeup.log, "warning", lambda text, **_fields: warned.append(text))
        waker = wakeup._Waker()
        started = time.monotonic()
        for _ in range(100):
            waker.ask("a")
        assert time.monotonic() - started < 0.1
        wait_for(lambda: len(tried) == 1)
        waker.ask("a")
        wait_for(lambda: len(tried) >= 2)
        assert len(tried) < 10  # a hundred wishes, a few messages
        assert len(warned) == 1

    def test_works_in_a_forked_child(self, sent: list[str]) -> None:
        waker = wakeup._Waker()
        waker.ask("a")
        wait_for(lambda: sent == ["a"])
        waker.reset()  # what a fork does to the child
        waker.ask("b")
        wait_for(lambda: sent == ["a", "b"])

    def test_messages_die_when_the_sweep_has_come_anyway(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from paycenter.celery import app as celery

        options: list[dict[str, object]] = []
        monkeypatch.setattr(celery, "send_task", lambda task, **given: options.append(given))
        wakeup._Waker().ask("a")
        wait_for(lambda: bool(options))
        assert options[0]["expires"] == wakeup.MESSAGE_EXPIRES
        assert options[0]["retry"] is False


def test_times_carry_the_centers_offset(app: App) -> None:
    made = create(app, now=timezone.now() + timedelta(days=1))
    assert json.loads(made.body)["created_at"].endswith("+08:00")  # type: ignore[union-attr]
