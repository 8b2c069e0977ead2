"""Health, figures, error pages."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from paycenter import views
from tests.factories import HMAC_SECRET
from tests.fakes.signing import signed_post


@pytest.fixture(autouse=True)
def _ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_last", (0.0, {}))
    monkeypatch.setattr(views, "_migrated", True)


def test_alive_needs_nothing(client: Client, django_assert_num_queries: Any, db: None) -> None:
    with django_assert_num_queries(0):
        found = client.get("/healthz")
    assert (found.status_code, found.json()) == (200, {"status": "ok"})


def test_ready_when_database_and_broker_answer(client: Client, db: None) -> None:
    found = client.get("/readyz")
    assert (found.status_code, found.json()) == (200, {
        "status": "ok", "database": "ok", "migrations": "ok", "broker": "ok",
    })  # fmt: skip
    assert "no-store" in found["Cache-Control"]


def test_not_ready_without_the_database(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def down() -> None:
        raise DatabaseError("password=topsecret host=10.0.0.5")

    monkeypatch.setattr(views, "_ask_database", down)
    found = client.get("/readyz")
    assert (found.status_code, found.json()["database"], found.json()["broker"]) == (503, "failed", "ok")
    assert b"topsecret" not in found.content


@pytest.mark.clock
def test_not_ready_without_the_broker_and_told_within_seconds(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that never answers: the question must end by itself."""
    from paycenter.celery import app

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(views, "BROKER_SECONDS", 0.5)
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        monkeypatch.setattr(app.conf, "broker_write_url", url)  # first: it follows the other
        monkeypatch.setattr(app.conf, "broker_url", url)
        started = time.monotonic()
        found = client.get("/readyz")
        assert time.monotonic() - started < 5
    assert (found.status_code, found.json()["broker"], found.json()["database"]) == (503, "failed", "ok")


def test_not_ready_before_its_migrations_are_applied(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(views, "_migrated", False)
    row = MigrationRecorder.Migration.objects.get(app="paycenter", name__endswith="_heartbeat")
    row.delete()
    found = client.get("/readyz")
    assert (found.status_code, found.json()["migrations"], found.json()["database"]) == (503, "failed", "ok")
    MigrationRecorder.Migration.objects.create(app=row.app, name=row.name, applied=row.applied)
    monkeypatch.setattr(views, "_last", (0.0, {}))
    assert client.get("/readyz").status_code == 200
    with django_assert_num_queries(0):  # never asked again
        views._ask_migrations()


def test_ready_although_the_database_is_newer(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old programs of a rolling restart go on."""
    monkeypatch.setattr(views, "_migrated", False)
    MigrationRecorder.Migration.objects.create(app="trades", name="9999_later")
    assert client.get("/readyz").status_code == 200


def test_a_draining_process_answers_and_is_not_ready(
    client: Client, db: None, settings: Any, tmp_path: Any, django_assert_num_queries: Any
) -> None:
    settings.DRAIN_FILE = tmp_path / "draining"
    settings.DRAIN_FILE.touch()
    with django_assert_num_queries(0):
        found = client.get("/readyz")
    assert (found.status_code, found.json()) == (503, {"status": "draining"})
    assert client.get("/healthz").status_code == 200
    settings.DRAIN_FILE.unlink()
    assert client.get("/readyz").status_code == 200


def test_asking_often_costs_the_database_nothing(client: Client, db: None, django_assert_num_queries: Any) -> None:
    client.get("/readyz")
    with django_assert_num_queries(0):
        client.get("/readyz")


@pytest.mark.clock
def test_a_silent_broker_holds_up_one_asker_only(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody else gets what was found last, at once: nobody can occupy all threads by asking."""
    monkeypatch.setattr(views, "_last", (time.monotonic() - 60, {"database": "ok", "broker": "failed"}))
    asking, go_on = threading.Event(), threading.Event()

    def silent() -> None:
        asking.set()
        assert go_on.wait(20)

    monkeypatch.setattr(views, "ask_broker", silent)
    monkeypatch.setattr(views, "_ask_database", lambda: None)
    first = threading.Thread(target=views._readiness)
    first.start()
    assert asking.wait(20)
    started = time.monotonic()
    assert views._readiness() == {"database": "ok", "broker": "failed"}
    assert time.monotonic() - started < 1
    go_on.set()
    first.join(20)
    assert views._readiness() == {"database": "ok", "migrations": "ok", "broker": "ok"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_nothing_is_changed_here(client: Client, db: None, path: str) -> None:
    assert client.post(path).status_code == 405


def test_figures_count_calls_by_operation_and_errno(client: Client, world: Any) -> None:
    def counted() -> float:
        name = 'paycenter_calls_total{errno="40401",operation="query_trade"} '
        lines = client.get("/metrics").content.decode().splitlines()
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    before = counted()
    signed_post(client, "/v1/query/trade", {"trade_no": "X"}, world.app.app_id, HMAC_SECRET)
    assert counted() == before + 1


def test_figures_show_what_is_due(client: Client, world: Any) -> None:
    from tests import factories
    from trades.models import Trade

    factories.expire(factories.trade_open(app=world.app, order=world.order()))
    assert Trade.objects.count() == 1
    text = client.get("/metrics").content.decode()
    assert 'paycenter_due{work="close"} 1.0' in text
    assert 'paycenter_due{work="sequencer"} 1.0' in text


def test_a_page_that_does_not_exist_says_so_in_both_languages(client: Client, db: None) -> None:
    found = client.get("/nowhere")
    assert found.status_code == 404
    assert "页面不存在" in found.content.decode()
    assert b"Page not found" in found.content


def test_a_broken_page_says_so_without_details(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("whsec_topsecret")

    monkeypatch.setattr(views, "render_metrics", broken)
    client.raise_request_exception = False
    found = client.get("/metrics")
    assert found.status_code == 500
    assert "系统出错了" in found.content.decode()
    assert b"topsecret" not in found.content
    assert found["X-Request-Id"]


def test_a_host_that_is_not_ours_is_refused(client: Client, db: None) -> None:
    assert client.get("/nowhere", HTTP_HOST="evil.example").status_code == 400
