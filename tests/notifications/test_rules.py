"""What an operator sets about alerts takes effect: who is told, how often, and when nobody is disturbed."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.utils import timezone

from notifications import backlogs, routes
from notifications.alerts import alert
from notifications.backlogs import WORK, watch_backlogs
from notifications.kinds import KINDS
from notifications.models import Alert, AlertRoute, AlertRule, BacklogLimit, Notification
from notifications.quiet import quiet_until
from notifications.tasks import send_alerts
from paycenter.models import Event
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from tests.notifications.receiver import Receiver
from tests.notifications.robot import Robot

pytestmark = pytest.mark.django_db


def raise_one(key: str = "k", kind: str = "security", **values: Any) -> None:
    alert(**{"kind": kind, "key": key, "title": "Odd", **values})


def rule(kind: str = "security", **values: Any) -> AlertRule:
    return AlertRule.objects.update_or_create(kind=kind, defaults=values)[0]


@pytest.fixture
def robot(receiver: Receiver) -> Robot:
    return Robot(receiver)


@pytest.fixture
def route(robot: Robot) -> AlertRoute:
    return AlertRoute.objects.create(name="duty", url=robot.url, secret=robot.secret, language="en")


def _ours() -> set[Path]:
    """The folders of our own code that may raise alerts: every installed app of ours, and the channels."""
    base = Path(settings.BASE_DIR)
    installed = {Path(config.path) for config in apps.get_app_configs()}
    return {base / "channels", *(path for path in installed if path.parent == base)}


def _kinds_raised() -> set[str]:
    found = set()
    for folder in _ours():
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "alert":
                    kinds = [k.value for k in node.keywords if k.arg == "kind"]
                    found |= {kind.value for kind in kinds if isinstance(kind, ast.Constant)}
    return found


def test_every_kind_the_code_raises_is_known_and_has_its_rule() -> None:
    assert {"onboarding", "dashboards"} <= {folder.name for folder in _ours()}
    raised = _kinds_raised()
    assert len(raised) >= 10
    assert raised <= set(KINDS)
    assert set(AlertRule.objects.values_list("kind", flat=True)) == set(KINDS)
    assert set(BacklogLimit.objects.values_list("name", flat=True)) == set(WORK)
    for each in AlertRule.objects.all():
        assert (each.repeat_minutes, each.per_hour) == (KINDS[each.kind].repeat_minutes, KINDS[each.kind].per_hour)


def test_a_rule_names_who_is_told(route: AlertRoute, robot: Robot, receiver: Receiver) -> None:
    other = AlertRoute.objects.create(name="other", kind="wecom", url=receiver.url("/other"))
    rule().receivers.set([route])
    raise_one()
    send_alerts()
    assert len(robot.taken) == 1
    assert receiver.of("/other") == []
    assert Alert.objects.get().routes_done == [route.pk]
    assert other.pk not in Alert.objects.get().routes_done


def test_a_kind_that_is_switched_off_stays_in_the_list(route: AlertRoute, robot: Robot) -> None:
    rule(is_active=False)
    raise_one()
    send_alerts()
    assert robot.taken == []
    assert Alert.objects.get().next_send_at is None


def test_a_rule_sets_the_severity() -> None:
    rule(severity="info")
    raise_one(severity="critical")
    assert Alert.objects.get().severity == "info"


def test_a_rule_sets_when_it_is_told_again() -> None:
    rule(repeat_minutes=60)
    raise_one()
    Alert.objects.update(window_at=timezone.now() - timedelta(minutes=59), next_send_at=None)
    raise_one()
    assert Alert.objects.get().next_send_at is None


@pytest.mark.parametrize(
    ("first", "last", "zone", "now", "end"),
    [
        ("22:00", "08:00", "Asia/Shanghai", "2026-03-01 15:00", "2026-03-02 00:00"),  # 23:00 there
        ("22:00", "08:00", "Asia/Shanghai", "2026-03-01 23:59", "2026-03-02 00:00"),  # 07:59 there
        ("22:00", "08:00", "Asia/Shanghai", "2026-03-02 00:00", None),
        ("12:00", "13:00", "Asia/Shanghai", "2026-03-01 04:30", "2026-03-01 05:00"),
        ("22:00", "08:00", "Europe/Berlin", "2026-03-28 23:00", "2026-03-29 06:00"),  # clocks go forward that night
        ("09:00", "09:00", "Asia/Shanghai", "2026-03-01 01:00", None),
        ("22:00", "08:00", "No/Where", "2026-03-01 15:00", None),
    ],
)
def test_quiet_hours(first: str, last: str, zone: str, now: str, end: str | None) -> None:
    one = AlertRule(quiet_from=time.fromisoformat(first), quiet_until=time.fromisoformat(last), quiet_zone=zone)
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = quiet_until(one, "warning", moment)
    assert (found and found.astimezone(UTC)) == (end and datetime.fromisoformat(end).replace(tzinfo=UTC))
    assert quiet_until(one, "critical", moment) is None
    one.critical_passes = False
    assert quiet_until(one, "critical", moment) == found


def test_in_quiet_hours_nothing_is_sent_and_afterwards_all_of_it_in_one(route: AlertRoute, robot: Robot) -> None:
    here = timezone.localtime()
    rule(quiet_from=(here - timedelta(hours=1)).time(), quiet_until=(here + timedelta(hours=1)).time())
    for index in range(3):
        raise_one(f"k{index}")
    send_alerts()
    assert robot.taken == []
    waiting = Alert.objects.first()
    assert 3500 < (waiting.next_send_at - timezone.now()).total_seconds() <= 3600
    assert (waiting.tries, waiting.error[:11]) == (0, "quiet hours")
    raise_one("urgent", severity="critical")
    send_alerts()
    assert len(robot.taken) == 1  # a critical one passes
    rule(quiet_from=None, quiet_until=None)
    Alert.objects.filter(sent_at=None).update(next_send_at=timezone.now())
    send_alerts()
    assert len(robot.taken) == 2
    assert "3 alerts" in robot.taken[1]["markdown"]["title"]  # type: ignore[index]


def test_a_flood_of_ten_thousand_costs_five_messages(route: AlertRoute, robot: Robot) -> None:
    now = timezone.now()
    Alert.objects.bulk_create(
        [
            Alert(kind="give_up", key=f"k{n}", title="Odd", created_at=now, last_at=now, next_send_at=now)
            for n in range(9_999)
        ]
    )
    raise_one("worst", severity="critical")
    while send_alerts():
        pass
    assert robot.refused == []
    assert len(robot.taken) == 5
    assert not Alert.objects.filter(sent_at=None).exists()
    assert "worst" not in str(robot.taken[0])
    assert "1990 more" in str(robot.taken[0])


def test_above_the_hours_messages_a_kind_waits_and_others_do_not(route: AlertRoute, robot: Robot) -> None:
    rule(per_hour=2)
    for index in range(4):
        AlertRoute.objects.update(window_started_at=None)
        raise_one(f"k{index}")
        send_alerts()
    assert len(robot.taken) == 2
    raise_one(kind="fault", key="f")
    send_alerts()
    assert len(robot.taken) == 3
    waiting = Alert.objects.filter(sent_at=None)
    assert [one.error[:10] for one in waiting] == ["rate limit"] * 2
    AlertRule.objects.update(window_started_at=timezone.now() - routes.HOUR)
    waiting.update(next_send_at=timezone.now())
    send_alerts()
    assert len(robot.taken) == 4


def test_rules_are_edited_with_an_event_and_checked() -> None:
    client = signed_in(make_staff("operator"))
    one = AlertRule.objects.get(kind="give_up")
    page = f"/admin/notifications/alertrule/{one.pk}/change/"
    values = {"is_active": "on", "severity": "", "repeat_minutes": "30", "per_hour": "5", "quiet_zone": "Asia/Shanghai",
              "quiet_from": "22:00", "quiet_until": "08:00", "critical_passes": "on"}  # fmt: skip
    for wrong in ({"quiet_zone": "Mars/Base"}, {"quiet_until": ""}, {"per_hour": "0"}, {"repeat_minutes": "999999"}):
        assert client.post(page, {**values, **wrong}).status_code == 200
    assert client.post(page, values).status_code == 302
    one.refresh_from_db()
    assert (one.repeat_minutes, one.per_hour, one.quiet_from) == (30, 5, time(22))
    event = Event.objects.get(type="alertrule.saved")
    assert (event.actor, event.detail["kind"]) == ("staff:operator", "give_up")
    assert signed_in(make_staff("service")).get(page).status_code == 403


def test_overdue_work_is_told_with_its_limit_from_the_row(world: World) -> None:
    due = timezone.now() - timedelta(seconds=100)
    Notification.objects.create(
        webhook_id="msg_1", app=world.app, type="trade.paid", url="https://a.example", body="{}", created_at=due,
        next_delivery_at=due,
    )  # fmt: skip
    assert watch_backlogs() == 0  # 120 s are allowed
    BacklogLimit.objects.filter(name="delivery").update(seconds=60)
    assert watch_backlogs() == 1
    one = Alert.objects.get(kind="backlog")
    assert (one.key, one.severity) == ("backlog:delivery", "critical")
    assert "60" in one.text
    BacklogLimit.objects.filter(name="delivery").update(is_active=False)
    assert watch_backlogs() == 0


def test_every_kind_of_work_is_looked_up_by_one_query(django_assert_num_queries: Any) -> None:
    for name, work in WORK.items():
        with django_assert_num_queries(1 if work.model else 0):
            assert backlogs.oldest_due(name) is None
    event = Event.objects.create(type="x", created_at=timezone.now() - timedelta(hours=1), object_type="x", actor="x")
    assert backlogs.oldest_due("sequencer") == event.created_at


def test_all_of_a_kind_are_acknowledged_with_a_comment() -> None:
    for key in "abc":
        raise_one(key)
    raise_one("other", kind="fault")
    last = Alert.objects.get(key="c")
    raise_one("later")
    client = signed_in(make_staff("operator"))
    page = f"/admin/notifications/alert/{last.pk}/"
    text = client.get(f"{page}change/").content.decode()
    assert str(KINDS["security"].advice) in text or "What to do" in text
    client.post(f"{page}acknowledge-kind/", {"reason": "a drill"})
    done = Alert.objects.exclude(acknowledged_at=None)
    assert set(done.values_list("key", "acknowledged_by", "note")) == {(k, "staff:operator", "a drill") for k in "abc"}
    assert Event.objects.get(type="alert.kind_acknowledged").detail["count"] == 3


def test_an_alert_leads_to_its_record_for_those_who_may_see_it(world: World) -> None:
    raise_one(record=world.account)
    one = Alert.objects.get()
    link = f"/admin/merchants/paymentaccount/{world.account.pk}/change/"
    page = f"/admin/notifications/alert/{one.pk}/change/"
    assert link in signed_in(make_staff("operator")).get(page).content.decode()
    assert link not in signed_in(make_staff("service")).get(page).content.decode()
