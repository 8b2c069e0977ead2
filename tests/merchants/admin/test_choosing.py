"""However many merchants, accounts and apps there are, a list is narrowed to any of them, and to nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from merchants.models import Merchant
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from trades.models import Trade

TRADES, ATTEMPTS, REFUNDS = "/admin/trades/trade/", "/admin/trades/attempt/", "/admin/refunds/refund/"
FIELDS = {"merchant": "appmerchant", "app": "appmerchant", "account": "cashiermethod"}


def offered(client: Client, name: str, term: str) -> list[dict[str, Any]]:
    """What the type-ahead of a filter offers."""
    query = {"app_label": "merchants", "model_name": FIELDS[name], "field_name": name, "term": term}
    response = client.get("/admin/autocomplete/", query)
    return list(response.json()["results"]) if response.status_code == 200 else []


def listed(client: Client, url: str, **query: Any) -> set[str]:
    """The trade numbers on a page of a list; a list that knows no such filter is shown without it."""
    response = client.get(url, query, follow=True)
    rows = response.context["cl"].result_list
    return {row.trade_no if isinstance(row, Trade) else row.trade.trade_no for row in rows}


@pytest.fixture
def other(world: World) -> World:
    """Another merchant with its own app and account, and a payment begun."""
    merchant = factories.make_merchant(name="Zebra Gardens")
    app = factories.make_app(merchant, name="Zebra app")
    there = World(world.book, merchant, app, factories.make_account(merchant, name="Zebra account"))
    for each in (world, there):
        factories.trade_pay(app=each.app, order=each.order(), method="fake_qr")
    return there


def test_the_last_of_hundreds_of_merchants_is_found_by_name_and_number(world: World, other: World) -> None:
    Merchant.objects.bulk_create(Merchant(merchant_no=f"N{n}", name=f"Aaa {n}") for n in range(210))
    client = signed_in(make_staff("operator"))
    for term in ("ebra", other.merchant.merchant_no):
        assert [each["text"] for each in offered(client, "merchant", term)] == [str(other.merchant)]
    key = offered(client, "merchant", "Zebra")[0]["id"]
    theirs = set(Trade.objects.filter(merchant=other.merchant).values_list("trade_no", flat=True))
    for url in (TRADES, ATTEMPTS):
        assert listed(client, url, merchant=key) == listed(client, url, merchant=other.merchant.merchant_no) == theirs
    page = client.get(TRADES, {"merchant": key}).content.decode()
    assert str(other.merchant) in page
    assert "Aaa 7" not in page


def test_lists_are_narrowed_to_an_app_and_an_account(world: World, other: World) -> None:
    client = signed_in(make_staff("operator"))
    theirs = set(Trade.objects.filter(app=other.app).values_list("trade_no", flat=True))
    assert [each["text"] for each in offered(client, "app", "Zebra")] == [str(other.app)]
    assert [each["text"] for each in offered(client, "account", "Zebra")] == [str(other.account)]
    assert listed(client, TRADES, app=other.app.app_id) == theirs
    assert listed(client, ATTEMPTS, account=other.account.pk) == theirs
    assert listed(client, REFUNDS, app=other.app.pk) == set()
    assert listed(client, TRADES, app="nobody") == listed(client, TRADES, merchant="9" * 30) == set()


@pytest.mark.parametrize("role", ["merchant", "owner", "app"])
def test_tenants_are_offered_and_told_nothing_of_others(world: World, other: World, role: str) -> None:
    mine: dict[str, Any] = {"app": world.app} if role == "app" else {"merchant": world.merchant}
    client = signed_in(make_staff(role, **mine))
    assert not [each for name in FIELDS for each in offered(client, name, "Zebra")]
    own = set(Trade.objects.filter(merchant=world.merchant).values_list("trade_no", flat=True))
    for name, record in (("merchant", other.merchant), ("app", other.app), ("account", other.account)):
        for value in (record.pk, getattr(record, {"merchant": "merchant_no", "app": "app_id"}.get(name, "payment_no"))):
            for url in (TRADES, ATTEMPTS):
                response = client.get(url, {name: value}, follow=True)
                assert "Zebra" not in response.content.decode()
                assert listed(client, url, **{name: value}) <= own


def test_app_staff_follow_links_to_merchants_they_collect_for(world: World, other: World) -> None:
    world.app.appmerchant_set.create(merchant=other.merchant)
    trade = factories.trade_pay(app=world.app, order=other.order(), method="fake_qr").trade
    client = signed_in(make_staff("app", app=world.app))
    assert listed(client, TRADES, merchant=other.merchant.merchant_no) == {trade.trade_no}
    assert "Zebra Gardens" in client.get(TRADES, {"merchant": other.merchant.merchant_no}).content.decode()
