"""The hosted page: what a person sees and does there."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.context import Settings
from tests.sandbox.mpgs.conftest import FORM, Shop, shop_of
from tests.sandbox.running import Answer, Running


def opened(shop: Shop, amount: str = "12.34", currency: str = "CNY") -> tuple[str, dict[str, Any]]:
    made = shop.open(shop.checkout("A1", amount, currency)).json
    return f"/checkout/pay/{made['session']['id']}", made


def act(shop: Shop, path: str, action: str) -> Answer:
    return shop.sandbox.request("POST", path, f"action={action}", FORM)


@pytest.mark.parametrize(("lang", "word"), [("zh", "国际卡付款"), ("en", "Card payment")])
def test_it_shows_payee_amount_and_what_can_be_done(lang: str, word: str, proxy: Shop) -> None:
    path, made = opened(proxy, "1.234", "KWD")
    page = proxy.sandbox.request("GET", f"{path}?lang={lang}&checkoutVersion=1.0.0")
    assert page.status == 200
    for expected in (word, "物业", "KWD ", "1.234"):
        assert expected in page.text
    assert made["successIndicator"] not in page.text
    for action in ("pay", "pay_and_stay", "pay_wrong", "pay_bare", "decline", "fail_3ds", "abandon"):
        assert f'value="{action}"' in page.text
    assert "script" not in page.text
    assert proxy.order("A1").status == 400, "looking is not yet an order"


@pytest.mark.parametrize(
    ("action", "indicator"), [("pay", "right"), ("pay_wrong", "wrong"), ("pay_bare", None), ("pay_and_stay", "nowhere")]
)
def test_paying_and_coming_back(action: str, indicator: str | None, shop: Shop) -> None:
    path, made = opened(shop)
    answer = act(shop, path, action)
    assert shop.order("A1").json["status"] == "CAPTURED"
    if indicator == "nowhere":
        assert answer.status == 200
        return
    assert answer.status == 303
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["x"] == ["1"], "the merchant's own parameters stay"
    shown = query.get("resultIndicator", [None])[0]
    assert (shown == made["successIndicator"]) is (indicator == "right")
    assert (shown is None) is (indicator is None)


def test_declined_then_given_up_then_paid_after_all(shop: Shop) -> None:
    path, made = opened(shop)
    assert "可以再试一次" in act(shop, path, "decline").text
    found = shop.order("A1").json
    assert (found["status"], found["result"], found["totalCapturedAmount"]) == ("FAILED", "FAILURE", 0)
    assert act(shop, path, "fail_3ds").status == 200
    assert shop.order("A1").json["authenticationStatus"] == "AUTHENTICATION_UNSUCCESSFUL"
    location = act(shop, path, "give_up").headers["location"]
    assert "resultIndicator=" in location
    assert made["successIndicator"] not in location
    assert act(shop, path, "pay").status == 303
    assert act(shop, path, "pay").status == 409
    assert "✓" in shop.sandbox.request("GET", path).text


def test_abandoning_goes_to_the_cancel_address(shop: Shop) -> None:
    path, _made = opened(shop)
    assert act(shop, path, "abandon").headers["location"] == "http://shop.test/cancel"
    assert shop.order("A1").status == 400


def test_what_is_not_there(shop: Shop) -> None:
    path, _made = opened(shop)
    assert shop.sandbox.request("GET", "/checkout/pay/SESSION000NONE").status == 404
    assert act(shop, path, "rob").status == 404
    answer = shop.pays("A1", pay={"type": "redirect", "url": "http://x/checkout/pay/SESSION1"})
    assert (answer.status, "no such checkout session" in answer.text) == (400, True)


def test_a_session_ends(state: Any) -> None:
    shift = [0.0]
    running = Running(state, Settings(), clock=lambda: time.time() + shift[0])
    try:
        shop = shop_of(running, "basic", "http://127.0.0.1:9/")
        path, _made = opened(shop)
        act(shop, path, "decline")
        shift[0] = 601
        assert running.request("GET", path).status == 404
        assert act(shop, path, "pay").status in (404, 409)
        assert shop.pays("A1").status == 409
        assert shop.order("A1").json["status"] == "FAILED", "MPGS knows no closing"
        assert shop.open(shop.checkout("A1")).status == 201, "a new session of the same order"
        assert shop.open(shop.checkout("A1", "1.00")).status == 400
        assert shop.pays("A1", notify="none").status == 200
    finally:
        running.stop()


def test_the_wallet_shows_other_currencies_as_they_are(shop: Shop) -> None:
    path, _made = opened(shop, "500", "JPY")
    desk = shop.sandbox.request("GET", "/wallet?lang=en").text
    assert "JPY 500" in desk
    code = path.rsplit("/", 1)[-1]
    answer = shop.sandbox.request("POST", f"/wallet/mpgs/{code}", "action=pay", FORM)
    assert (answer.status, "resultIndicator=" in answer.headers["location"]) == (303, True)
    assert shop.order("A1").json["totalCapturedAmount"] == 500
