"""`/q/<code>`: one QR code for WeChat and Alipay, of an order or on paper."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from cashier.models import CashierOrder, PrintedCode
from merchants.models import Merchant
from merchants.states import MerchantState
from tests import factories
from tests.cashier.conftest import ALIPAY, PC, PHONE, WECHAT, Cashier
from trades.models import Trade


def scan(cashier: Cashier, code: str, ua: str = PHONE) -> Any:
    return cashier.client.get(f"/q/{code}", headers={"user-agent": ua, "accept-language": "en"})


@pytest.mark.parametrize(
    ("ua", "end"),
    [
        (WECHAT, "/auth/fakepay?method=fake_jsapi"),
        (ALIPAY, "/auth/fakepay?method=fake_ajsapi"),
        (PHONE, ""),
        (PC, ""),
    ],
)
def test_one_code_serves_every_app(cashier: Cashier, ua: str, end: str) -> None:
    cashier.offer("fake_qr", "fake_jsapi", "fake_ajsapi")
    page = cashier.open()
    response = scan(cashier, page.code, ua)
    assert (response.status_code, response.headers["Location"]) == (303, f"/c/{page.token}{end}")


def test_code_of_an_app_without_its_scene_leads_to_the_page(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_jsapi")
    page = cashier.open()
    assert scan(cashier, page.code, ALIPAY).headers["Location"] == f"/c/{page.token}"


def test_code_of_a_paid_order_shows_the_result(cashier: Cashier, paid: Callable[[CashierOrder], None]) -> None:
    cashier.offer("fake_qr", "fake_jsapi", "fake_ajsapi")
    page = cashier.open()
    cashier.pay(page, "fake_qr")
    paid(page)
    assert scan(cashier, page.code, WECHAT).headers["Location"] == f"/c/{page.token}"


def test_unknown_code_is_a_friendly_404(cashier: Cashier) -> None:
    response = scan(cashier, "nothing")
    assert response.status_code == 404
    assert "This page does not exist" in response.content.decode()


@pytest.fixture
def printed(cashier: Cashier) -> PrintedCode:
    cashier.offer("fake_qr", "fake_page", "fake_jsapi", "fake_ajsapi")
    return PrintedCode.objects.create(app=cashier.world.app, merchant=cashier.world.merchant, title="Parking")


def order_of(response: Any) -> str:
    found = re.search(r'name="order" value="([^"]+)"', response.content.decode())
    assert found is not None
    return found[1]


def enter(cashier: Cashier, printed: PrintedCode, amount: str, order: str | None = None, ua: str = PHONE) -> Any:
    order = order if order is not None else order_of(scan(cashier, printed.code, ua))
    return cashier.client.post(
        f"/q/{printed.code}", {"order": order, "amount": amount}, headers={"user-agent": ua, "accept-language": "en"}
    )


def test_payer_enters_the_amount_and_the_center_issues_the_number(cashier: Cashier, printed: PrintedCode) -> None:
    response = enter(cashier, printed, "12.5")
    trade = Trade.objects.get()
    assert (trade.amount, trade.currency, trade.subject) == (1250, "CNY", "Parking")
    assert re.fullmatch(r"Q[0-9A-Z]{27}", trade.app_order_no)
    assert response.headers["Location"] == f"/c/{CashierOrder.objects.get().token}"


def test_inside_wechat_the_amount_leads_straight_to_paying(cashier: Cashier, printed: PrintedCode) -> None:
    location = enter(cashier, printed, "12.5", ua=WECHAT).headers["Location"]
    assert location == f"/c/{CashierOrder.objects.get().token}/auth/fakepay?method=fake_jsapi"


def test_form_sent_twice_opens_one_order(cashier: Cashier, printed: PrintedCode) -> None:
    order = order_of(scan(cashier, printed.code))
    first = enter(cashier, printed, "12.5", order)
    again = enter(cashier, printed, "12.5", order)
    assert first.headers["Location"] == again.headers["Location"]
    assert Trade.objects.count() == 1


def test_scanning_again_is_another_order(cashier: Cashier, printed: PrintedCode) -> None:
    enter(cashier, printed, "12.5")
    enter(cashier, printed, "12.5")
    assert Trade.objects.count() == 2


def test_form_of_a_paid_order_shows_its_result(
    cashier: Cashier, printed: PrintedCode, paid: Callable[[CashierOrder], None]
) -> None:
    order = order_of(scan(cashier, printed.code))
    enter(cashier, printed, "12.5", order)
    page = CashierOrder.objects.get()
    cashier.pay(page, "fake_qr")
    paid(page)
    assert enter(cashier, printed, "99", order).headers["Location"] == f"/c/{page.token}"
    assert Trade.objects.get().amount == 1250


def test_form_of_an_expired_order_shows_its_end(cashier: Cashier, printed: PrintedCode) -> None:
    order = order_of(scan(cashier, printed.code))
    enter(cashier, printed, "12.5", order)
    page = CashierOrder.objects.get()
    factories.expire(page.trade)
    assert enter(cashier, printed, "12.5", order).headers["Location"] == f"/c/{page.token}"


@pytest.mark.parametrize("amount", ["", "0", "-1", "1.234", "abc", "1e9", "99999999999", "<script>"])
def test_wrong_amount_is_told_beside_the_field_and_opens_nothing(
    cashier: Cashier, printed: PrintedCode, amount: str
) -> None:
    response = enter(cashier, printed, amount)
    html = response.content.decode()
    assert response.status_code == 422
    assert 'aria-invalid="true" aria-describedby="problem"' in html
    assert 'id="problem" role="alert"' in html
    assert "<script>" not in html.replace("<script defer", "")
    assert not Trade.objects.exists()


@pytest.mark.parametrize("order", ["", "forged", "a:b:c"])
def test_payer_cannot_choose_the_order_number(cashier: Cashier, printed: PrintedCode, order: str) -> None:
    assert enter(cashier, printed, "1", order).status_code == 422
    assert not Trade.objects.exists()


def test_number_issued_for_another_code_is_refused(cashier: Cashier, printed: PrintedCode) -> None:
    other = PrintedCode.objects.create(app=printed.app, merchant=printed.merchant, title="Water")
    assert enter(cashier, printed, "1", order_of(scan(cashier, other.code))).status_code == 422
    assert not Trade.objects.exists()


@pytest.mark.parametrize(("currency", "mode"), [("CNY", "decimal"), ("JPY", "numeric"), ("KWD", "decimal")])
def test_keyboard_fits_the_currency(cashier: Cashier, printed: PrintedCode, currency: str, mode: str) -> None:
    PrintedCode.objects.update(currency=currency)
    assert f'inputmode="{mode}"' in scan(cashier, printed.code).content.decode()


def test_fixed_amount_needs_no_typing_and_cannot_be_changed(cashier: Cashier, printed: PrintedCode) -> None:
    PrintedCode.objects.update(fixed_amount=8800)
    response = scan(cashier, printed.code)
    html = response.content.decode()
    assert "data-submit" in html
    assert 'name="amount"' not in html
    assert "88.00" in html
    assert not Trade.objects.exists(), "a link preview must not open orders"
    enter(cashier, printed, "0.01", order_of(response))
    assert Trade.objects.get().amount == 8800


def test_inactive_code_is_unknown(cashier: Cashier, printed: PrintedCode) -> None:
    PrintedCode.objects.update(is_active=False)
    assert scan(cashier, printed.code).status_code == 404


def test_resting_merchant_takes_nothing(cashier: Cashier, printed: PrintedCode) -> None:
    order = order_of(scan(cashier, printed.code))
    Merchant.objects.update(state=MerchantState.SUSPENDED)
    response = enter(cashier, printed, "1", order)
    assert response.status_code == 403
    assert "takes no payments just now" in response.content.decode()


def test_foreign_site_cannot_open_orders(cashier: Cashier, printed: PrintedCode) -> None:
    order = order_of(scan(cashier, printed.code))
    elsewhere = {"origin": "https://elsewhere.example"}
    answer = Client().post(f"/q/{printed.code}", {"order": order, "amount": "1"}, headers=elsewhere)
    assert answer.status_code == 403
    assert not Trade.objects.exists()
