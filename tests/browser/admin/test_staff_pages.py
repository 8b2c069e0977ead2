"""The staff pages in a real browser: what their small script does, and that the policy breaks nothing."""

from __future__ import annotations

import pytest

from merchants.models import CashierMethod
from tests import factories
from tests.browser import chromium
from tests.browser.admin.conftest import Desk
from tests.conftest import World
from tests.factories import fresh

pytestmark = pytest.mark.browser


def test_fields_of_the_other_signing_mode_are_hidden(desk: Desk, committed_world: World) -> None:
    page = desk.go(f"merchants/paymentaccount/add/?merchant={committed_world.merchant.pk}&channel=alipay")
    public_key, certificate = (page.locator(f"[name='config-{n}']") for n in ("alipay_public_key", "alipay_cert"))
    assert public_key.is_visible()
    assert not certificate.is_visible()
    page.select_option("[name='config-key_mode']", "certificate")
    assert not public_key.is_visible()
    assert certificate.is_visible()
    assert desk.complaints == []


def test_suspending_asks_why_in_a_dialog(desk: Desk, committed_world: World) -> None:
    page = desk.go(f"merchants/merchant/{committed_world.merchant.pk}/change/")
    page.get_by_role("button", name="Suspend").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_role("button", name="Suspend").click()  # the browser itself refuses without a reason
    assert fresh(committed_world.merchant).state == "active"
    dialog.locator("textarea").fill("contract ended")
    dialog.get_by_role("button", name="Suspend").click()
    page.wait_for_selector("text=contract ended")
    assert fresh(committed_world.merchant).state == "suspended"
    assert desk.complaints == []


def test_a_dialog_can_be_left(desk: Desk, committed_world: World) -> None:
    page = desk.go(f"merchants/merchant/{committed_world.merchant.pk}/change/")
    page.get_by_role("button", name="Close for good").click()
    page.locator("dialog[open]").get_by_role("button", name="Cancel").click()
    assert page.locator("dialog[open]").count() == 0
    assert fresh(committed_world.merchant).state == "active"


def test_the_arrows_change_the_order_of_the_cashier(desk: Desk, committed_world: World) -> None:
    world = committed_world
    factories.make_cashier_methods(world.app, world.account, "fake_qr", "fake_page")
    page = desk.go(f"merchants/cashiermethod/configure/{world.app.pk}/{world.merchant.pk}/")
    page.locator("li", has_text="fake_page").get_by_role("button", name="Move up").click()
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("text=in this order")
    assert list(CashierMethod.objects.values_list("method", flat=True)) == ["fake_page", "fake_qr"]
    assert desk.complaints == []


def test_language_is_switched_and_stays(desk: Desk) -> None:
    page = desk.go("")
    assert page.locator("html").get_attribute("lang") == "en"
    page.evaluate('document.querySelector(\'form[action$="/language/"] input[value="zh-hans"]\').form.submit()')
    page.wait_for_selector("text=今日收款")
    assert desk.go("trades/trade/").locator("html").get_attribute("lang") == "zh-hans"


@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_the_screen_or_angers_the_policy(desk: Desk, committed_world: World, width: int) -> None:
    world = committed_world
    trade = factories.trade_pay(app=world.app, order=world.order(), method="fake_qr").trade
    desk.page.set_viewport_size({"width": width, "height": 844})
    places = [
        "", "trades/trade/", f"trades/trade/{trade.pk}/change/", "trades/abnormalpayment/", "merchants/merchant/",
        f"merchants/merchant/{world.merchant.pk}/change/", f"merchants/paymentaccount/{world.account.pk}/change/",
        f"merchants/app/{world.app.pk}/change/", "merchants/app/add/", "merchants/paymentaccount/add/",
        "paycenter/event/", "paycenter/exchange/", "paycenter/retryschedule/", "notifications/alert/", "security/",
    ]  # fmt: skip
    for place in places:
        page = desk.go(place)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 1, f"{place} is {wide}px wider than the screen"
    assert desk.complaints == []


def test_axe_finds_nothing_serious_on_our_own_pages(desk: Desk, committed_world: World) -> None:
    world = committed_world
    trade = factories.trade_pay(app=world.app, order=world.order(), method="fake_qr").trade
    source = chromium.axe_source()
    account = f"merchants/paymentaccount/{world.account.pk}/change/"
    for place in (f"trades/trade/{trade.pk}/change/", account, "security/"):
        page = desk.go(place)
        page.evaluate(source)
        found = page.evaluate(
            "axe.run('.pc', {resultTypes: ['violations']}).then(r => r.violations"
            ".filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id + ' ' + v.nodes[0].html))"
        )
        assert found == [], place
