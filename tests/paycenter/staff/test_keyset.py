"""Lists come in pages by key, and every question a list can be asked is answered through an index."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications.models import Delivery, Notification
from paycenter.staff import keyset
from paycenter.staff.lists import first_id
from paycenter.staff.tenancy import TenantAdmin
from reconciliation.models import Bill, BillRow
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from trades.models import AbnormalPayment, Trade

LIST = "/admin/trades/trade/"
# Tables that grow with the payments.
BIG = ("trades_trade", "trades_attempt", "trades_abnormalpayment", "trades_contract", "refunds_refund",
       "paycenter_event", "paycenter_exchange", "notifications_notification", "notifications_delivery",
       "reconciliation_billrow", "reconciliation_case", "cashier_cashierorder")  # fmt: skip
PAGES = (
    "trades/trade", "trades/abnormalpayment", "trades/contract", "refunds/refund", "paycenter/event",
    "paycenter/exchange", "notifications/notification", "notifications/delivery", "reconciliation/case",
    "trades/attempt", "reconciliation/billrow",
)  # fmt: skip


@pytest.fixture
def desk(db: None) -> Client:
    return signed_in(make_staff("operator", is_superuser=True))


@pytest.fixture
def trades(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Seven trades, the newest first, in pages of three."""
    monkeypatch.setattr(TenantAdmin, "list_per_page", 3)
    made = [factories.trade_open(app=world.app, order=world.order()) for _n in range(7)]
    return [trade.trade_no for trade in reversed(made)]


def shown(page: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"P\d{20}[0-9A-Z]{7}", page)))


def link(page: str, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else ""


def test_pages_follow_each_other_whatever_comes_in(desk: Client, world: World, trades: list[str]) -> None:
    first = desk.get(LIST).content.decode()
    assert (shown(first), link(first, "prev"), "First page" in first) == (trades[:3], "", False)
    factories.trade_open(app=world.app, order=world.order())  # somebody pays while we read
    second = desk.get(LIST + link(first, "next")).content.decode()
    assert shown(second) == trades[3:6]
    third = desk.get(LIST + link(second, "next")).content.decode()
    assert (shown(third), link(third, "next")) == (trades[6:], "")
    assert shown(desk.get(LIST + link(third, "prev")).content.decode()) == trades[3:6]
    assert shown(desk.get(LIST + link(second, "prev")).content.decode()) == trades[:3]
    assert "First page" in third


def test_the_other_way_round_and_with_a_filter(desk: Client, trades: list[str]) -> None:
    first = desk.get(f"{LIST}?o=0&state__exact=waiting").content.decode()
    assert shown(first) == trades[:3:-1]
    following = link(first, "next")
    assert parse_qs(urlsplit(following).query)["state__exact"] == ["waiting"]
    assert shown(desk.get(LIST + following).content.decode()) == trades[3:0:-1]


@pytest.mark.parametrize("place", ["n.", "n.!!", "n.W10", "n.WzFd", "b.WyJ4Iiwi", "7", "x.WyJQIl0"])
def test_a_place_that_is_none_is_the_first_page(desk: Client, trades: list[str], place: str) -> None:
    assert shown(desk.get(LIST, {"p": place}).content.decode()) == trades[:3]


def forged(values: str) -> str:
    return "n." + base64.urlsafe_b64encode(values.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "place",
    [forged("[" * 5900), forged("[null]"), forged('["9999-12-31T23:59:59-23:59"]'), forged('["\\u0000"]')],
    ids=["deep", "null", "late", "nul"],
)
@pytest.mark.parametrize("page", [LIST, "/admin/paycenter/event/", "/admin/trades/attempt/"])
def test_a_place_that_somebody_made_up_does_no_harm(desk: Client, trades: list[str], page: str, place: str) -> None:
    assert desk.get(page, {"p": place}).status_code == 200


def test_the_place_of_another_list_does_no_harm(desk: Client, trades: list[str]) -> None:
    """Its values are of other columns, or of other types."""
    for columns in (("pk",), ("pk", "created_at", "subject"), ("subject", "subject")):
        place = keyset.token([keyset.Key(name, True) for name in columns], Trade.objects.all()[0])
        assert desk.get(LIST, {"p": f"n.{place}"}).status_code == 200


def test_columns_without_an_index_cannot_be_ordered_by(desk: Client, trades: list[str]) -> None:
    page = desk.get(f"{LIST}?o=-6.2").content.decode()
    assert shown(page) == trades[:3]
    assert "?o=6" not in page


def test_ids_of_a_time_are_found_by_halving(world: World) -> None:
    attempt = factories.trade_pay(app=world.app, order=world.order(), method="fake_qr")
    values = {"trade": attempt.trade, "account": world.account, "currency": "CNY", "amount": 1, "kind": "late"}
    days = [f"2026-03-{day:02d}T00:00:00+00:00" for day in range(1, 20)]
    ids = [AbnormalPayment.objects.create(attempt=attempt, state="void", created_at=at, **values).pk for at in days]
    AbnormalPayment.objects.filter(pk__in=ids[3:9]).delete()
    for day in (1, 2, 4, 7, 12, 19):
        moment = datetime(2026, 3, day, tzinfo=UTC)
        found = first_id(AbnormalPayment, "created_at", moment)
        assert AbnormalPayment.objects.filter(created_at__gte=moment).order_by("pk")[0].pk >= found
        assert not AbnormalPayment.objects.filter(pk__lt=found, created_at__gte=moment).exists()
        assert not AbnormalPayment.objects.filter(pk__gte=found, created_at__lt=moment).exists()


def addresses(world: World, html: str) -> Iterator[str]:
    """The list as it opens, every filter's choices and every ordering that it offers, and what is typed into it."""
    yield ""
    yield from {
        found.replace("&amp;", "&") for found in re.findall(r'href="(\?[^"]+)"', html) if found != "?"
    }  # fmt: skip
    yield "?day_from=2026-11-01&day_to=2026-11-20&day_all=1"
    numbers = {"merchant": world.merchant.merchant_no, "app": world.app.app_id, "account": world.account.payment_no}
    typed = [f"{name}={number}" for name, number in numbers.items() if f'<select name="{name}"' in html]
    yield from (f"?{each}&day_all=1" for each in typed)
    for prefix, more in (("paid", ""), ("done", "&state=succeeded")):
        if f'name="{prefix}_from"' in html:
            days = f"?{prefix}_from=2026-11-01&{prefix}_to=2026-11-20{more}"
            yield from (days, *(f"{days}&{each}" for each in typed), f"{days}&method=fake_qr&currency=CNY")
    yield "?q=P20261121034447123456ABCDEFG"
    yield "?p=2026-11-10&day_all=1"
    yield "?q=4321"
    yield "?q=128.50 2026-11-20 15:30"


def test_a_day_is_gone_to_and_pages_lead_on_both_ways(desk: Client, trades: list[str]) -> None:
    """Three orders were made on the 10th, two on the 8th, two on the 5th."""
    days = (10, 10, 10, 8, 8, 5, 5)
    numbers = sorted((f"P202603{day:02d}040000{n:06d}ABCDEFG" for n, day in enumerate(days)), reverse=True)
    for old, new in zip(trades, numbers, strict=True):
        Trade.objects.filter(trade_no=old).update(trade_no=new)
    there = desk.get(f"{LIST}?p=2026-03-09&day_all=1").content.decode()
    assert shown(there) == numbers[3:6]
    assert shown(desk.get(LIST + link(there, "prev")).content.decode()) == numbers[:3]
    assert shown(desk.get(LIST + link(there, "next")).content.decode()) == numbers[6:]
    assert shown(desk.get(f"{LIST}?p=2026-03&day_all=1").content.decode()) == numbers[:3]
    assert shown(desk.get(f"{LIST}?p=2026-03-06&day_all=1&o=0").content.decode()) == numbers[4:1:-1]
    before_all = desk.get(f"{LIST}?p=2025-01-01&day_all=1").content.decode()
    assert (shown(before_all), link(before_all, "next")) == (numbers[4:], "")
    assert shown(desk.get(f"{LIST}?p=2026-13&day_all=1").content.decode()) == numbers[:3]


def rows_of_bills(world: World) -> list[str]:
    """Three bills of two lines each; the lines' numbers, the newest bill's last line first."""
    account, found = world.account, []
    for day in (3, 4, 7):
        bill = Bill.objects.create(account=account, day=date(2026, 3, day))
        for line in (2, 3):
            found.append(f"ORDER-{day}-{line}")
            BillRow.objects.create(
                bill=bill, line=line, account=account, kind="payment", state="succeeded", key=found[-1], amount=100,
                currency="CNY", occurred_at=datetime(2026, 3, day, tzinfo=UTC), order_no=found[-1],
            )  # fmt: skip
    return found[::-1]


def test_rows_of_bills_by_page_day_account_and_number(
    desk: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TenantAdmin, "list_per_page", 4)
    rows, url = rows_of_bills(world), "/admin/reconciliation/billrow/"

    def found(address: str) -> list[str]:
        return list(dict.fromkeys(re.findall(r"ORDER-\d-\d", desk.get(url + address).content.decode())))

    first = desk.get(url).content.decode()
    assert found("") == rows[:4]
    assert found(link(first, "next")) == rows[4:]
    assert found("?p=2026-03-06&day_all=1") == rows[2:]
    assert found("?day_from=2026-03-04&day_to=2026-03-04") == rows[2:4]
    assert found(f"?account={world.account.payment_no}&kind=payment") == rows[:4]
    assert found("?kind=refund") == found("?state=failed") == found("?account=none") == []
    assert set(found(f"?q={rows[5]}")) == {rows[5]}
    clerk = signed_in(make_staff("merchant", merchant=world.merchant))
    assert clerk.get(url).status_code in (302, 403)


def test_attempts_and_deliveries_of_one_app_come_in_the_order_of_what_they_belong_to(
    desk: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page behind the first goes on where it ended, for whom the list is in another order than its own numbers."""
    monkeypatch.setattr(TenantAdmin, "list_per_page", 2)
    attempts = [factories.trade_pay(app=world.app, order=world.order(), method="fake_qr") for _n in range(3)]
    for number, attempt in enumerate(attempts):
        message = Notification.objects.create(webhook_id=f"msg_{number}", app=world.app, type="trade.paid", url="",
                                              trade_no=attempt.trade.trade_no, created_at=timezone.now())  # fmt: skip
        Delivery.objects.create(notification=message, number=1, started_at=timezone.now())
    numbers = [attempt.trade.trade_no for attempt in reversed(attempts)]
    app_staff = signed_in(make_staff("app", app=world.app))
    for url, address, client in (
        ("trades/attempt", "", app_staff), ("trades/attempt", f"?merchant={world.merchant.merchant_no}", desk),
        ("trades/attempt", f"?account={world.account.payment_no}", desk), ("notifications/delivery", "", app_staff),
        ("notifications/delivery", f"?app={world.app.app_id}&outcome=not", desk), ("notifications/delivery", "", desk),
    ):  # fmt: skip
        first = client.get(f"/admin/{url}/{address}").content.decode()
        assert shown(first) == numbers[:2], (url, address)
        second = client.get(f"/admin/{url}/" + link(first, "next")).content.decode()
        assert (shown(second), link(second, "next")) == (numbers[2:], ""), (url, address)
        assert shown(client.get(f"/admin/{url}/" + link(second, "prev")).content.decode()) == numbers[:2]


@pytest.mark.postgres
@pytest.mark.parametrize("page", PAGES)
def test_every_question_is_answered_through_an_index(desk: Client, world: World, page: str) -> None:
    """With sequential scans forbidden the planner takes one only where there is no other way."""
    factories.trade_pay(app=world.app, order=world.order(), method="fake_qr")
    rows_of_bills(world)
    url = f"/admin/{page}/"
    asked: dict[str, str] = {}
    for address in addresses(world, desk.get(url).content.decode()):
        with CaptureQueriesContext(connection) as queries:
            assert desk.get(url + address).status_code in (200, 302), address
        asked.update({q["sql"]: address for q in queries if q["sql"].startswith("SELECT")})
    for tenant in (make_staff("app", app=world.app), make_staff("merchant", merchant=world.merchant)):
        with CaptureQueriesContext(connection) as queries:
            signed_in(tenant).get(f"{url}?state=all")
        asked.update({q["sql"]: tenant.role for q in queries if q["sql"].startswith("SELECT")})
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for sql, address in asked.items():
            if not any(f'"{table}"' in sql for table in BIG):
                continue
            assert "COUNT(*)" not in sql or "LIMIT" in sql, (address, sql)
            cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
            plan = "\n".join(row[0] for row in cursor.fetchall())
            scanned = [table for table in BIG if f"Seq Scan on {table}" in plan]
            assert not scanned, (address, sql, plan)


def test_every_list_that_grows_comes_by_key() -> None:
    growing = {p.opts.label_lower for p in admin.site._registry.values() if isinstance(p, TenantAdmin) and p.grows}
    assert {name.replace("/", ".") for name in PAGES} <= growing
    assert Trade._meta.label_lower in growing
