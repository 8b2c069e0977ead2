"""How the page behaves while it waits: weight, polling, countdown, going back to the merchant."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.browser.cashier.conftest import Shop
from tests.browser.cashier.states import ROWS
from tests.cashier.conftest import PHONE
from trades.models import Trade

pytestmark = pytest.mark.browser
FIRST_LOAD_LIMIT = 60 * 1024
_HIDE = """
Object.defineProperty(document, 'hidden', {get: () => window.isHidden === true});
window.hide = (hidden) => { window.isHidden = hidden; document.dispatchEvent(new Event('visibilitychange')); };
"""


def polls_of(page: Any) -> list[float]:
    """Moments at which the page asked for the status, growing."""
    seen: list[float] = []
    page.on("request", lambda r: seen.append(time.monotonic()) if r.url.endswith("/status") else None)
    return seen


def test_first_load_weighs_under_60_kb(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page", "fake_form", "fake_jsapi", "fake_ajsapi")
    page = shop.browse()
    sizes: dict[str, int] = {}
    page.on("requestfinished", lambda r: sizes.update({r.url: sum(
        r.sizes()[part] for part in ("responseBodySize", "responseHeadersSize"))}))  # fmt: skip
    page.goto(shop.url(shop.open(ROWS)), wait_until="networkidle")
    assert len(sizes) >= 6, sizes
    assert sum(sizes.values()) < FIRST_LOAD_LIMIT, sizes


def test_nothing_is_loaded_from_elsewhere_and_no_policy_is_broken(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page", "fake_jsapi", "fake_ajsapi")
    page = shop.browse()
    urls: list[str] = []
    said: list[str] = []
    page.on("request", lambda r: urls.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    page.goto(shop.url(shop.open(ROWS)), wait_until="networkidle")
    assert [u for u in urls if not u.startswith(shop.base)] == []
    assert said == []


def test_polling_slows_down(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    page = shop.browse()
    polls = polls_of(page)
    page.goto(shop.url(shop.open()))
    started = time.monotonic()
    page.wait_for_timeout(11_000)
    gaps = [later - earlier for earlier, later in zip([started, *polls], polls, strict=False)]
    assert 3 <= len(gaps) <= 4, gaps
    assert gaps[0] == pytest.approx(2, abs=0.7)
    assert gaps[1] < gaps[2] < 5.5, gaps


def test_hidden_tab_asks_nothing_and_asks_at_once_when_shown(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    page = shop.browse()
    page.add_init_script(_HIDE)
    polls = polls_of(page)
    page.goto(shop.url(shop.open()))
    page.evaluate("hide(true)")
    page.wait_for_timeout(4_000)
    assert polls == []
    page.evaluate("hide(false)")
    page.wait_for_timeout(500)
    assert len(polls) == 1


def test_final_page_asks_nothing(shop: Shop) -> None:
    shop.offer("fake_qr")
    order = shop.open()
    shop.pay(order, "fake_qr")
    shop.settle(order)
    page = shop.browse()
    polls = polls_of(page)
    page.goto(shop.url(order))
    page.wait_for_timeout(3_500)
    assert polls == []


def test_lost_connection_is_said_and_survived(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse()
    page.goto(shop.url(order))
    page.context.route("**/status", lambda route: route.abort())
    page.get_by_text("The connection is interrupted").wait_for(state="attached")
    page.context.unroute("**/status")
    shop.pay(order, "fake_qr")
    shop.settle(order)
    page.get_by_role("heading", name="Payment received").wait_for()


def test_countdown_runs_and_warns_in_the_last_minute(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    Trade.objects.update(expire_at=timezone.now() + timedelta(seconds=68))
    page = shop.browse(ua=PHONE)
    page.goto(shop.url(order))
    page.get_by_text(re.compile(r"00:5\d")).wait_for(timeout=15_000)
    assert page.locator("#live").text_content() == "1 minute left to pay"
    assert "soon" in (page.locator("#countdown").get_attribute("class") or "")


def test_wrong_clock_of_the_phone_does_not_matter(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    page = shop.browse(ua=PHONE)
    page.add_init_script("const real = Date.now; Date.now = () => real() + 3600e3 * 5;")
    page.goto(shop.url(shop.open()))
    assert page.locator("#clock").text_content() in ("29:59", "29:58", "29:57", "30:00")


def test_machine_that_slept_is_put_right_by_the_next_answer(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse(ua=PHONE)
    # The monotonic clock stands still from the third second on, as it does while a machine sleeps.
    page.add_init_script(
        "const now = performance.now.bind(performance); performance.now = () => Math.min(now(), 3000);"
    )
    page.goto(shop.url(order))
    page.get_by_text("29:5").wait_for()
    Trade.objects.update(expire_at=timezone.now() + timedelta(seconds=600))
    page.get_by_text("09:5").wait_for()


def _paid(shop: Shop) -> Any:
    shop.offer("fake_qr")
    order = shop.open(return_url="https://shop.fake.example/done?id=7", app_order_no="A1")
    shop.pay(order, "fake_qr")
    shop.settle(order)
    return order


def test_paid_page_goes_back_to_the_merchant_with_both_numbers(shop: Shop) -> None:
    order = _paid(shop)
    page = shop.browse()
    page.goto(shop.url(order))
    page.get_by_text("Going back in").wait_for()
    page.wait_for_url(f"https://shop.fake.example/done?id=7&trade_no={order.trade.trade_no}&app_order_no=A1")
    assert page.text_content("#referrer") == ""


def test_payer_may_stay_on_the_paid_page(shop: Shop) -> None:
    order = _paid(shop)
    page = shop.browse()
    page.goto(shop.url(order))
    page.get_by_role("button", name="Stay here").click()
    page.wait_for_timeout(6_500)
    assert page.url == shop.url(order)
    assert page.evaluate("document.activeElement.textContent") == "Back to the merchant"


def test_button_is_pressed_once_and_usable_again_after_coming_back(shop: Shop) -> None:
    shop.offer("fake_qr", "fake_page")
    order = shop.open()
    page = shop.browse()
    posts: list[str] = []
    page.on("request", lambda r: posts.append(r.url) if r.method == "POST" else None)
    page.goto(shop.url(order))
    page.evaluate("for (let i = 0; i < 3; i++) document.querySelector('form[data-pay]').requestSubmit()")
    page.get_by_role("img", name="QR code for Fake QR").wait_for()
    assert len(posts) == 1
    page.go_back()
    assert page.get_by_role("button", name="Pay ").is_enabled()
