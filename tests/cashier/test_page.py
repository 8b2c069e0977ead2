"""What a payer sees at `/c/<token>`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cashier import selectors
from cashier.models import CashierOrder
from channels.base import Refused
from merchants.models import AccountMethod, AppMerchant, CashierMethod, Merchant, PaymentAccount
from merchants.states import MerchantState
from paycenter.errors import UnknownOutcome
from tests import factories
from tests.cashier.conftest import ALIPAY, ALL_METHODS, MINI, PC, PHONE, WECHAT, Cashier
from trades.closing import trade_close
from trades.models import Attempt, Trade


def shown(response: Any) -> list[str]:
    """Codes of the methods the page offers, in order."""
    return re.findall(r'name="method" value="(\w+)"', response.content.decode())


def text(response: Any) -> str:
    return str(response.content.decode())


@pytest.mark.parametrize(
    ("ua", "methods"),
    [
        (PC, ["fake_qr", "fake_page", "fake_form"]),
        (PHONE, ["fake_qr", "fake_page"]),
        (WECHAT, ["fake_jsapi"]),
        (ALIPAY, ["fake_ajsapi"]),
        (MINI, []),
    ],
)
def test_methods_are_those_of_the_device(cashier: Cashier, ua: str, methods: list[str]) -> None:
    cashier.offer(*ALL_METHODS)
    assert shown(cashier.get(cashier.open(), ua=ua)) == methods


def test_methods_stand_in_the_configured_order(cashier: Cashier) -> None:
    cashier.offer("fake_form", "fake_qr", "fake_page")
    assert shown(cashier.get(cashier.open())) == ["fake_form", "fake_qr", "fake_page"]


def test_methods_of_another_app_are_not_offered(cashier: Cashier) -> None:
    other = factories.make_app(cashier.world.merchant)
    factories.make_cashier_methods(other, cashier.world.account, "fake_page")
    cashier.offer("fake_qr", "fake_form")
    assert shown(cashier.get(cashier.open())) == ["fake_qr", "fake_form"]


@pytest.mark.parametrize(
    "switch_off",
    [
        lambda w: CashierMethod.objects.filter(method="fake_page").update(is_active=False),
        lambda w: AccountMethod.objects.filter(method="fake_page").update(is_active=False),
        lambda w: CashierMethod.objects.filter(method="fake_page").update(method="no_such_scene"),
    ],
)
def test_one_inactive_method_disappears(cashier: Cashier, switch_off: Callable[[Any], None]) -> None:
    cashier.offer("fake_qr", "fake_page", "fake_form")
    page = cashier.open()
    switch_off(cashier.world)
    assert shown(cashier.get(page)) == ["fake_qr", "fake_form"]


@pytest.mark.parametrize(
    "switch_off",
    [
        lambda w: PaymentAccount.objects.update(state=MerchantState.SUSPENDED),
        lambda w: Merchant.objects.update(state=MerchantState.SUSPENDED),
        lambda w: AppMerchant.objects.update(is_active=False),
        lambda w: type(w.app).objects.update(is_active=False),
    ],
)
def test_nothing_is_offered_when_the_account_or_merchant_rests(
    cashier: Cashier, switch_off: Callable[[Any], None]
) -> None:
    cashier.offer("fake_qr", "fake_page")
    page = cashier.open()
    switch_off(cashier.world)
    response = cashier.get(page)
    assert shown(response) == []
    assert "No way to pay fits this device" in text(response)


def test_method_that_cannot_charge_the_currency_is_left_out(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_page")
    page = cashier.open(currency="JPY", amount=500, subject="Fee")
    Trade.objects.update(client_ip="203.0.113.1")
    # A single own-cashier method would go straight; a previous attempt keeps the page.
    cashier.pay(page, "fake_page")
    response = cashier.get(page)
    assert shown(response) == ["fake_page"]
    assert "500" in text(response)
    assert "5.00" not in text(response)


def test_mini_program_is_offered_where_the_app_named_the_payer_and_its_page(cashier: Cashier) -> None:
    cashier.offer("fake_mini")
    nobody = cashier.open()
    named = cashier.open(payer={"openid": "o-mini"})
    assert shown(cashier.get(named, ua=MINI)) == []
    cashier.world.app.cashier_layout = {"mini_page": "/pages/pay/pay"}
    cashier.world.app.save()
    assert shown(cashier.get(named, ua=MINI)) == ["fake_mini"]
    assert shown(cashier.get(nobody, ua=MINI)) == []


def test_page_shows_order_rows_in_the_layout_of_the_business_line(cashier: Cashier) -> None:
    cashier.world.app.cashier_layout = {"title": {"zh": "物业", "en": "Fees"}, "accent": "#8a2be2", "rows": ["Room"]}
    cashier.world.app.save()
    cashier.offer("fake_qr", "fake_form")
    rows = [{"label": "Period", "value": "<b>Nov</b>"}, {"label": "Room", "value": "3-1201"}]
    page = cashier.open(rows, amount=128450)
    html = text(cashier.get(page))
    assert "¥</span><span class=\"number\">1,284.50" in html
    assert html.index("3-1201") < html.index("Period")
    assert "&lt;b&gt;Nov&lt;/b&gt;" in html
    assert "/c/theme/8a2be2.css" in html
    assert '<p class="brand">Fees</p>' in html
    assert cashier.world.merchant.short_name in html


def test_pc_gets_one_code_for_both_apps_first(cashier: Cashier, settings: Any) -> None:
    cashier.offer("fake_qr", "fake_jsapi", "fake_ajsapi", "fake_page")
    html = text(cashier.get(cashier.open()))
    assert html.index("Scan with WeChat or Alipay") < html.index("Or pay another way")
    assert "<title>QR code for WeChat and Alipay</title>" in html


@pytest.mark.parametrize("methods", [("fake_qr", "fake_jsapi"), ("fake_qr", "fake_ajsapi")])
def test_pc_gets_no_common_code_when_only_one_app_could_pay(cashier: Cashier, methods: tuple[str, ...]) -> None:
    cashier.offer(*methods)
    assert "Scan with WeChat or Alipay" not in text(cashier.get(cashier.open()))


def test_unavailable_method_is_greyed_out_with_its_reason(cashier: Cashier, monkeypatch: Any) -> None:
    reasons = {"fake_qr": "Under repair"}
    monkeypatch.setattr(selectors, "method_availability", lambda account, method: reasons.get(method.code))
    cashier.offer("fake_qr", "fake_page")
    html = text(cashier.get(cashier.open()))
    assert re.search(r'value="fake_qr" required disabled', html)
    assert re.search(r'value="fake_page" required checked', html)
    assert "Under repair" in html


def test_only_method_with_its_own_cashier_is_entered_at_once(cashier: Cashier) -> None:
    cashier.offer("fake_page", "fake_jsapi")
    page = cashier.open()
    response = cashier.get(page, ua=PHONE)
    assert (response.status_code, response.headers["Location"]) == (303, f"/c/{page.token}/go")
    attempt = Attempt.objects.get()
    assert f"https://fake.example/pay/{attempt.channel_order_no}" in text(cashier.get(page, "/go", ua=PHONE))


def test_coming_back_from_the_channels_cashier_does_not_go_there_again(cashier: Cashier) -> None:
    cashier.offer("fake_page")
    page = cashier.open()
    cashier.get(page, ua=PHONE)
    assert shown(cashier.get(page, ua=PHONE)) == ["fake_page"]
    assert Attempt.objects.count() == 1


@pytest.mark.parametrize("headers", [{"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}])
def test_a_browser_that_fetches_ahead_starts_nothing(cashier: Cashier, headers: dict[str, str]) -> None:
    cashier.offer("fake_page")
    page = cashier.open()
    assert shown(cashier.get(page, ua=PHONE, **headers)) == ["fake_page"]
    cashier.client.head(f"/c/{page.token}", headers={"user-agent": PHONE})
    assert not Attempt.objects.exists()


def test_two_methods_are_never_chosen_for_the_payer(cashier: Cashier) -> None:
    cashier.offer("fake_page", "fake_form")
    assert shown(cashier.get(cashier.open())) == ["fake_page", "fake_form"]
    assert not Attempt.objects.exists()


def test_paid_page_shows_the_result_and_the_way_back(
    cashier: Cashier, paid: Callable[[CashierOrder], None]
) -> None:
    cashier.offer("fake_qr", "fake_form")
    page = cashier.open(return_url="https://shop.example/done?id=7#top", app_order_no="A 1")
    cashier.pay(page, "fake_qr")
    paid(page)
    html = text(cashier.get(page))
    assert "Payment received" in html
    assert "Fake QR" in html
    assert page.trade.trade_no in html
    assert f"https://shop.example/done?id=7&amp;trade_no={page.trade.trade_no}&amp;app_order_no=A+1#top" in html
    assert shown(cashier.get(page)) == []


def test_paid_page_without_a_return_address_has_no_way_back(
    cashier: Cashier, paid: Callable[[CashierOrder], None]
) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    cashier.pay(page, "fake_qr")
    paid(page)
    assert "Back to the merchant" not in text(cashier.get(page))


def test_closed_expired_and_confirming_pages(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    closed, expired, confirming = cashier.open(), cashier.open(), cashier.open()
    trade_close(trade=closed.trade, actor="test")
    factories.expire(expired.trade)
    cashier.world.book.fault("pay", UnknownOutcome("no answer"))
    cashier.pay(confirming, "fake_qr")
    assert "This order is closed" in text(cashier.get(closed))
    assert "The time to pay is over" in text(cashier.get(expired))
    assert "Confirming your payment" in text(cashier.get(confirming))
    assert shown(cashier.get(confirming, "?choose=1")) == ["fake_qr"]


def test_refusal_is_told_in_the_channels_words_and_others_can_be_chosen(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_form")
    page = cashier.open()
    cashier.world.book.fault("pay", Refused(code="NOTENOUGH", message="Balance is <too low>"))
    where = cashier.pay(page, "fake_qr").headers["Location"]
    response = cashier.client.get(where, headers={"user-agent": PC, "accept-language": "en"})
    assert "Fake QR did not accept this payment" in text(response)
    assert "Balance is &lt;too low&gt;" in text(response)
    assert shown(response) == ["fake_qr", "fake_form"]


def test_refusal_of_another_order_is_not_told_here(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_form")
    mine, other = cashier.open(), cashier.open()
    cashier.world.book.fault("pay", Refused(code="X", message="a secret of somebody else"))
    cashier.pay(other, "fake_qr")
    attempt_no = Attempt.objects.get().attempt_no
    assert "secret" not in text(cashier.get(mine, f"?refused={attempt_no}"))


def test_made_up_notices_are_ignored(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_form")
    html = text(cashier.get(cashier.open(), "?notice=<script>&method=<script>"))
    assert "role=\"alert\"" not in html
    assert "<script>&" not in html


@pytest.mark.parametrize("path", ["", "/go", "/auth/fakepay"])
def test_unknown_page_is_a_friendly_404(cashier: Cashier, path: str) -> None:
    response = cashier.client.get(f"/c/{'x' * 43}{path}", headers={"accept-language": "en"})
    assert response.status_code == 404
    assert "This page does not exist" in text(response)


def test_language_follows_the_browser_and_the_switch_stays(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_form")
    page = cashier.open()
    zh = cashier.client.get(f"/c/{page.token}", headers={"accept-language": "zh-CN"})
    assert '<html lang="zh-Hans">' in text(zh)
    assert "选择支付方式" in text(zh)
    switched = cashier.get(page, "?lang=zh-hans&choose=1")
    assert (switched.status_code, switched.headers["Location"]) == (303, f"/c/{page.token}?choose=1")
    assert "选择支付方式" in text(cashier.get(page))


def test_page_keeps_to_the_strict_policy(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_form", "fake_jsapi", "fake_ajsapi")
    response = cashier.get(cashier.open())
    assert "form-action 'self';" in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "same-origin"
    html = text(response)
    assert not re.search(r"<script(?![^>]*\ssrc=)(?![^>]*application/json)", html)
    assert not re.search(r"\s(on\w+|style)=", html)


def test_times_are_in_the_merchants_zone(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_form")
    Merchant.objects.update(timezone="America/New_York")
    page = cashier.open()
    at = timezone.now() + timedelta(hours=2)
    Trade.objects.update(expire_at=at)
    from zoneinfo import ZoneInfo

    assert f"until {at.astimezone(ZoneInfo('America/New_York')):%H:%M}" in text(cashier.get(page))


def test_page_needs_few_queries(cashier: Cashier, django_assert_max_num_queries: Any) -> None:
    cashier.offer("fake_qr", "fake_form")
    page = cashier.open()
    cashier.get(page)
    with django_assert_max_num_queries(3):
        cashier.get(page)
