"""`/c/<token>/auth/<channel>`: who the payer is inside WeChat and Alipay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from cashier.models import CashierOrder
from paycenter.errors import BadSignature, ConfigError, NotSent, UnknownOutcome
from tests.cashier.conftest import ALIPAY, WECHAT, Cashier
from tests.fakes.fakepay import FakeProvider
from trades.closing import trade_close
from trades.models import Attempt, Trade


def begin(cashier: Cashier, page: CashierOrder, ua: str = WECHAT, method: str = "fake_jsapi") -> str:
    """Press pay inside the app; the state that goes to the channel."""
    cashier.offer(method)
    location = cashier.pay(page, method, ua=ua).headers["Location"]
    assert location == f"/c/{page.token}/auth/fakepay?method={method}"
    html = cashier.client.get(location, headers={"user-agent": ua, "accept-language": "en"}).content.decode()
    address = html.split('href="https://fake.example/authorize')[1].split('"')[0].replace("&amp;", "&")
    query = parse_qs(urlsplit("https://fake.example/authorize" + address).query)
    assert query["redirect_uri"][0].endswith(f"/c/{page.token}/auth/fakepay")
    return query["state"][0]


def back(cashier: Cashier, page: CashierOrder, state: str, *, client: Client | None = None, **query: str) -> Any:
    return (client or cashier.client).get(
        f"/c/{page.token}/auth/fakepay", {"state": state, **(query or {"code": "c1"})},
        headers={"user-agent": WECHAT, "accept-language": "en"},
    )  # fmt: skip


def test_payer_is_asked_for_and_pays_with_the_answer(cashier: Cashier) -> None:
    page = cashier.open()
    response = back(cashier, page, begin(cashier, page))
    assert (response.status_code, response.headers["Location"]) == (303, f"/c/{page.token}/go")
    assert Trade.objects.get().payer == {"openid": "openid-c1"}
    assert Attempt.objects.get().method == "fake_jsapi"


def test_identity_stays_out_of_addresses_and_pages(cashier: Cashier) -> None:
    page = cashier.open()
    response = back(cashier, page, begin(cashier, page))
    assert "openid-c1" not in response.headers["Location"]
    cookie = response.cookies["cashier_payer"]
    assert cookie["httponly"]
    assert cookie["path"] == f"/c/{page.token}"
    assert "openid-c1" not in cashier.get(page, "/go", ua=WECHAT).content.decode()


def test_known_payer_is_not_asked_again(cashier: Cashier) -> None:
    page = cashier.open()
    back(cashier, page, begin(cashier, page))
    assert cashier.pay(page, "fake_jsapi", ua=WECHAT).headers["Location"] == f"/c/{page.token}/go"


def test_whoever_holds_the_phone_pays_not_whom_the_app_named(cashier: Cashier) -> None:
    page = cashier.open(payer={"openid": "o-named", "phone": "13800001234"})
    back(cashier, page, begin(cashier, page))
    assert Trade.objects.get().payer == {"openid": "openid-c1", "phone": "13800001234"}


def test_account_that_cannot_ask_uses_whom_the_app_named(cashier: Cashier, monkeypatch: Any) -> None:
    def cannot(self: Any, **_: Any) -> str:
        raise ConfigError("app_secret is not set")

    monkeypatch.setattr(FakeProvider, "authorize_url", cannot)
    cashier.offer("fake_jsapi")
    named, nobody = cashier.open(payer={"openid": "o-named"}), cashier.open()
    for page, end in ((named, "/go"), (nobody, "?notice=unavailable&method=fake_jsapi")):
        location = cashier.pay(page, "fake_jsapi", ua=WECHAT).headers["Location"]
        answer = cashier.client.get(location, headers={"user-agent": WECHAT})
        assert answer.headers["Location"] == f"/c/{page.token}{end}"
    assert Trade.objects.get(pk=named.trade.pk).payer == {"openid": "o-named"}


def test_state_of_another_order_is_refused(cashier: Cashier) -> None:
    mine, other = cashier.open(), cashier.open()
    state = begin(cashier, other)
    response = back(cashier, mine, state)
    assert response.status_code == 403
    assert "could not confirm who is paying" in response.content.decode()
    assert f'href="/c/{mine.token}"' in response.content.decode()
    assert not Attempt.objects.exists()


def test_state_of_another_browser_is_refused(cashier: Cashier) -> None:
    page = cashier.open()
    assert back(cashier, page, begin(cashier, page), client=Client()).status_code == 403
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("state", ["", "forged", "a:b:c", "é"])
def test_forged_state_is_refused(cashier: Cashier, state: str) -> None:
    page = cashier.open()
    begin(cashier, page)
    assert back(cashier, page, state).status_code == 403
    assert not Attempt.objects.exists()


def test_coming_back_without_a_code_has_a_way_on(cashier: Cashier) -> None:
    page = cashier.open()
    response = back(cashier, page, begin(cashier, page), error="denied")
    assert response.status_code == 403
    assert "Try again" in response.content.decode()


def test_alipays_own_name_for_the_code_is_understood(cashier: Cashier, monkeypatch: Any) -> None:
    def payer(self: Any, code: str) -> Mapping[str, str]:
        return {"buyer_id": f"2088-{code}"}

    monkeypatch.setattr(FakeProvider, "payer_from_code", payer)
    page = cashier.open()
    state = begin(cashier, page, ALIPAY, "fake_ajsapi")
    response = cashier.client.get(
        f"/c/{page.token}/auth/fakepay", {"state": state, "auth_code": "a1", "app_id": "x"},
        headers={"user-agent": ALIPAY},
    )  # fmt: skip
    assert response.headers["Location"] == f"/c/{page.token}/go"
    assert Trade.objects.get().payer == {"buyer_id": "2088-a1"}


@pytest.mark.parametrize("trouble", [NotSent("no connection"), UnknownOutcome("time-out")])
def test_silent_channel_gives_a_page_with_a_way_on(cashier: Cashier, monkeypatch: Any, trouble: Exception) -> None:
    def silent(self: Any, code: str) -> Mapping[str, str]:
        raise trouble

    monkeypatch.setattr(FakeProvider, "payer_from_code", silent)
    page = cashier.open()
    response = back(cashier, page, begin(cashier, page))
    assert response.status_code == 503
    assert "Fake channel does not answer" in response.content.decode()
    assert f'href="/c/{page.token}"' in response.content.decode()


def test_reloading_the_way_back_does_not_ask_twice(cashier: Cashier, monkeypatch: Any) -> None:
    page = cashier.open()
    state = begin(cashier, page)
    back(cashier, page, state)

    def used(self: Any, code: str) -> Mapping[str, str]:
        raise BadSignature("code used")

    monkeypatch.setattr(FakeProvider, "payer_from_code", used)
    assert back(cashier, page, state).headers["Location"] == f"/c/{page.token}/go"
    assert Attempt.objects.count() == 1
    assert back(cashier, page, state, client=_same_browser_without_payer(cashier)).status_code == 403


def _same_browser_without_payer(cashier: Cashier) -> Client:
    other = Client()
    other.cookies["cashier_browser"] = cashier.client.cookies["cashier_browser"].value
    return other


def test_order_that_ended_meanwhile_shows_its_end(cashier: Cashier) -> None:
    page = cashier.open()
    state = begin(cashier, page)
    trade_close(trade=page.trade, actor="test")
    assert back(cashier, page, state).headers["Location"] == f"/c/{page.token}"


@pytest.mark.parametrize("path", ["/auth/fakepay?method=fake_qr", "/auth/fakepay", "/auth/alipay?method=fake_jsapi"])
def test_nothing_else_is_authorised(cashier: Cashier, path: str) -> None:
    cashier.offer("fake_jsapi", "fake_qr")
    page = cashier.open()
    assert cashier.get(page, path, ua=WECHAT).headers["Location"] == f"/c/{page.token}"
