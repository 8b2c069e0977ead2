"""The dashboard and the alert rules ask for nothing that is not told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from cashier.intake import figures
from cashier.intake.stream import Facts
from dashboards import scraping
from paycenter import heartbeats, metrics, replica
from paycenter.http import HttpCall
from paycenter.models import AuditVerification
from trades.models import ChannelHealth

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"
SELECTOR = re.compile(r"(paycenter_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "prometheus-alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    for panel in json.loads((FOLDER / "grafana-dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for rule in alert_rules():
        yield rule["alert"], rule["expr"]


@pytest.fixture
def told(world: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The labels of every series in a scrape in which everything happened once."""
    now = timezone.now()
    metrics.count_call("gopay", 0, 0.1)
    metrics.count_request("v1/gopay", 200, 0.1)
    metrics.count_channel_calls("wechat", [HttpCall("GET", "x", {}, b"", "query", status=200)])
    metrics.count_delivery(acknowledged=True, answered=True, seconds=0.1)
    metrics.count_task("trades.tasks.query_due", "success", 0.1)
    metrics._POOL.labels("open").set(1)
    heartbeats.heartbeat_note(part="worker", name="a")
    world.account.certificate_expires_at = now
    world.account.save()
    ChannelHealth.objects.create(account=world.account, failures=1)
    AuditVerification.objects.create(started_at=now, finished_at=now, by="x", ok=True)
    monkeypatch.setattr(scraping, "reporting", lambda: replica.REPLICA)
    monkeypatch.setattr(scraping, "replica_lag", lambda: 0.5)
    figures.count("taken")
    monkeypatch.setattr(figures, "is_in_use", lambda: True)
    monkeypatch.setattr(figures, "facts", lambda: Facts(length=1, oldest=0.5, given_up=0))
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(scraping.render().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_series_and_label_that_is_asked_for_is_told(told: dict[str, set[str]]) -> None:
    wrong = []
    for title, expression in expressions():
        for name, selection in SELECTOR.findall(expression):
            if name not in told:
                wrong.append(f"{title}: no series {name}")
            wrong += [f"{title}: {name} has no label {label}" for label in LABEL.findall(selection)
                      if label not in told.get(name, set())]  # fmt: skip
    assert wrong == []


def test_everything_of_ours_that_is_told_is_shown_or_watched(told: dict[str, set[str]]) -> None:
    asked = {name for _title, expression in expressions() for name, _selection in SELECTOR.findall(expression)}
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in told if name.startswith("paycenter_")}
    assert {name for name in families if not any(one.startswith(name) for one in asked)} == set()


def test_grouping_labels_exist(told: dict[str, set[str]]) -> None:
    known = set().union(*told.values())
    for title, expression in expressions():
        for labels in re.findall(r"by \(([^)]*)\)", expression):
            assert {label.strip() for label in labels.split(",")} <= known, title


def test_the_expressions_are_promql() -> None:
    parser = pytest.importorskip("promql_parser")
    for title, expression in expressions():
        try:
            parser.parse(expression)
        except ValueError as exc:
            pytest.fail(f"{title}: {exc}")


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    rules = alert_rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_panels_do_not_lie_on_each_other() -> None:
    panels = json.loads((FOLDER / "grafana-dashboard.json").read_text())["panels"]
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[(x, y)]}"
                taken[(x, y)] = panel["title"]
    assert len({panel["id"] for panel in panels}) == len(panels)
