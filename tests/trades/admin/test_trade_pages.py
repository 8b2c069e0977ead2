"""Finding a payment and seeing everything that happened to it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from notifications.models import Delivery, Notification
from paycenter.models import Event, Exchange
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from trades.confirm import MoneyArrived, payment_confirm
from trades.finding import trade_ids, trade_nos_of
from trades.models import AbnormalPayment, Attempt, Trade
from trades.timeline import timeline

LIST = "/admin/trades/trade/"


@pytest.fixture
def service(db: None) -> Client:
    return signed_in(make_staff("service"))


@pytest.fixture
def attempt(world: World) -> Attempt:
    order = world.order(app_order_no="ORD-1", business_no="BIZ-9", subject="Fee of house 7")
    attempt = factories.trade_pay(app=world.app, order=order, method="fake_qr")
    Attempt.objects.filter(pk=attempt.pk).update(channel_trade_no="CH-77")
    Trade.objects.filter(pk=attempt.trade_id).update(phone_tail="4321")
    factories.trade_pay(app=world.app, order=world.order(subject="Another fee"), method="fake_qr")
    return Attempt.objects.select_related("trade").get(pk=attempt.pk)


def numbers(attempt: Attempt) -> list[str]:
    return [attempt.trade.trade_no, attempt.attempt_no, attempt.channel_order_no, "CH-77", "ORD-1", "BIZ-9", "4321"]


def shown(page: str) -> set[str]:
    return set(re.findall(r"P\d{20}[0-9A-Z]{7}", page))


def test_any_number_finds_the_payment_and_only_it(service: Client, attempt: Attempt) -> None:
    for number in numbers(attempt):
        page = service.get(LIST, {"q": f" {number} "}).content.decode()
        assert shown(page) == {attempt.trade.trade_no}, number


@pytest.mark.parametrize("term", ["ORD", "ord-1", "H-77", "%", "", "' OR 1=1 --", "x" * 65, "432"])
def test_parts_of_a_number_find_nothing(attempt: Attempt, term: str) -> None:
    assert trade_ids(term) == set()


def test_an_empty_search_lists_everything(service: Client, attempt: Attempt) -> None:
    assert len(shown(service.get(LIST, {"q": ""}).content.decode())) == 2


def test_a_number_leads_to_its_trade_number(attempt: Attempt) -> None:
    assert trade_nos_of("CH-77") == {attempt.trade.trade_no}
    assert trade_nos_of("nothing") == set()


def test_searching_uses_indexes_only(service: Client, attempt: Attempt) -> None:
    with CaptureQueriesContext(connection) as queries:
        trade_ids("4321")
    for query in queries:
        assert "LIKE" not in query["sql"].upper()
        with connection.cursor() as cursor:
            prefix = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
            if connection.vendor == "sqlite":
                cursor.execute(prefix + query["sql"].replace("%", "%%"))
                plan = str(cursor.fetchall())
                assert "SCAN" not in plan, plan


def test_a_list_costs_the_same_however_many_rows(service: Client, world: World, attempt: Attempt) -> None:
    service.get(LIST)
    with CaptureQueriesContext(connection) as few:
        service.get(LIST)
    for _number in range(8):
        factories.trade_pay(app=world.app, order=world.order(), method="fake_qr")
    with CaptureQueriesContext(connection) as many:
        service.get(LIST)
    assert len(many) == len(few)
    assert not any("COUNT(*)" in q["sql"] and "LIMIT" not in q["sql"] for q in many if "trades_trade" in q["sql"])


def test_filters_by_state_method_merchant_and_day(service: Client, world: World, attempt: Attempt) -> None:
    today, tomorrow = timezone.localdate(), timezone.localdate() + timedelta(days=1)
    for query, found in (
        ("state__exact=paying", 2), ("state__exact=paid", 0), ("method=fake_qr", 2), ("method=fake_page", 0),
        (f"merchant={world.merchant.merchant_no}", 2), ("merchant=M0", 0), (f"day_from={today}&day_to={today}", 2),
        (f"day_from={tomorrow}", 0), (f"day_to={today - timedelta(days=1)}", 0), ("day_all=1", 2),
        ("day_from=nonsense", 2),
    ):  # fmt: skip
        page = service.get(f"{LIST}?{query}").content.decode()
        assert len(shown(page)) == found, query
    # What a row's values are called on a phone, in sentence case; and what each export is.
    assert {'data-label="Pay method"', 'data-label="Trade and app order number"'} <= set(
        re.findall(r'data-label="[^"]*"', page)
    )
    assert "CSV (semicolons)" in page


@pytest.mark.parametrize("many", [1, 20_000])
def test_the_method_filter_asks_how_a_trade_was_paid(
    service: Client, world: World, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trades.admin.trade._MANY", many)
    order = world.order()
    older = factories.trade_pay(app=world.app, order=order, method="fake_page")
    factories.trade_pay(app=world.app, order=order, method="fake_qr")
    payment_confirm(attempt_id=older.pk, money=MoneyArrived(amount=older.money, channel_trade_no="CH1"), actor="test")
    for query, found in (("fake_page", 1), ("fake_qr", 0), (f"fake_page&day_from={timezone.localdate()}", 1)):
        assert len(shown(service.get(f"{LIST}?method={query}").content.decode())) == found, query


def test_the_last_day_is_included_to_its_last_moment_and_no_further(service: Client, attempt: Attempt) -> None:
    # 2026-03-01 in Shanghai ends at 16:00 UTC.
    midnight = datetime(2026, 3, 1, 16, tzinfo=UTC)
    for at, inside in ((midnight - timedelta(microseconds=1), True), (midnight, False)):
        number = f"P{at:%Y%m%d%H%M%S%f}AAAAAAA"
        Trade.objects.filter(pk=attempt.trade_id).update(trade_no=number, created_at=at)
        page = service.get(f"{LIST}?day_from=2026-03-01&day_to=2026-03-01").content.decode()
        assert (number in page) is inside


def test_the_page_shows_one_line_of_time(service: Client, world: World, attempt: Attempt) -> None:
    now = timezone.now()
    Exchange.objects.create(
        created_at=now, direction="out", peer="channel:fakepay", operation="pay", method="POST",
        url="https://channel.example/pay", status=200, request="the-request", response="the-answer",
        trade_no=attempt.trade.trade_no,
    )  # fmt: skip
    note = Notification.objects.create(
        webhook_id="msg_1", app=world.app, type="trade.paid", url="https://shop.example/n", body="{}",
        trade_no=attempt.trade.trade_no, created_at=now,
    )  # fmt: skip
    Delivery.objects.create(notification=note, number=1, started_at=now, status=500, response="oops")
    AbnormalPayment.objects.create(
        trade=attempt.trade, attempt=attempt, account=world.account, kind="late", state="open", amount=1234,
        currency="CNY", created_at=now, channel_trade_no="CH-LATE",
    )  # fmt: skip
    page = service.get(f"{LIST}{attempt.trade_id}/change/").content.decode()
    for text in ("¥12.34", "Order created", "Sent to the channel", "the-request", "the-answer", "oops", "CH-77",
                 "paid after closing", "does not settle this trade", f'data-copy="{attempt.attempt_no}"',
                 'data-copy="CH-LATE"'):  # fmt: skip
        assert text in page, text
    kinds = [entry.kind for entry in timeline(Trade.objects.select_related("app").get(pk=attempt.trade_id))]
    assert set(kinds) == {"event", "exchange", "delivery"}


def test_the_line_of_time_is_in_order_and_takes_few_queries(attempt: Attempt, django_assert_num_queries: Any) -> None:
    trade = Trade.objects.select_related("app").get(pk=attempt.trade_id)
    with django_assert_num_queries(6):
        entries = timeline(trade)
    assert [e.at for e in entries] == sorted(e.at for e in entries)
    assert len(entries) >= 3


def record(attempt: Attempt, second: int, type_: str = "attempt.asked", **values: Any) -> Event:
    at = timezone.now() + timedelta(seconds=second)
    values = {"object_type": "attempt", "object_id": attempt.pk, "actor": "system", **values}
    return Event(type=type_, created_at=at, trade_no=attempt.trade.trade_no, attempt_no=attempt.attempt_no, **values)


def test_a_long_line_of_time_comes_in_pages_of_equal_cost(service: Client, attempt: Attempt) -> None:
    Event.objects.bulk_create([record(attempt, n // 3, reason=f"no {n:04d}") for n in range(5000)])
    url = f"{LIST}{attempt.trade_id}/change/"
    service.get(url)
    seen: list[str] = []
    address, asked = "", set()
    for _page in range(4):
        with CaptureQueriesContext(connection) as queries:
            page = service.get(url + address).content.decode()
        asked.add(len(queries))
        found = re.findall(r"no (\d{4})", page)
        assert found == sorted(found)
        assert len(found) < 110
        seen = found + seen
        address = re.search(r'href="(\?before=[^"#]+)', page)[1]  # type: ignore[index]
    assert seen == [f"{n:04d}" for n in range(5000 - len(seen), 5000)]
    assert len(asked) == 1


def test_one_kind_alone_and_amounts_at_each_step(service: Client, world: World, attempt: Attempt) -> None:
    data = {"amount": 1234, "currency": "CNY", "paid_amount": 1234, "refunded_amount": 200, "refunding_amount": 0}
    record(attempt, 1, "trade.refunds_changed", object_type="trade", object_id=attempt.trade_id, data=data).save()
    said = {"object_type": "refund", "object_id": 1, "actor": "staff:ann", "reason": "too late"}
    record(attempt, 2, "refund.rejected", **said).save()
    url = f"{LIST}{attempt.trade_id}/change/"
    page = service.get(url).content.decode()
    for text in ("¥2.00", "Record after this step", "too late", "Sent to the channel"):
        assert text in page, text
    line = service.get(f"{url}?kind=refund").content.decode().partition('id="timeline"')[2]
    assert "too late" in line
    assert "Sent to the channel" not in line
    assert "Staff ann" in service.get(f"{url}?kind=staff").content.decode()
    assert service.get(f"{url}?kind=nonsense&before=never").status_code == 200


def test_what_can_be_done_and_why_not(world: World, attempt: Attempt) -> None:
    url = f"{LIST}{attempt.trade_id}/change/"
    auditor, clerk = signed_in(make_staff("auditor")), signed_in(make_staff("merchant", merchant=world.merchant))
    page = signed_in(make_staff("finance")).get(url).content.decode()
    assert "Only for: operator, customer service." in page
    assert "The app was told nothing yet, or has no address." in page
    for desk in (auditor, clerk):
        page = desk.get(url).content.decode()
        offered = ("Close the order", "Tell the app again", "Ask the channel", "Ask for a refund")
        assert not [words for words in offered if words in page]
    for desk, path in ((auditor, "close"), (auditor, "tell"), (clerk, "close"), (clerk, "tell")):
        assert desk.post(f"{LIST}{attempt.trade_id}/{path}/").status_code == 403, path


def test_an_open_order_is_closed_and_the_app_told_again(service: Client, world: World, attempt: Attempt) -> None:
    url = f"{LIST}{attempt.trade_id}/"
    assert "The order is closed." in service.post(f"{url}close/", follow=True).content.decode()
    trade = Trade.objects.get(pk=attempt.trade_id)
    assert trade.state == "closed"
    assert Event.objects.get(type="trade.closed").actor == "staff:service"
    page = service.get(f"{url}change/").content.decode()
    assert "It is over already." in page
    assert "It is on its way again" in service.post(f"{url}tell/", follow=True).content.decode()
    assert Notification.objects.get(trade_no=trade.trade_no).resend_by == "staff:service"
    assert service.get(f"{url}close/").status_code == 405


def test_another_apps_exchange_with_the_same_order_number_stays_out(world: World, attempt: Attempt) -> None:
    for peer in ("app:OTHER", f"app:{world.app.app_id}"):
        Exchange.objects.create(
            created_at=timezone.now(), direction="in", peer=peer, operation="gopay", method="POST", url="/v1/gopay",
            app_order_no="ORD-1",
        )  # fmt: skip
    trade = Trade.objects.select_related("app").get(pk=attempt.trade_id)
    with translation.override("en"):
        peers = [e.title for e in timeline(trade) if e.title.startswith("App ")]
    assert peers == [f"App {world.app.app_id} · ask for a payment"]


@pytest.mark.parametrize("role", ["operator", "finance", "service", "auditor"])
def test_nothing_about_money_can_be_edited(attempt: Attempt, role: str) -> None:
    client = signed_in(make_staff(role, is_superuser=role == "operator"))
    before = Trade.objects.filter(pk=attempt.trade_id).values().get()
    for url in (f"{LIST}{attempt.trade_id}/change/", f"{LIST}{attempt.trade_id}/delete/", f"{LIST}add/"):
        client.post(url, {"state": "paid", "paid_amount": "1234", "amount": "1", "post": "yes"})
    assert Trade.objects.filter(pk=attempt.trade_id).values().get() == before


def test_payers_phone_is_on_no_page(service: Client, world: World) -> None:
    order = world.order(payer={"phone": "13812345678", "openid": "o-payer"})
    trade = factories.trade_pay(app=world.app, order=order, method="fake_qr").trade
    assert "13812345678" not in service.get(f"{LIST}{trade.pk}/change/").content.decode()


def test_abnormal_payments_show_what_is_unresolved_first(service: Client, world: World, attempt: Attempt) -> None:
    values = {"trade": attempt.trade, "account": world.account, "currency": "CNY", "created_at": timezone.now()}
    AbnormalPayment.objects.create(attempt=attempt, kind="late", state="open", amount=777, **values)
    AbnormalPayment.objects.create(attempt=attempt, kind="duplicate", state="void", amount=888, **values)
    page = service.get("/admin/trades/abnormalpayment/").content.decode()
    assert "¥7.77" in page
    assert "¥8.88" not in page
    assert "¥8.88" in service.get("/admin/trades/abnormalpayment/?state=all").content.decode()
    assert "¥7.77" in service.get("/admin/trades/abnormalpayment/?q=CH-77").content.decode()


def test_amounts_follow_the_currency(service: Client, world: World, attempt: Attempt) -> None:
    Trade.objects.filter(pk=attempt.trade_id).update(currency="JPY", amount=1234)
    assert "1,234 JPY" in service.get(LIST).content.decode()
    Trade.objects.filter(pk=attempt.trade_id).update(currency="KWD", amount=1234)
    assert "1.234 KWD" in service.get(LIST).content.decode()
