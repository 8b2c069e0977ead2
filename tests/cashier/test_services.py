"""Opening cashier orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings

from cashier.models import CashierOrder, PrintedCode
from cashier.services import cashier_order_create, cashier_url, printed_order_create, qr_url
from merchants.api.errors import AlreadyPaid, ContentDiffers, NotPermitted, OrderClosed
from merchants.models import AppMerchant
from tests import factories
from tests.cashier.conftest import Cashier
from tests.conftest import World
from trades.models import Trade

ROWS = [{"label": "Room", "value": "3-1201"}]


def test_order_gets_a_page_and_a_code_nobody_can_guess(world: World) -> None:
    page = cashier_order_create(app=world.app, order=world.order(), display=ROWS)
    other = cashier_order_create(app=world.app, order=world.order(), display=[])
    assert cashier_url(page) == f"{settings.PUBLIC_BASE_URL}/c/{page.token}"
    assert qr_url(page) == f"{settings.PUBLIC_BASE_URL}/q/{page.code}"
    assert len(page.token) >= 43
    assert len(page.code) >= 16
    assert {page.token, page.code}.isdisjoint({other.token, other.code})
    assert page.trade.trade_no not in cashier_url(page)


def test_same_order_again_gives_the_same_page_with_the_newest_amount_and_rows(world: World) -> None:
    first = cashier_order_create(app=world.app, order=world.order(app_order_no="A1", amount=100), display=ROWS)
    newer = [{"label": "Room", "value": "3-1202"}]
    again = cashier_order_create(app=world.app, order=world.order(app_order_no="A1", amount=90), display=newer)
    assert (again.token, again.code) == (first.token, first.code)
    assert CashierOrder.objects.get().display == newer
    assert Trade.objects.get().amount == 90


def test_other_content_under_the_same_number_is_refused(world: World) -> None:
    cashier_order_create(app=world.app, order=world.order(app_order_no="A1", subject="Fee"), display=[])
    with pytest.raises(ContentDiffers):
        cashier_order_create(app=world.app, order=world.order(app_order_no="A1", subject="Other"), display=[])


def test_paid_and_closed_orders_open_no_page(cashier: Cashier, paid: Callable[[CashierOrder], None]) -> None:
    cashier.offer("fake_qr")
    page = cashier.open(app_order_no="A1")
    cashier.pay(page, "fake_qr")
    paid(page)
    with pytest.raises(AlreadyPaid):
        cashier.open(app_order_no="A1")
    late = cashier.open(app_order_no="A2")
    factories.expire(late.trade)
    with pytest.raises(OrderClosed):
        cashier.open(app_order_no="A2")


def test_app_without_the_merchant_is_refused(world: World) -> None:
    AppMerchant.objects.update(is_active=False)
    with pytest.raises(NotPermitted):
        cashier_order_create(app=world.app, order=world.order(), display=[])
    assert not CashierOrder.objects.exists()


def test_opening_at_the_same_moment_makes_one_page(
    committed_world: World, in_threads: Callable[..., list[Any]]
) -> None:
    order = committed_world.order(app_order_no="A1")
    made = in_threads(
        lambda _n: cashier_order_create(app=committed_world.app, order=order, display=ROWS).token, 8
    )
    assert len(set(made)) == 1
    assert CashierOrder.objects.count() == Trade.objects.count() == 1


def _printed(world: World, **values: Any) -> PrintedCode:
    return PrintedCode.objects.create(app=world.app, merchant=world.merchant, title="Parking", **values)


def test_printed_order_is_opened_once_per_number(world: World) -> None:
    printed = _printed(world)
    first = printed_order_create(printed=printed, app_order_no="Q1", amount=500, client_ip=None)
    again = printed_order_create(printed=printed, app_order_no="Q1", amount=500, client_ip=None)
    assert first.pk == again.pk
    assert (first.trade.amount, first.trade.subject, first.trade.app_order_no) == (500, "Parking", "Q1")


def test_fixed_amount_wins_over_what_the_payer_claims(world: World) -> None:
    page = printed_order_create(
        printed=_printed(world, fixed_amount=8800), app_order_no="Q1", amount=1, client_ip="203.0.113.9"
    )
    assert page.trade.amount == 8800
    assert page.trade.client_ip == "203.0.113.9"
