"""Claiming and writing down, the same on both databases: who gets how much, and what stands in the rows afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from merchants.models import App
from notifications import deliveries
from notifications.deliveries import Outcome, Pump
from notifications.models import Delivery, Notification
from notifications.services import notification_resend

Tell = Callable[..., Notification]


def tell_hosts(app: App, tell: Tell, *hosts: str) -> list[Notification]:
    """A message to each, the first the longest due."""
    start = timezone.now() - timedelta(minutes=1)
    return [tell(app, url=f"http://{h}/", now=start + timedelta(seconds=at)) for at, h in enumerate(hosts)]


def test_a_claim_takes_the_longest_due_and_of_each_host_what_it_has_room_for(app: App, tell: Tell) -> None:
    made = tell_hosts(app, tell, "a:81", "a:81", "full:81", "b:81", "a:81", "b:81", "c:81", "c:81", "c:81")
    tell(app, now=timezone.now() + timedelta(minutes=5))  # not due
    claimed = deliveries.claim(limit=6, room={"a:81": 1, "full:81": 0, "b:81": 9}, default_room=2)
    assert [one.pk for one in claimed] == [made[n].pk for n in (0, 3, 5, 6, 7)]
    assert [one.pk for one in deliveries.claim(limit=2, room={})] == [made[n].pk for n in (1, 2)]
    assert deliveries.claim(limit=0, room={}) == []
    assert Counter(one.host for one in deliveries.claim(limit=9, room={})) == {"a:81": 1, "c:81": 1}
    assert deliveries.claim(limit=9, room={}) == []


def test_a_claim_carries_what_is_sent(app: App, tell: Tell) -> None:
    made = tell(app)
    Notification.objects.filter(pk=made.pk).update(resend_by="staff:lin")
    (one,) = deliveries.claim(limit=9, room={})
    made.refresh_from_db()
    assert (one.webhook_id, one.url, one.host, one.trade_no) == (made.webhook_id, made.url, made.host, "P1")
    assert (one.body, one.by, one.until) == (made.body.encode(), "staff:lin", made.next_delivery_at)
    assert one.secrets == (app.webhook_secret,)


def test_a_group_with_outcomes_of_all_kinds(app: App, tell: Tell) -> None:
    made = [tell(app) for _ in range(3)]
    Notification.objects.filter(pk=made[0].pk).update(tries=4)
    first, second, third = deliveries.claim(limit=9, room={})
    now = timezone.now()
    deliveries.write([
        Outcome(first, now, 7, status=201, response='{"errno":0,"msg":"好\\"{},"}', acknowledged=True),
        Outcome(second, now, 8, status=500, response="", error="HTTP 500"),
        Outcome(third, now, 9, status=200, response="", acknowledged=True),
    ])  # fmt: skip
    tries = Delivery.objects.order_by("notification_id").values_list(
        "notification_id", "number", "started_at", "elapsed_ms", "status", "response", "error", "acknowledged", "by"
    )
    assert list(tries) == [
        (first.pk, 5, now, 7, 201, '{"errno":0,"msg":"好\\"{},"}', "", True, "schedule"),
        (second.pk, 1, now, 8, 500, "", "HTTP 500", False, "schedule"),
        (third.pk, 1, now, 9, 200, "", "", True, "schedule"),
    ]
    rows = [(row.state, row.tries, row.next_delivery_at is None, row.delivered_at is None)
            for row in Notification.objects.order_by("pk")]  # fmt: skip
    assert rows == [("delivered", 5, True, False), ("pending", 1, False, True), ("delivered", 1, True, False)]


@pytest.mark.postgres
def test_many_cost_as_many_statements_as_one(app: App, tell: Tell, django_assert_num_queries: Any) -> None:
    for _ in range(10):
        tell(app)
    with django_assert_num_queries(1):
        claimed = deliveries.claim(limit=100, room={})
    with django_assert_num_queries(1):
        deliveries.write([Outcome(one, timezone.now(), 1, status=200, acknowledged=True) for one in claimed])
    assert Notification.objects.filter(state="delivered", tries=1).count() == 10


def test_a_receiver_that_has_not_answered_yet_gets_few_slots(app: App, tell: Tell) -> None:
    """One that hangs holds few connections then; one that answers gets all of its slots at its first answer."""
    tell_hosts(app, tell, *["new:81"] * 3)
    first, *_others = claimed = deliveries.claim(limit=9, room={})
    pump = Pump()
    pump._busy.update(one.host for one in claimed)
    assert pump._room() == {"new:81": deliveries.SLOTS_OF_NEW_HOST - 3}
    pump._release(Outcome(first, timezone.now(), 20, status=500))
    assert pump._room() == {"new:81": deliveries.SLOTS_PER_HOST - 2}


def test_who_asks_while_a_try_is_under_way_is_not_forgotten(app: App, tell: Tell) -> None:
    """The older try is acknowledged before anybody takes up what was asked for."""
    made = tell(app)
    (older,) = deliveries.claim(limit=9, room={})
    notification_resend(notification=made, actor="staff:lin")
    deliveries.write([Outcome(older, timezone.now(), 5, status=200, response="", acknowledged=True)])
    made.refresh_from_db()
    assert (made.state, made.resend_by, made.tries) == ("delivered", "staff:lin", 1)
    (asked,) = deliveries.claim(limit=9, room={})
    assert (asked.pk, asked.by) == (made.pk, "staff:lin")
    deliveries.write([Outcome(asked, timezone.now(), 5, status=200, response="", acknowledged=True)])
    made.refresh_from_db()
    assert (made.resend_by, made.next_delivery_at, made.tries) == ("", None, 2)
    assert list(Delivery.objects.order_by("number").values_list("by", flat=True)) == ["schedule", "staff:lin"]
