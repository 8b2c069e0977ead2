"""Alerts reach people over a signed DingTalk robot; the robot stand-in checks the real signature."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from notifications import routes
from notifications.alerts import alert
from notifications.models import Alert, AlertRoute
from notifications.receivers.dingtalk import MESSAGES_PER_MINUTE, sign, signed_url
from notifications.tasks import send_alerts
from tests.notifications.receiver import Receiver, Say
from tests.notifications.robot import Robot

pytestmark = pytest.mark.django_db


@pytest.fixture
def robot(receiver: Receiver) -> Robot:
    return Robot(receiver)


@pytest.fixture
def route(robot: Robot) -> AlertRoute:
    return AlertRoute.objects.create(name="duty", url=robot.url, secret=robot.secret)


def raise_one(key: str = "k", **values: str) -> Alert:
    alert(**{"kind": "security", "key": key, "title": f"Trouble {key}", **values})
    return Alert.objects.latest("id")


def make_due() -> None:
    Alert.objects.filter(next_send_at__isnull=False).update(next_send_at=timezone.now())


def test_an_alert_arrives_once(route: AlertRoute, robot: Robot) -> None:
    AlertRoute.objects.update(language="en")
    raise_one(text="Look at it.", severity="critical", merchant_no="M1", trade_no="P20260101")
    assert send_alerts() == 1
    assert robot.refused == []
    (message,) = robot.taken
    assert message["markdown"]["title"] == "Trouble k"  # type: ignore[index]
    text = message["markdown"]["text"]  # type: ignore[index]
    for part in ("critical", "Trouble k", "Look at it.", "M1", "P20260101"):
        assert part in text
    one = Alert.objects.get()
    assert one.sent_at is not None
    assert (one.next_send_at, one.error) == (None, "")
    assert send_alerts() == 0
    assert len(robot.taken) == 1


def test_a_repeat_within_the_window_is_not_sent_again(route: AlertRoute, robot: Robot) -> None:
    raise_one()
    send_alerts()
    raise_one()
    send_alerts()
    assert len(robot.taken) == 1
    assert Alert.objects.get().count == 2


def test_the_signature_equals_what_openssl_makes() -> None:
    # printf '1577262236757\nthis is secret' | openssl dgst -sha256 -hmac "this is secret" -binary | base64
    assert sign("this is secret", 1577262236757) == "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="
    url = signed_url("https://oapi.dingtalk.com/robot/send?access_token=x", "this is secret", 1577262236757)
    assert url.startswith("https://oapi.dingtalk.com/robot/send?access_token=x&timestamp=1577262236757&sign=")
    assert "+" not in url.rsplit("=", 1)[1]
    assert signed_url("https://a.example/r", "", 1) == "https://a.example/r"


def test_a_wrong_secret_is_refused_tried_again_and_never_shown(route: AlertRoute, robot: Robot) -> None:
    route.secret = "SECwrong"
    route.save()
    raise_one()
    send_alerts()
    assert robot.refused == ["sign not match"]
    one = Alert.objects.get()
    assert "310000" in one.error
    assert robot.token not in one.error
    assert "SECwrong" not in one.error
    assert one.sent_at is None
    assert 8 <= (one.next_send_at - timezone.now()).total_seconds() <= 12
    route.secret = robot.secret
    route.save()
    make_due()
    send_alerts()
    one.refresh_from_db()
    assert one.sent_at is not None
    assert (one.tries, one.error) == (2, "")


@pytest.mark.parametrize(
    "say",
    [Say(500, b"x"), Say(200, b"<html>"), Say(200, b"[]"), Say(200, b"{}"), Say(302, headers={"location": "/else"}),
     Say(200, b'{"errcode":130101,"errmsg":"send too fast"}'), Say(403, b'{"errcode":0}'), Say(200,
     b'{"errcode":"0"}')],
)  # fmt: skip
def test_only_errcode_0_counts(say: Say, route: AlertRoute, receiver: Receiver) -> None:
    receiver.answers["/robot/send"] = say
    raise_one()
    send_alerts()
    one = Alert.objects.get()
    assert one.sent_at is None
    assert one.error
    assert one.next_send_at is not None
    assert receiver.of("/else") == []


def test_it_is_given_up_at_the_end_of_the_schedule_and_stays_visible(route: AlertRoute, robot: Robot) -> None:
    robot.down = True
    raise_one()
    for tries in range(1, 20):
        AlertRoute.objects.update(window_started_at=None)
        send_alerts()
        one = Alert.objects.get()
        if one.next_send_at is None:
            break
        assert one.tries == tries
        make_due()
    assert one.tries == 8
    assert one.sent_at is None
    assert "502" in one.error


def test_without_a_route_it_stays_in_the_list_and_is_not_tried_again(db: None) -> None:
    raise_one()
    assert send_alerts() == 1
    one = Alert.objects.get()
    assert (one.sent_at, one.next_send_at, one.error) == (None, None, "no active route")
    assert send_alerts() == 0


def test_an_inactive_route_gets_nothing(route: AlertRoute, robot: Robot, receiver: Receiver) -> None:
    AlertRoute.objects.update(is_active=False)
    raise_one()
    send_alerts()
    assert receiver.connections == 0


def test_a_route_that_took_it_does_not_get_it_twice_when_another_failed(
    route: AlertRoute, robot: Robot, receiver: Receiver
) -> None:
    AlertRoute.objects.create(name="other", url=receiver.url("/broken"), secret="")
    receiver.answers["/broken"] = [Say(500), Say(body=b'{"errcode":0}')]
    raise_one()
    send_alerts()
    one = Alert.objects.get()
    assert one.sent_at is None
    assert one.error.startswith("other:")
    make_due()
    send_alerts()
    one.refresh_from_db()
    assert one.sent_at is not None
    assert len(robot.taken) == 1
    assert len(receiver.of("/broken")) == 2


def test_many_alerts_go_in_one_message(route: AlertRoute, robot: Robot) -> None:
    for index in range(23):
        raise_one(f"k{index}", text="详" * 2000)
    assert send_alerts() == 23
    assert robot.refused == []  # the robot refuses more than 20,000 bytes
    (message,) = robot.taken
    assert "23" in message["markdown"]["title"]  # type: ignore[index]
    assert Alert.objects.filter(sent_at__isnull=False).count() == 23


def test_the_robots_limit_is_never_reached(route: AlertRoute, robot: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    start, sent_at = timezone.now(), []
    for second in range(0, 180, 2):
        monkeypatch.setattr(routes.timezone, "now", lambda s=second: start + timedelta(seconds=s))
        before = len(robot.taken)
        raise_one(f"k{second}")
        send_alerts()
        sent_at += [second] * (len(robot.taken) - before)
    for begin in range(180):
        assert sum(begin <= at < begin + 60 for at in sent_at) <= MESSAGES_PER_MINUTE
    assert len(sent_at) >= 20
    waiting = Alert.objects.filter(sent_at__isnull=True)
    assert all(one.tries == 0 and one.next_send_at for one in waiting)  # waiting is no failed try


def test_a_robot_address_inside_gets_no_packet(
    route: AlertRoute, robot: Robot, receiver: Receiver, settings: object
) -> None:
    settings.EGRESS_ALLOWED = []  # type: ignore[attr-defined]
    raise_one()
    send_alerts()
    assert receiver.connections == 0
    one = Alert.objects.get()
    assert "not public" in one.error
    assert robot.token not in one.error


def test_the_address_and_secret_are_encrypted_at_rest(route: AlertRoute, robot: Robot) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT url, secret FROM notifications_alertroute")
        (stored,) = cursor.fetchall()
    assert robot.token not in stored[0]
    assert robot.secret not in stored[1]


@pytest.mark.django_db(transaction=True)
def test_two_senders_send_each_alert_once(receiver: Receiver, in_threads: Callable[..., list[object]]) -> None:
    robot = Robot(receiver)
    AlertRoute.objects.create(name="duty", url=robot.url, secret=robot.secret)
    for index in range(30):
        raise_one(f"k{index}")
    results = in_threads(lambda _index: send_alerts(), 4)
    assert sum(results) == 30  # type: ignore[arg-type]
    assert len(robot.taken) == sum(bool(count) for count in results)
    assert not Alert.objects.filter(sent_at=None).exists()
