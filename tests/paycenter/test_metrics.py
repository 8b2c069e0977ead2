"""What Prometheus is told: real requests, channel calls and rows show up; several processes add up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from dashboards import scraping
from paycenter import heartbeats, metrics
from paycenter.http import HttpCall
from paycenter.models import Heartbeat
from tests import factories
from trades.models import ChannelHealth, ChannelSwitch, Trade


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(text.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(name: str, **labels: str) -> float:
    return samples(scraping.render()).get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_route_never_by_address(client: Client, world: Any) -> None:
    before = value("paycenter_requests_total", route="notify/<slug:method>/<slug:attempt_no>", outcome="4xx")
    for number in ("A1", "A2"):
        client.post(f"/notify/fake_qr/{number}")
    client.get("/made/up/by/somebody")
    text = client.get("/metrics").content
    labels = {"route": "notify/<slug:method>/<slug:attempt_no>", "outcome": "4xx"}
    key = ("paycenter_requests_total", frozenset(labels.items()))
    assert samples(text)[key] == before + 2
    assert b"made/up" not in text
    assert b'route="unknown"' in text


def test_channel_calls_tell_how_they_ended(db: None) -> None:
    labels = {"channel": "wechat", "operation": "query"}
    before = {word: value("paycenter_channel_calls_total", **labels, outcome=word) for word in _ENDS}
    slow_before = value("paycenter_channel_seconds_sum", **labels)
    metrics.count_channel_calls("wechat", [
        HttpCall("GET", "x", {}, b"", "query", status=200, elapsed_ms=250),
        HttpCall("GET", "x", {}, b"", "query", status=502),
        HttpCall("GET", "x", {}, b"", "query", error="NotSent: no connection"),
        HttpCall("GET", "x", {}, b"", "query", error="UnknownOutcome: no answer within 8 s"),
    ])  # fmt: skip
    after = {word: value("paycenter_channel_calls_total", **labels, outcome=word) for word in _ENDS}
    assert [after[word] - before[word] for word in _ENDS] == [1, 1, 1, 1]
    assert value("paycenter_channel_seconds_sum", **labels) == pytest.approx(slow_before + 0.25)


_ENDS = ("answered", "server_error", "not_sent", "no_answer")


def test_what_waits_is_told_with_its_age(world: Any) -> None:
    trade = factories.trade_open(app=world.app, order=world.order())
    late = timezone.now() - timedelta(seconds=300)
    Trade.objects.filter(pk=trade.pk).update(expire_at=late, next_close_at=late)
    assert value("paycenter_due", work="close") == 1
    assert 299 <= value("paycenter_oldest_due_seconds", work="close") < 330
    assert value("paycenter_oldest_due_seconds", work="query") == 0


def test_a_shed_channel_has_its_line_and_a_well_one_none(world: Any) -> None:
    other = factories.make_account(world.merchant)
    ChannelHealth.objects.create(account=other)
    ChannelHealth.objects.create(account=world.account, failures=5, opened_at=timezone.now())
    where = {"channel": "fakepay", "payment_no": world.account.payment_no}
    assert (value("paycenter_breaker_state", **where), value("paycenter_channels_shed")) == (1, 1)
    ChannelHealth.objects.update(switch=ChannelSwitch.ALWAYS_OFF)
    assert (value("paycenter_breaker_state", **where), value("paycenter_channels_shed")) == (2, 2)
    ChannelHealth.objects.update(switch=ChannelSwitch.AUTO, failures=0, opened_at=None)
    assert "payment_no" not in scraping.render().decode()


def test_signs_of_life_are_kept_once_per_program_and_forgotten_in_time(db: None) -> None:
    heartbeats.heartbeat_note(part="worker", name="celery@a")
    long_ago = timezone.now() - timedelta(days=2)
    Heartbeat.objects.update(beaten_at=long_ago)
    assert value("paycenter_heartbeat_age_seconds", part="worker") > 86_400
    heartbeats.heartbeat_note(part="worker", name="celery@a")
    heartbeats.heartbeat_note(part="worker", name="celery@a")
    assert Heartbeat.objects.count() == 1
    assert value("paycenter_heartbeat_age_seconds", part="worker") < 5
    Heartbeat.objects.update(beaten_at=long_ago)
    heartbeats.heartbeat_note(part="beat", name="host")
    assert list(Heartbeat.objects.values_list("part", flat=True)) == ["beat"]


def test_a_pulse_beats_no_oftener_than_it_should_and_survives_without_a_database(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []
    monkeypatch.setattr(heartbeats, "heartbeat_note", lambda *, part, name: noted.append(name))
    pulse = heartbeats.Pulse("worker", "celery@a")
    for _ in range(3):
        pulse.beat()
    assert noted == ["celery@a"]

    def down(**_values: str) -> None:
        raise DatabaseError

    monkeypatch.setattr(heartbeats, "heartbeat_note", down)
    heartbeats.Pulse("beat", "host").beat()


def test_without_the_database_the_processes_figures_remain(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(_now: Any) -> None:
        raise DatabaseError("password=topsecret")

    monkeypatch.setattr(scraping, "_everything", down)
    text = scraping.render()
    assert b"paycenter_database_up 0.0" in text
    assert b"paycenter_calls_total" in text
    assert b"topsecret" not in text


def test_a_scrape_asks_few_questions(world: Any, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(8):
        scraping.render()


@pytest.mark.postgres
def test_the_pool_of_connections_is_told(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_pool_noted", float("-inf"))
    assert connection.vendor == "postgresql"
    assert value("paycenter_db_pool", state="open") >= 1


@pytest.mark.postgres
def test_counting_opens_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may not know its database yet, as one that tests run in before they made theirs."""
    pools: dict[str, Any] = {}
    monkeypatch.setattr(type(connections["default"]), "_connection_pools", pools)
    monkeypatch.setattr(metrics, "_pool_noted", float("-inf"))
    metrics.note_pool()
    assert pools == {}
