"""The auditor's page finds what staff did, shows before and after, and costs the same however long the chain is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from merchants.models import Merchant
from merchants.services import merchant_update
from paycenter.models import AuditVerification, Event
from paycenter.staff import audit_search
from paycenter.staff.audit_search import Search
from paycenter.tasks import verify_audit, write_audit_head
from paycenter.trail import KEY
from tests.conftest import World
from tests.fakes.audit_triggers import without_triggers
from tests.fakes.exporting import FILES, exported_rows
from tests.fakes.staff import make_staff, signed_in

pytestmark = pytest.mark.django_db
PAGE = "/admin/paycenter/auditverification/"


@pytest.fixture
def auditor(db: None) -> Client:
    return signed_in(make_staff("auditor"))


def event(actor: str = "staff:ann", type_: str = "merchant.updated", **values: Any) -> Event:
    defaults = {"created_at": timezone.now(), "object_type": "merchant", "object_id": 1}
    return Event.objects.create(actor=actor, type=type_, **{**defaults, **values})


def found(client: Client, **asked: str) -> list[int]:
    return [row["event"].pk for row in client.get(PAGE, asked).context["rows"]]


def test_only_auditors_and_superusers_open_it(db: None) -> None:
    for role in ("operator", "finance", "service"):
        client = signed_in(make_staff(role))
        assert client.get(PAGE).status_code == 403
        assert client.post(f"{PAGE}exports/start/", {"kind": "csv"}).status_code == 404
    assert signed_in(make_staff("operator", username="root", is_superuser=True)).get(PAGE).status_code == 200
    assert signed_in(make_staff("auditor")).get(PAGE).status_code == 200
    assert signed_in(make_staff("auditor", username="a2")).post(PAGE).status_code == 200  # reads, writes nothing
    assert not AuditVerification.objects.exists()


def test_it_searches_by_who_number_kind_day_and_address(auditor: Client, world: World) -> None:
    day = timezone.now() - timedelta(days=3)
    one = event("staff:ann", object_id=world.merchant.pk, detail={KEY: {"address": "203.0.113.7"}})
    two = event("staff:bob", "refund.approved", object_type="refund", trade_no="P1", created_at=day)
    other = event("app:APP1", "trade.created", object_type="trade", trade_no="P1")
    staff = {one.pk, two.pk}
    assert set(found(auditor)) >= staff
    assert other.pk not in found(auditor)
    assert other.pk in found(auditor, all="1")
    assert found(auditor, actor="ann") == [one.pk]
    assert found(auditor, actor="staff:bob") == [two.pk]
    assert found(auditor, actor="app:APP1") == [other.pk]
    assert found(auditor, q="P1") == [other.pk, two.pk]
    assert found(auditor, q=world.merchant.merchant_no) == [one.pk]
    assert found(auditor, q=f"merchant {world.merchant.pk}") == [one.pk]
    assert found(auditor, kind="refund.approved") == [two.pk]
    assert found(auditor, address="203.0.113.7") == [one.pk]
    local = timezone.localtime(day).date().isoformat()
    assert found(auditor, **{"from": local, "to": local}) == [two.pk]
    assert found(auditor, q="nothing-like-it") == []


def test_pages_go_on_where_the_last_one_ended(auditor: Client) -> None:
    made = [event(actor="staff:ann").pk for _n in range(audit_search.PAGE + 7)]
    first = auditor.get(PAGE, {"actor": "ann"})
    second = auditor.get(PAGE + first.context["older"])
    shown = [row["event"].pk for answer in (first, second) for row in answer.context["rows"]]
    assert shown == made[::-1]
    assert second.context["older"] == ""


def test_a_rare_kind_is_looked_for_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_search, "WINDOW", 10)
    rare = event("app:A", "contract.signed")
    for _n in range(120):
        event("app:A", "trade.created")
    search = Search(kind="contract.signed", everybody=True)
    first = audit_search.page(search)
    assert (first.events, first.looked_back is not None) == ([], True)
    at, seen, steps = first.older, [], 1
    while at is not None and not seen:
        page = audit_search.page(search, at)
        at, seen, steps = page.older, page.events, steps + 1
    assert seen == [rare]
    assert steps == 3
    assert list(audit_search.everything(search)) == [rare]


def test_nothing_is_counted_and_the_queries_stay_few(auditor: Client) -> None:
    for _n in range(70):
        event()
    auditor.get(PAGE)
    with CaptureQueriesContext(connection) as queries:
        auditor.get(PAGE)
    counts = [q["sql"] for q in queries if "COUNT(" in q["sql"].upper()]
    assert counts == []
    assert len(queries) <= 12


@pytest.mark.postgres
def test_staff_are_found_by_their_own_index() -> None:
    # As in life: most events are of machines, so that reading past them costs more than an index of staff.
    Event.objects.bulk_create(
        Event(type="user.signed_in", actor="beat" if n % 10 else f"staff:clerk{n % 100}", created_at=timezone.now())
        for n in range(5000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE paycenter_event")
        cursor.execute("SET LOCAL enable_seqscan = off")
        for search, index in ((Search(actor="staff:ann"), "event_staff_actor"), (Search(), "event_staff")):
            rows = Event.objects.filter(audit_search._condition(search), pk__lt=10**9).order_by("-id")[:51]
            sql, params = rows.query.sql_with_params()
            cursor.execute(f"EXPLAIN {sql}", params)
            assert index in str(cursor.fetchall())


def test_before_and_after_stand_side_by_side(auditor: Client, world: World) -> None:
    boss = signed_in(make_staff("operator", username="boss"))
    page = f"/admin/merchants/merchant/{world.merchant.pk}/change/"
    merchant = Merchant.objects.get(pk=world.merchant.pk)
    merchant_update(merchant=merchant, values={"note": "old note"}, actor="staff:boss")
    kept = {name: getattr(merchant, name) for name in ("name", "short_name", "timezone")}
    boss.post(page, {**kept, "note": "new note"}, REMOTE_ADDR="198.51.100.4")
    made = Event.objects.filter(type="merchant.updated").latest("id")
    text = auditor.get(f"/admin/paycenter/event/{made.pk}/change/").content.decode()
    assert "<del>old note</del>" in text
    assert "<ins>new note</ins>" in text
    assert "198.51.100.4" in text
    assert page in text


def test_it_shows_the_head_and_what_the_last_verification_found(auditor: Client) -> None:
    assert "Not verified yet" in auditor.get(PAGE).content.decode()
    event()
    write_audit_head()
    verify_audit()
    text = auditor.get(PAGE).content.decode()
    assert "the chain holds" in text
    assert Event.objects.get(seq=1).hash in text
    with without_triggers():
        Event.objects.filter(seq=1).update(reason="x")
    verify_audit()
    # The walk of what is new does not look at it again; the daily walk of the whole chain does.
    AuditVerification.objects.update(first_seq=2)
    verify_audit()
    text = auditor.get(PAGE).content.decode()
    assert "the chain is broken" in text
    assert "event seq 1" in text


def test_the_export_holds_what_the_search_finds(auditor: Client, settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    event(reason="=cmd()", detail={KEY: {"address": "203.0.113.7", "before": {"name": "a"}, "after": {"name": "b"}}})
    event(actor="staff:bob")
    with translation.override("en"):
        (row,) = exported_rows(auditor, PAGE, actor="ann", before="1")
        assert "Who: <b>ann</b>" in auditor.get(FILES).content.decode()
    assert (row["actor"], row["From address"], row["reason"]) == ("staff:ann", "203.0.113.7", "'=cmd()")
    assert "a → b" in row["Before and after"]
    assert Event.objects.get(type="listexport.downloaded").actor == "staff:auditor"
