"""Paying as a person does it, in headless Chromium."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.utils import timezone

from cashier.models import CashierOrder, PrintedCode
from tests.browser.cashier.conftest import Shop
from tests.cashier.conftest import ALIPAY, PHONE, WECHAT
from trades.models import Attempt, Trade
from trades.states import AttemptState, TradeState

pytestmark = pytest.mark.browser
CHANNEL = "https://fake.example/pay/**"


def pay_with(page: Any, name: str) -> None:
    page.get_by_role("radio", name=name).check()
    page.get_by_role("button", name="Pay ").click()


def heading(page: Any, text: str) -> None:
    page.get_by_role("heading", name=text).wait_for()


def test_pay_by_qr_code(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse()
    page.goto(shop.url(order))
    pay_with(page, "Fake QR")
    page.get_by_role("img", name="QR code for Fake QR").wait_for()
    shop.settle(order)
    heading(page, "Payment received")
    assert page.url == shop.url(order)


def test_switch_method(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse()
    page.goto(shop.url(order))
    pay_with(page, "Fake QR")
    page.get_by_role("link", name="Pay another way").click()
    pay_with(page, "Fake page")
    page.wait_for_url(CHANNEL)
    states = dict(Attempt.objects.values_list("method", "state"))
    assert states == {"fake_qr": AttemptState.CLOSED, "fake_page": AttemptState.SUBMITTED}


def test_channel_learns_the_site_but_not_the_order(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse()
    page.goto(shop.url(order))
    pay_with(page, "Fake page")
    page.wait_for_url(CHANNEL)
    assert page.text_content("#referrer") == shop.base + "/"


def test_back_from_the_channel_shows_the_order(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse()
    page.goto(shop.url(order))
    pay_with(page, "Fake page")
    page.wait_for_url(CHANNEL)
    page.go_back()
    heading(page, "P")
    page.get_by_role("radio", name="Fake QR").wait_for(state="attached")
    assert page.url.startswith(shop.url(order))


def test_expire_while_open(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    Trade.objects.update(expire_at=timezone.now() + timedelta(seconds=4))
    page = shop.browse()
    page.goto(shop.url(order))
    page.get_by_role("button", name="Pay ").wait_for()
    heading(page, "The time to pay is over")
    assert page.get_by_role("button", name="Pay ").count() == 0


def test_expired_page_shows_money_that_was_on_its_way(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    shop.pay(order, "fake_qr")
    Trade.objects.update(expire_at=timezone.now() - timedelta(seconds=1))
    page = shop.browse()
    page.goto(shop.url(order))
    heading(page, "The time to pay is over")
    shop.settle(order)
    heading(page, "Payment received")


def test_pay_in_another_tab(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    first = shop.browse()
    first.goto(shop.url(order))
    second = first.context.new_page()
    second.goto(shop.url(order))
    pay_with(second, "Fake QR")
    shop.settle(order)
    first.bring_to_front()
    heading(first, "Payment received")


def test_code_of_a_switched_attempt_does_not_stay_on_screen(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    first = shop.browse()
    first.goto(shop.url(order))
    pay_with(first, "Fake QR")
    first.get_by_role("img", name="QR code for Fake QR").wait_for()
    shop.pay(order, "fake_page")
    first.get_by_role("radio", name="Fake page").wait_for(state="attached")


def test_form_is_posted_to_the_channel(shop: Shop) -> None:
    shop.offer("fake_form", "fake_qr")
    order = shop.open()
    page = shop.browse()
    posted: list[Any] = []
    page.on("request", lambda r: posted.append(r) if "gateway.fake.example" in r.url else None)
    page.goto(shop.url(order))
    pay_with(page, "Fake form")
    page.wait_for_url("https://gateway.fake.example/do")
    assert posted[0].method == "POST"
    fields = {name: values[0] for name, values in parse_qs(posted[0].post_data).items()}
    assert fields == Attempt.objects.get().pay["fields"]


def test_only_own_cashier_is_entered_without_another_page(shop: Shop) -> None:
    shop.offer("fake_page")
    order = shop.open()
    page = shop.browse(ua=PHONE)
    page.goto(shop.url(order), wait_until="commit")
    page.wait_for_url(CHANNEL)


@pytest.mark.parametrize("method", ["Fake page", "Fake form"])
def test_redirect_and_form_work_without_javascript(shop: Shop, method: str) -> None:
    shop.offer("fake_page", "fake_form")
    order = shop.open()
    page = shop.browse(java_script_enabled=False)
    page.goto(shop.url(order))
    pay_with(page, method)
    if method == "Fake form":
        page.get_by_role("button", name="Continue").click()
    page.wait_for_url("https://*fake.example/**")


def test_qr_code_works_without_javascript(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse(java_script_enabled=False)
    page.goto(shop.url(order))
    pay_with(page, "Fake QR")
    page.get_by_role("img", name="QR code for Fake QR").wait_for()
    shop.settle(order)
    heading(page, "Payment received")


def test_keyboard_alone_is_enough(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse()
    page.goto(shop.url(order))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "fake_qr"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.value") == "fake_page"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(CHANNEL)


def test_notice_gets_the_focus(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    page = shop.browse()
    page.goto(shop.url(shop.open(), "?notice=busy&method=fake_qr"))
    assert page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    assert page.get_by_role("radio", name="Fake QR").is_disabled()


def test_language_switch_stays(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse()
    page.goto(shop.url(order))
    page.get_by_role("link", name="简体中文").click()
    page.get_by_text("选择支付方式").wait_for()
    page.reload()
    page.get_by_text("选择支付方式").wait_for()


# ---- inside WeChat and Alipay, with the app's bridge played by the test --------------------------
_BRIDGES = """
window.called = [];
window.answers = %s;
window.WeixinJSBridge = {invoke: (name, params, done) => {
  window.called.push([name, params]);
  const next = window.answers.shift();
  if (next) done({err_msg: 'get_brand_wcpay_request:' + next});
}};
window.AlipayJSBridge = {call: (name, params, done) => {
  window.called.push([name, params]);
  const next = window.answers.shift();
  if (next) done({resultCode: next});
}};
"""


def in_app(shop: Shop, ua: str, answers: list[str], payer: str = "code") -> Any:
    """A browser inside the app; the channel's authorisation page sends it straight back."""
    page = shop.browse(ua=ua, width=390, height=844)
    page.add_init_script(_BRIDGES % answers)

    def authorise(route: Any) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        back = f"{query['redirect_uri'][0]}?{urlencode({payer: 'c1', 'state': query['state'][0]})}"
        route.fulfill(status=302, headers={"location": back})

    page.context.route("https://fake.example/authorize**", authorise)
    return page


def test_jsapi_inside_wechat(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_jsapi", "fake_ajsapi")
    order = shop.open()
    page = in_app(shop, WECHAT, ["ok"])
    page.goto(f"{shop.base}/q/{order.code}", wait_until="commit")
    heading(page, "Confirming your payment")
    assert Trade.objects.get().state == TradeState.CONFIRMING
    assert Trade.objects.get().payer == {"openid": "openid-c1"}
    shop.settle(order)
    heading(page, "Payment received")


def test_jsapi_gets_the_channels_parameters_and_can_be_tried_again(shop: Shop) -> None:
    shop.offer("fake_jsapi", "fake_ajsapi")
    order = shop.open()
    page = in_app(shop, WECHAT, ["cancel", "fail:no permission"])
    page.goto(f"{shop.base}/q/{order.code}", wait_until="commit")
    page.get_by_text("You have not paid yet. You can try again.").first.wait_for()
    page.get_by_role("button", name="Pay ").click()
    page.get_by_text("could not be started here").first.wait_for()
    called = page.evaluate("window.called")
    assert called == [["getBrandWCPayRequest", Attempt.objects.get().pay["params"]]] * 2
    assert Trade.objects.get().state == TradeState.PAYING


@pytest.mark.parametrize("code", ["9000", "8000", "6004"])
def test_jsapi_inside_alipay(shop: Shop, monkeypatch: Any, code: str) -> None:
    from tests.fakes.fakepay import FakeProvider

    monkeypatch.setattr(FakeProvider, "payer_from_code", lambda self, code: {"buyer_id": f"2088-{code}"})
    shop.offer("fake_jsapi", "fake_ajsapi")
    order = shop.open()
    page = in_app(shop, ALIPAY, [code], payer="auth_code")
    page.goto(f"{shop.base}/q/{order.code}", wait_until="commit")
    heading(page, "Confirming your payment")
    assert Trade.objects.get().payer == {"buyer_id": "2088-c1"}
    assert Trade.objects.get().state == TradeState.CONFIRMING


def test_alipay_cancelled(shop: Shop, monkeypatch: Any) -> None:
    from tests.fakes.fakepay import FakeProvider

    monkeypatch.setattr(FakeProvider, "payer_from_code", lambda self, code: {"buyer_id": f"2088-{code}"})
    shop.offer("fake_jsapi", "fake_ajsapi")
    order = shop.open()
    page = in_app(shop, ALIPAY, ["6001"], payer="auth_code")
    page.goto(f"{shop.base}/q/{order.code}", wait_until="commit")
    page.get_by_text("You have not paid yet. You can try again.").first.wait_for()
    wanted = {"tradeNO": Attempt.objects.get().pay["params"]["trade_no"]}
    assert page.evaluate("window.called") == [["tradePay", wanted]]


def test_one_code_on_the_pc_is_paid_on_the_phone(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_jsapi", "fake_ajsapi")
    order = shop.open()
    pc = shop.browse()
    pc.goto(shop.url(order))
    pc.get_by_role("img", name="QR code for WeChat and Alipay").wait_for()
    phone = in_app(shop, WECHAT, ["ok"])
    phone.goto(f"{shop.base}/q/{order.code}", wait_until="commit")
    heading(phone, "Confirming your payment")
    shop.settle(order)
    pc.bring_to_front()
    heading(pc, "Payment received")


def test_printed_code_with_an_entered_amount(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_jsapi", "fake_ajsapi")
    printed = PrintedCode.objects.create(app=shop.world.app, merchant=shop.world.merchant, title="Parking")
    page = in_app(shop, WECHAT, ["ok"])
    page.goto(f"{shop.base}/q/{printed.code}")
    page.get_by_label("Amount").fill("12.345")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_text("At most 2 decimals are possible.").wait_for()
    page.get_by_label("Amount").fill("12.34")
    page.get_by_role("button", name="Continue to payment").click()
    heading(page, "Confirming your payment")
    order = CashierOrder.objects.get()
    assert order.trade.amount == 1234
    shop.settle(order)
    heading(page, "Payment received")


def test_printed_code_with_a_fixed_amount_goes_straight(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_jsapi", "fake_ajsapi")
    printed = PrintedCode.objects.create(
        app=shop.world.app, merchant=shop.world.merchant, title="Parking", fixed_amount=500
    )
    page = in_app(shop, WECHAT, ["ok"])
    page.goto(f"{shop.base}/q/{printed.code}", wait_until="commit")
    heading(page, "Confirming your payment")
    assert Trade.objects.get().amount == 500
