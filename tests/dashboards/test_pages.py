"""Who sees which dashboard, what stands on it, what it costs, and that no tenant sees another's figures."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboards import recent
from dashboards.keeping import fold_events
from dashboards.models import ChannelDay
from merchants.models import PaymentAccount
from paycenter.models import Exchange
from reconciliation.models import Case, SettlementBatch
from refunds.models import Refund
from tests import factories
from tests.conftest import World
from tests.dashboards.oracle import numbered
from tests.fakes.staff import make_staff, signed_in
from tests.refunds.paying import confirm, paid_trade, paid_twice
from trades.models import ChannelHealth, Trade
from trades.services import trade_pay

PAGES = {name: f"/admin/dashboards/{name}/" for name in ("operations", "finance", "business")}
SEES = {
    "operator": {"operations", "finance", "business"}, "finance": {"finance", "business"},
    "service": {"operations", "business"}, "auditor": {"operations", "finance", "business"},
    "merchant": {"business"}, "app": {"business"},
}  # fmt: skip


def staff(role: str, world: World, language: str = "en") -> Client:
    values: dict[str, Any] = {"merchant": world.merchant} if role == "merchant" else {}
    values |= {"app": world.app} if role == "app" else {}
    return signed_in(make_staff(role, **values), language=language)


def text_of(client: Client, page: str, query: str = "") -> str:
    response = client.get(PAGES[page] + query)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def keep() -> None:
    numbered()
    while fold_events():
        pass


@pytest.fixture
def another(world: World) -> World:
    """Another merchant and app, with money of their own."""
    merchant = factories.make_merchant(name="Elsewhere Ltd")
    app = factories.make_app(merchant, name="Elsewhere app")
    other = World(world.book, merchant, app, factories.make_account(merchant, name="Elsewhere account"))
    paid_trade(other, 987_654)
    return other


@pytest.mark.parametrize("role", SEES)
def test_each_role_opens_its_dashboards_and_no_other(world: World, role: str) -> None:
    client = staff(role, world)
    opened = {name for name, path in PAGES.items() if client.get(path).status_code == 200}
    assert opened == SEES[role]
    refused = {client.get(PAGES[name]).status_code for name in PAGES.keys() - opened}
    assert refused <= {403}


def test_nobody_signed_in_sees_none(world: World) -> None:
    assert {Client().get(path).status_code for path in PAGES.values()} == {302}
    assert {Client().post(path).status_code for path in PAGES.values()} <= {302, 403}


@pytest.mark.parametrize("role", ["merchant", "app"])
def test_tenants_see_their_own_figures_whatever_they_ask_for(world: World, another: World, role: str) -> None:
    paid_trade(world, 12_345)
    keep()
    client = staff(role, world)
    for query in ("", f"?merchant={another.merchant.merchant_no}", f"?merchant={another.merchant.pk}&days=90"):
        text = text_of(client, "business", query)
        assert "¥123.45" in text
        assert "9,876.54" not in text
        assert "Elsewhere" not in text
    for panel in ("paid", "by-method", "refunds", "counts"):
        answer = client.get(f"{PAGES['business']}?csv={panel}&merchant={another.merchant.merchant_no}")
        assert b"9876.54" not in answer.content


@pytest.mark.parametrize("role", ["operator", "merchant", "app"])
def test_the_landing_page_says_what_was_paid_today(world: World, another: World, role: str) -> None:
    paid_trade(world, 12_345)
    keep()
    text = staff(role, world).get("/admin/").content.decode()
    own, all_of_it = "¥123.45", "¥9,999.99"
    assert (all_of_it if role == "operator" else own) in text
    assert (own in text.split("Latest trades")[0]) == (role != "operator")


def test_the_figures_on_top_are_a_file_too(world: World) -> None:
    paid_trade(world, 12_345)
    keep()
    answer = staff("merchant", world).get(f"{PAGES['business']}?csv=figures")
    lines = answer.content.decode()
    assert "Paid,¥123.45,1 payment" in lines
    assert "Refunds under way,0" in lines


def test_the_last_hour_says_when_it_is_less(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many exchanges of other kinds were written that those read reach back some minutes only."""
    call = {"method": "POST", "url": "x", "status": 200, "elapsed_ms": 100, "operation": "pay"}
    for minutes, peer in ((50, "channel:fakepay"), (12, "channel:fakepay"), (1, "app:x"), (0, "app:x")):
        made = timezone.now() - timedelta(minutes=minutes)
        Exchange.objects.create(created_at=made, direction="out", peer=peer, **call)
    client = staff("operator", world)
    assert "not an hour" not in text_of(client, "operations")
    monkeypatch.setattr(recent, "RECENT", 3)
    assert "only reach 12 min back, not an hour" in text_of(client, "operations")


def test_a_tenant_that_is_nobody_sees_nothing(world: World, another: World) -> None:
    keep()
    user = make_staff("merchant", merchant=world.merchant)
    client = signed_in(user)
    assert "9,876.54" not in text_of(client, "business")


def test_staff_of_the_center_choose_a_merchant(world: World, another: World) -> None:
    keep()
    client = staff("operator", world)
    assert "Elsewhere Ltd" in text_of(client, "business")
    assert "Elsewhere Ltd" in text_of(client, "business", "?merchant=lsewher")
    assert "No merchant has this number" in text_of(client, "business", "?merchant=nobody")
    shown = text_of(client, "business", f"?merchant={another.merchant.merchant_no}")
    assert "¥9,876.54" in shown
    assert f"merchant={another.merchant.merchant_no}" in shown.split("90 days")[0].rsplit("<a", 1)[1]


def test_operations_shows_volume_channels_and_what_needs_somebody(world: World) -> None:
    paid_trade(world, 5000)
    world.book.fault("pay", "lost")
    with pytest.raises(Exception, match="unknown"):
        trade_pay(app=world.app, order=world.order(amount=700), method="fake_page")
    paid_twice(world, 700)
    shed = {"opened_at": timezone.now(), "last_error": "silent"}
    ChannelHealth.objects.update_or_create(account=world.account, defaults=shed)
    PaymentAccount.objects.update(certificate_expires_at=timezone.now() + timedelta(days=3))
    now = timezone.now()
    for elapsed in (100, 900):
        Exchange.objects.create(created_at=now, direction="out", peer="channel:fakepay", operation="pay",
                                method="POST", url="x", status=200, elapsed_ms=elapsed)  # fmt: skip
    keep()
    text = text_of(staff("operator", world), "operations")
    for said in ("¥57.00", "2 payments", "Channels shed", str(world.account), "3", "900 ms", "¥57.00 paid in these 30"):
        assert said in text, said
    assert "/admin/trades/trade/?paid_from=" in text


def test_finance_shows_approvals_abnormal_money_and_settlements(world: World) -> None:
    trade, abnormal = paid_twice(world, 4200)
    refund(trade, 4200, "pending_approval")
    SettlementBatch.objects.create(
        batch_no="S1", account=world.account, date=date(2026, 3, 2), currency="CNY", state="different",
        first_day=date(2026, 3, 1), last_day=date(2026, 3, 1), expected=4200, fee=20, received=4000,
    )  # fmt: skip
    Case.objects.create(
        account=world.account, day=date(2026, 3, 1), subject="payment", kind="amount", key="k", currency="CNY",
        difference=777, opened_at=timezone.now(), evidence={},
    )  # fmt: skip
    keep()
    text = text_of(staff("finance", world), "finance")
    for said in ("R-1", "¥42.00", abnormal.get_kind_display(), "S1", "−¥1.80", "¥7.77", "another amount"):
        assert str(said) in text, said


def refund(trade: Trade, amount: int, state: str) -> Refund:
    attempt = trade.settled_attempt
    assert attempt is not None
    return Refund.objects.create(
        refund_no="R-1", app=trade.app, merchant=trade.merchant, trade=trade, attempt=attempt,
        account_id=attempt.account_id, channel=attempt.channel, amount=amount, requested_amount=amount,
        currency=trade.currency, reason="moved out", type="full", kind="business", source="admin", state=state,
        requested_at=timezone.now(), channel_request_no="R-1",
    )  # fmt: skip


def test_amounts_of_two_currencies_are_never_one_sum(world: World) -> None:
    for currency, amount in (("CNY", 100), ("JPY", 100), ("KWD", 1000)):
        attempt = trade_pay(app=world.app, order=world.order(amount=amount, currency=currency), method="fake_page")
        confirm(attempt, world)
    keep()
    client = staff("merchant", world)
    text = text_of(client, "business")
    for said in ("¥1.00", "100 JPY", "1.000 KWD"):
        assert said in text, said
    assert "Paid per day, JPY" in text_of(client, "business", "?currency=JPY")
    assert "Paid per day, CNY" in text_of(client, "business", "?currency=%22%3E%3Cb")


def test_a_panel_is_downloaded_as_it_is_shown(world: World) -> None:
    paid_trade(world, 12_345)
    keep()
    client = staff("merchant", world)
    answer = client.get(f"{PAGES['business']}?days=7&csv=paid")
    lines = answer.content.decode("utf-8-sig").splitlines()  # type: ignore[arg-type]
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert lines[0] == "Day,Paid,Days before"
    assert len(lines) == 8
    assert lines[-1].split(",")[1] == "123.45"
    assert client.get(f"{PAGES['business']}?csv=nothing").status_code == 404


def test_the_period_is_compared_with_the_one_before(world: World) -> None:
    today = timezone.localdate()
    for days_ago, paid in ((1, 15_000), (8, 10_000)):
        ChannelDay.objects.create(day=today - timedelta(days=days_ago), channel="fakepay", method="fake_qr",
                                  currency="CNY", paid_count=1, paid_amount=paid)  # fmt: skip
    text = text_of(staff("operator", world), "operations", "?days=7")
    assert "+50.0 %" in text
    assert "¥150.00 paid in these 7 days, ¥100.00 in the same number of days before." in text


@pytest.mark.parametrize("query", ["?days=x", "?from=2026-13-01", "?from=9999-01-01&to=1000-01-01", "?from=1999-01-01",
                                   "?days=7&currency=XXX", "?to=2026-02-28"])  # fmt: skip
def test_days_that_make_no_sense_break_nothing(world: World, query: str) -> None:
    client = staff("operator", world)
    for page in ("operations", "finance"):
        assert text_of(client, page, query)


@pytest.mark.parametrize(("role", "page"), [(r, p) for r, pages in SEES.items() for p in sorted(pages)])
def test_opening_one_costs_ten_queries_at_most(
    world: World, another: World, role: str, page: str, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        paid_twice(world, 300)
    keep()
    client, query = staff(role, world), f"?merchant={world.merchant.merchant_no}"
    client.get(PAGES[page] + query)
    with django_assert_max_num_queries(10):
        client.get(PAGES[page] + query)


@pytest.mark.parametrize("page", ["operations", "finance", "business"])
def test_an_empty_center_says_what_to_do_next(world: World, page: str) -> None:
    text = text_of(staff("operator", world), page, f"?merchant={world.merchant.merchant_no}")
    assert "Choose more days above" in text
    assert "<canvas" not in text
