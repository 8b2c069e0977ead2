"""`/c/<token>/go`: the channel's instruction, carried out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from cashier.models import CashierOrder
from tests import factories
from tests.cashier.conftest import ALIPAY, MINI, PC, PHONE, WECHAT, Cashier
from trades.models import Attempt


def go(cashier: Cashier, page: CashierOrder, ua: str = PC) -> Any:
    return cashier.get(page, "/go", ua=ua)


def test_qr_code_is_drawn_with_a_title_and_refreshes_without_scripts(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    cashier.pay(page, "fake_qr")
    html = go(cashier, page).content.decode()
    assert '<svg role="img"' in html
    assert "<title>QR code for Fake QR</title>" in html
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in html


def test_redirect_leaves_with_and_without_scripts_and_tells_the_site_only(cashier: Cashier) -> None:
    cashier.offer("fake_page")
    page = cashier.open()
    cashier.pay(page, "fake_page")
    response = go(cashier, page)
    html = response.content.decode()
    target = f"https://fake.example/pay/{Attempt.objects.get().channel_order_no}"
    assert f'<noscript><meta http-equiv="refresh" content="0;url={target}"></noscript>' in html
    assert f'href="{target}" data-onward' in html
    assert response.headers["Referrer-Policy"] == "strict-origin"


def test_form_is_sent_exactly_and_allowed_to_the_channel_only(cashier: Cashier) -> None:
    cashier.offer("fake_form", "fake_qr")
    page = cashier.open()
    cashier.pay(page, "fake_form")
    response = go(cashier, page)
    html = response.content.decode()
    fields = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', html)}
    assert fields == Attempt.objects.get().pay["fields"]
    assert 'action="https://gateway.fake.example/do"' in html
    assert (
        "form-action 'self' https://gateway.fake.example https://*.fake.example;"
        in response.headers["Content-Security-Policy"]
    )
    assert '<button class="primary" type="submit">' in html
    assert "csrfmiddlewaretoken" not in html


@pytest.mark.parametrize(
    ("method", "ua", "device"), [("fake_jsapi", WECHAT, "wechat"), ("fake_ajsapi", ALIPAY, "alipay")]
)
def test_sdk_parameters_are_a_data_block(cashier: Cashier, method: str, ua: str, device: str) -> None:
    cashier.offer("fake_jsapi", "fake_ajsapi")
    page = cashier.open(payer={"openid": "o-1", "buyer_id": "b-1"})
    cashier.pay(page, method)
    html = go(cashier, page, ua).content.decode()
    found = re.search(r'<script id="launch" type="application/json">(.*?)</script>', html)
    assert found is not None
    attempt = Attempt.objects.get()
    assert json.loads(found[1]) == {
        "device": device, "params": attempt.pay["params"], "mini_page": "",
        "return_url": f"/return/{method}/{attempt.attempt_no}",
    }  # fmt: skip


def test_mini_program_gets_its_own_page(cashier: Cashier) -> None:
    cashier.world.app.cashier_layout = {"mini_page": "/pages/pay/pay"}
    cashier.world.app.save()
    cashier.offer("fake_mini")
    page = cashier.open(payer={"openid": "o-mini"})
    assert cashier.pay(page, "fake_mini", ua=MINI).headers["Location"].endswith("/go")
    html = go(cashier, page, MINI).content.decode()
    assert '"mini_page": "/pages/pay/pay"' in html
    assert '"openid": "o-mini"' in html


def test_instruction_of_an_order_that_moved_on_leads_back(
    cashier: Cashier, paid: Callable[[CashierOrder], None]
) -> None:
    cashier.offer("fake_qr")
    fresh, done, over = cashier.open(), cashier.open(), cashier.open()
    for page in (done, over):
        cashier.pay(page, "fake_qr")
    paid(done)
    factories.expire(over.trade)
    for page in (fresh, done, over):
        response = go(cashier, page)
        assert (response.status_code, response.headers["Location"]) == (303, f"/c/{page.token}")


def test_code_of_another_amount_is_not_shown(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open(app_order_no="A1", amount=100)
    cashier.pay(page, "fake_qr")
    cashier.open(app_order_no="A1", amount=90)
    assert go(cashier, page).headers["Location"] == f"/c/{page.token}"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "file:///etc/passwd"])
def test_only_web_addresses_are_left_for(cashier: Cashier, url: str) -> None:
    cashier.offer("fake_page", "fake_form")
    page = cashier.open()
    cashier.pay(page, "fake_page")
    Attempt.objects.update(pay={"type": "redirect", "method": "GET", "url": url})
    assert "notice=error" in go(cashier, page).headers["Location"]
    Attempt.objects.update(pay={"type": "form", "method": "POST", "action": url, "fields": {}})
    assert "notice=error" in go(cashier, page).headers["Location"]


def test_nothing_to_do_means_waiting_for_the_result(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    cashier.pay(page, "fake_qr")
    Attempt.objects.update(pay={"type": "none"})
    assert "Confirming your payment" in go(cashier, page).content.decode()


def test_looking_at_the_instruction_calls_nobody(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    cashier.pay(page, "fake_qr")
    for _ in range(3):
        go(cashier, page, PHONE)
    assert cashier.world.book.calls == {"pay": 1}
