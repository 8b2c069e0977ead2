"""The pages about notices: give-ups, re-sending by hand, acknowledging, routes, schedules, records."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from notifications.models import Alert, AlertRoute, Notification
from paycenter.models import Event, Exchange, RetrySchedule
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in

NOTES = "/admin/notifications/notification/"


@pytest.fixture
def given_up(world: World) -> Notification:
    return Notification.objects.create(
        webhook_id="msg_gave_up", app=world.app, type="trade.paid", url="https://shop.example/n", body='{"id":"x"}',
        trade_no="P1", state="given_up", created_at=timezone.now(),
    )  # fmt: skip


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator"))


def alert(**values: object) -> Alert:
    now = timezone.now()
    defaults = {"kind": "x", "key": "x", "title": "Odd", "created_at": now, "last_at": now}
    return Alert.objects.create(**{**defaults, **values})


def test_give_ups_are_listed_and_sent_again_by_hand(operator: Client, given_up: Notification) -> None:
    assert "msg_gave_up" in operator.get(f"{NOTES}{given_up.pk}/change/").content.decode()
    assert "P1" in operator.get(f"{NOTES}?state__exact=given_up").content.decode()
    assert operator.get(f"{NOTES}{given_up.pk}/resend/").status_code == 405
    operator.post(f"{NOTES}{given_up.pk}/resend/")
    row = fresh(given_up)
    assert row.next_delivery_at is not None
    assert row.resend_by == "staff:operator"
    assert Event.objects.get(type="notification.resent").actor == "staff:operator"


@pytest.mark.parametrize("role", ["finance", "auditor"])
def test_not_everybody_sends_again(given_up: Notification, role: str) -> None:
    assert signed_in(make_staff(role)).post(f"{NOTES}{given_up.pk}/resend/").status_code == 403
    assert fresh(given_up).next_delivery_at is None


def test_app_staff_see_their_notifications_but_do_not_send(world: World, given_up: Notification) -> None:
    client = signed_in(make_staff("app", app=world.app))
    assert client.get(f"{NOTES}{given_up.pk}/change/").status_code == 200
    assert client.post(f"{NOTES}{given_up.pk}/resend/").status_code == 403


def test_an_alert_is_acknowledged_once_and_leaves_the_open_list(operator: Client) -> None:
    odd = alert()
    base = "/admin/notifications/alert/"
    assert "Odd" in operator.get(base).content.decode()
    operator.post(f"{base}{odd.pk}/acknowledge/", {"reason": "called the bank"})
    signed_in(make_staff("service")).post(f"{base}{odd.pk}/acknowledge/")
    assert fresh(odd).acknowledged_by == "staff:operator"
    event = Event.objects.get(type="alert.acknowledged")
    assert (event.actor, event.reason) == ("staff:operator", "called the bank")
    listed = operator.get(base).content.decode()
    assert f"/alert/{odd.pk}/change/" not in listed
    assert f"/alert/{odd.pk}/change/" in operator.get(f"{base}?done=yes").content.decode()


def test_a_routes_address_and_secret_are_never_shown_again(operator: Client) -> None:
    base = "/admin/notifications/alertroute/"
    data = {"name": "Duty", "kind": "dingtalk", "url": "https://robot.example/send?t=tok123", "secret": "SECabc"}
    assert operator.post(f"{base}add/", {**data, "is_active": "on"}).status_code == 302
    route = AlertRoute.objects.get()
    page = operator.get(f"{base}{route.pk}/change/").content.decode() + operator.get(base).content.decode()
    assert "tok123" not in page
    assert "SECabc" not in page
    operator.post(f"{base}{route.pk}/change/", {"name": "Night duty", "kind": "dingtalk", "url": "", "secret": ""})
    route = AlertRoute.objects.get()
    assert (route.name, route.secret, route.is_active) == ("Night duty", "SECabc", False)
    assert route.url.endswith("tok123")
    with connection.cursor() as cursor:
        cursor.execute("SELECT detail FROM paycenter_event")
        assert "tok123" not in str(cursor.fetchall())


@pytest.mark.parametrize("url", ["http://169.254.169.254/x", "http://[fd00::1]/", "gopher://x", ""])
def test_a_route_to_an_inside_address_is_refused(operator: Client, url: str) -> None:
    operator.post("/admin/notifications/alertroute/add/", {"name": "x", "kind": "dingtalk", "url": url})
    assert not AlertRoute.objects.exists()


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("5, 10, 30", [5, 10, 30]), ("0，5、10", [0, 5, 10]), ("60", [60]), ("5, 0, 10", None), ("-5", None),
        ("1.5", None), ("", None), ("5, x", None), ("99999999", None), (", ".join(["5"] * 51), None), ("[5, 10]", None),
        ("٥", None),
    ],
)  # fmt: skip
def test_a_schedule_takes_whole_seconds_only(operator: Client, text: str, stored: list[int] | None) -> None:
    RetrySchedule.objects.all().delete()
    operator.post("/admin/paycenter/retryschedule/add/", {"name": "query", "delays": text})
    rows = list(RetrySchedule.objects.values_list("delays", flat=True))
    assert rows == ([] if stored is None else [stored])


@pytest.mark.parametrize(
    ("name", "good"),
    [("query:wechat", True), ("refund_query:wechat", True), ("delivery", True), ("nonsense", False), ("query:", False)],
)
def test_a_schedule_has_a_name_that_something_uses(operator: Client, name: str, good: bool) -> None:
    RetrySchedule.objects.all().delete()
    operator.post("/admin/paycenter/retryschedule/add/", {"name": name, "delays": "5"})
    assert RetrySchedule.objects.exists() is good


def test_a_changed_schedule_is_an_event(operator: Client) -> None:
    RetrySchedule.objects.all().delete()
    operator.post("/admin/paycenter/retryschedule/add/", {"name": "query", "delays": "7, 9"})
    event = Event.objects.get(type="retryschedule.saved")
    assert event.detail["delays"] == [7, 9]
    assert event.actor == "staff:operator"


def test_exchanges_are_found_by_any_number_of_the_payment(operator: Client, world: World) -> None:
    attempt = factories.trade_pay(app=world.app, order=world.order(app_order_no="O-5"), method="fake_qr")
    Exchange.objects.all().delete()
    now = timezone.now()
    mine = Exchange.objects.create(
        created_at=now, direction="in", peer="app:x", operation="gopay", method="POST", url="/v1/gopay",
        trade_no=attempt.trade.trade_no, request_id="r" * 32,
    )  # fmt: skip
    Exchange.objects.create(created_at=now, direction="in", peer="app:y", operation="other", method="POST", url="/")
    for term in (attempt.trade.trade_no, attempt.attempt_no, "O-5", "r" * 32):
        page = operator.get("/admin/paycenter/exchange/", {"q": term}).content.decode()
        assert f"/exchange/{mine.pk}/change/" in page, term
        assert "app:y" not in page


def test_events_and_exchanges_are_read_only_even_for_superusers(world: World) -> None:
    root = signed_in(make_staff("auditor", is_superuser=True))
    event = Event.objects.create(type="x", created_at=timezone.now(), object_type="x", actor="x", reason="before")
    for url in (f"/admin/paycenter/event/{event.pk}/change/", "/admin/paycenter/event/add/"):
        assert root.post(url, {"reason": "after", "type": "y"}).status_code in (403, 405)
    assert Event.objects.get(pk=event.pk).reason == "before"


def test_who_may_only_look_reads_no_credential_of_a_receiver(db: None) -> None:
    route = AlertRoute.objects.create(name="duty", url="https://robot.example/key-1", secret="SEC-2",
                                      addresses="ann@x.example")  # fmt: skip
    page = signed_in(make_staff("auditor")).get(f"/admin/notifications/alertroute/{route.pk}/change/").content.decode()
    assert "duty" in page
    assert [value for value in ("key-1", "SEC-2", "ann@x.example") if value in page] == []
