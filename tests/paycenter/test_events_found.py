"""Events of one record are found by an index, whatever the record is (PostgreSQL), and are the record's own."""

from __future__ import annotations

import pytest
from django.db import connection

from paycenter.admin.audit import records_of
from paycenter.models import OF_TRADES, Event
from paycenter.staff import audit_search
from paycenter.transitions import record_event
from tests.conftest import World
from trades.services import trade_pay

pytestmark = pytest.mark.django_db


def test_the_events_of_a_record_are_not_those_of_others_with_its_id(world: World) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    record_event(world.merchant, "merchant.changed", actor="test")
    of_trade = set(Event.objects.of(attempt.trade).values_list("type", flat=True))
    assert of_trade == {"trade.created", "trade.paying"}
    assert {event.object_type for event in Event.objects.of(attempt)} == {"attempt"}
    assert list(Event.objects.of(world.merchant).values_list("type", flat=True)) == ["merchant.changed"]
    for kind in OF_TRADES:
        with pytest.raises(ValueError, match="trade's number"):
            Event.objects.about(kind)


@pytest.mark.parametrize("kind", ["trade", "attempt", "merchant"])
def test_an_auditor_may_type_what_the_list_calls_a_record(world: World, kind: str) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    record_event(world.merchant, "merchant.changed", actor="test")
    record = {"trade": attempt.trade, "attempt": attempt, "merchant": world.merchant}[kind]
    found = audit_search.everything(audit_search.Search(records=records_of(f"{kind} {record.pk}"), everybody=True))
    types = set(found.values_list("type", flat=True))
    assert types == ({"merchant.changed"} if kind == "merchant" else {
        "trade.created", "trade.paying", "attempt.created", "attempt.submitted"
    })  # fmt: skip
    assert not audit_search.everything(audit_search.Search(records=records_of(f"{kind} 987654"), everybody=True))


@pytest.mark.skipif("sqlite" in connection.vendor, reason="how PostgreSQL looks")
def test_each_way_to_events_has_its_index(world: World) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    ways = {
        "event_trade": Event.objects.of(attempt).order_by("-id"),
        "event_of_record": Event.objects.of(world.merchant).order_by("-id"),
        "event_numbered": Event.objects.filter(app_id="x1", public=True, seq__gt=5).order_by("seq"),
        "event_seq_unique": Event.objects.filter(seq=5),
        "event_unsequenced": Event.objects.filter(seq__isnull=True).order_by("id"),
    }
    # Enough of them, of several apps, that one index is plainly better than another.
    alike = {"type": "x", "object_type": "trade", "public": True, "actor": "test", "created_at": attempt.created_at}
    many = (Event(object_id=n, app_id=f"x{n % 40}", seq=10**9 + n, **alike) for n in range(4000))
    Event.objects.bulk_create(many)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE paycenter_event")
        cursor.execute("SET LOCAL enable_seqscan = off")
    for index, rows in ways.items():
        assert index in rows.explain(), rows.explain()
