"""The pay button, and where each outcome leads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from cashier import selectors
from cashier.models import CashierOrder
from cashier.views import starting
from channels.base import Refused
from merchants.api.errors import ChannelShed, TooManyRequests
from merchants.models import AccountMethod
from paycenter.errors import ApiError, UnknownOutcome
from tests import factories
from tests.cashier.conftest import PC, Cashier
from trades.closing import trade_close
from trades.models import Attempt, Trade
from trades.states import AttemptState, TradeState


def where(response: Any) -> str:
    assert response.status_code == 303, response.content
    return str(response.headers["Location"])


def test_paying_starts_one_attempt_for_the_trades_amount(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_page")
    page = cashier.open(amount=4321)
    assert where(cashier.pay(page, "fake_qr")) == f"/c/{page.token}/go"
    attempt = Attempt.objects.get()
    assert (attempt.method, attempt.amount, attempt.state) == ("fake_qr", 4321, AttemptState.SUBMITTED)
    assert attempt.return_to.endswith(f"/c/{page.token}")
    assert Trade.objects.get().client_ip == "127.0.0.1"


def test_pressing_twice_calls_the_channel_once(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    assert where(cashier.pay(page, "fake_qr")) == where(cashier.pay(page, "fake_qr"))
    assert cashier.world.book.calls["pay"] == 1


def test_switching_closes_the_older_attempt_at_the_channel(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_page")
    page = cashier.open()
    cashier.pay(page, "fake_qr")
    cashier.pay(page, "fake_page")
    states = dict(Attempt.objects.values_list("method", "state"))
    assert states == {"fake_qr": AttemptState.CLOSED, "fake_page": AttemptState.SUBMITTED}
    assert cashier.world.book.calls["close"] == 1


def test_paid_order_leads_to_its_result(cashier: Cashier, paid: Callable[[CashierOrder], None]) -> None:
    cashier.offer("fake_qr", "fake_page")
    page = cashier.open()
    cashier.pay(page, "fake_qr")
    paid(page)
    assert where(cashier.pay(page, "fake_page")) == f"/c/{page.token}"
    assert Attempt.objects.count() == 1


def test_money_that_arrived_unseen_is_found_when_switching(cashier: Cashier) -> None:
    cashier.offer("fake_qr", "fake_page")
    page = cashier.open()
    cashier.pay(page, "fake_qr")
    cashier.world.book.pay(Attempt.objects.get().channel_order_no)
    assert where(cashier.pay(page, "fake_page")) == f"/c/{page.token}"
    assert Trade.objects.get().state == TradeState.PAID
    assert "Payment received" in cashier.get(page).content.decode()


@pytest.mark.parametrize("end", ["closed", "expired"])
def test_order_that_is_over_starts_nothing(cashier: Cashier, end: str) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    if end == "closed":
        trade_close(trade=page.trade, actor="test")
    else:
        factories.expire(page.trade)
    assert where(cashier.pay(page, "fake_qr")) == f"/c/{page.token}"
    assert not Attempt.objects.exists()


def test_refusal_names_the_attempt(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    cashier.world.book.fault("pay", Refused(code="NO", message="no"))
    assert where(cashier.pay(page, "fake_qr")) == f"/c/{page.token}?refused={Attempt.objects.get().attempt_no}"
    assert Trade.objects.get().state == TradeState.WAITING


def test_unknown_outcome_is_never_called_failed(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    cashier.world.book.fault("pay", UnknownOutcome("no answer"))
    assert where(cashier.pay(page, "fake_qr")) == f"/c/{page.token}"
    html = cashier.get(page).content.decode()
    assert "Confirming your payment" in html
    assert "please do not pay again" in html
    assert cashier.get(page, "/status").json()["phase"] == "confirming"


@pytest.mark.parametrize(
    ("error", "notice"), [(ChannelShed(), "busy"), (TooManyRequests(), "busy"), (ApiError(), "error")]
)
def test_shed_and_unexpected_errors_leave_the_other_methods(
    cashier: Cashier, monkeypatch: Any, error: ApiError, notice: str
) -> None:
    cashier.offer("fake_qr", "fake_page", "fake_form")

    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(starting, "trade_pay_with", fail)
    page = cashier.open()
    location = where(cashier.pay(page, "fake_qr"))
    assert location == f"/c/{page.token}?notice={notice}&method=fake_qr"
    html = cashier.client.get(location, headers={"user-agent": PC, "accept-language": "en"}).content.decode()
    assert 'value="fake_page" required' in html
    assert ('value="fake_qr" required disabled' in html) is (notice == "busy")


def test_only_method_being_busy_can_be_asked_for_again(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    html = cashier.get(page, "?notice=busy&method=fake_qr").content.decode()
    assert 'type="submit"' not in html
    assert "Check again" in html


@pytest.mark.parametrize("method", ["", "fake_page", "alipay_qr", "no_such", "x" * 500])
def test_method_that_is_not_configured_starts_nothing(cashier: Cashier, method: str) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    assert "notice=unavailable" in where(cashier.pay(page, method))
    assert not Attempt.objects.exists()


def test_method_taken_away_after_the_page_was_drawn_starts_nothing(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    AccountMethod.objects.filter(method="fake_qr").delete()
    assert "notice=unavailable" in where(cashier.pay(page, "fake_qr"))


def test_greyed_out_method_starts_nothing(cashier: Cashier, monkeypatch: Any) -> None:
    monkeypatch.setattr(starting, "method_availability", lambda account, method: "resting")
    cashier.offer("fake_qr")
    page = cashier.open()
    assert "notice=unavailable" in where(cashier.pay(page, "fake_qr"))
    assert selectors.method_availability(cashier.world.account, object()) is None  # type: ignore[arg-type]
    assert not Attempt.objects.exists()


def test_payer_who_saw_another_amount_is_asked_again(cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = cashier.open(app_order_no="A1", amount=100)
    cashier.open(app_order_no="A1", amount=900)
    location = where(cashier.pay(page, "fake_qr", amount="100"))
    assert location == f"/c/{page.token}?notice=amount"
    assert "The amount has changed" in cashier.get(page, "?notice=amount").content.decode()
    assert not Attempt.objects.exists()
    assert where(cashier.pay(page, "fake_qr", amount="900")).endswith("/go")


def test_jsapi_outside_the_app_is_not_started(cashier: Cashier) -> None:
    cashier.offer("fake_jsapi")
    page = cashier.open()
    assert "notice=unavailable" in where(cashier.pay(page, "fake_jsapi", ua=PC))


FROM_ELSEWHERE = (
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://testserver"}, {"origin": "https://elsewhere.example"},
    {"origin": "http://testserver.elsewhere.example"}, {"origin": "http://testserver:81"}, {"origin": "null"},
    {"origin": "http://[testserver"}, {"referer": "https://elsewhere.example/testserver"},
)  # fmt: skip
FROM_HERE: tuple[dict[str, str], ...] = (
    {"sec-fetch-site": "same-origin", "origin": "http://testserver"}, {"sec-fetch-site": "none"},
    {"origin": "http://testserver"}, {"origin": "https://testserver"}, {"referer": "http://testserver/c/x"}, {},
)  # fmt: skip


@pytest.mark.parametrize("headers", FROM_ELSEWHERE)
def test_foreign_site_cannot_press_the_button(cashier: Cashier, headers: dict[str, str]) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    answer = cashier.client.post(f"/c/{page.token}/pay", {"method": "fake_qr"}, headers=headers)
    assert answer.status_code == 403
    assert "本次未扣款" in answer.content.decode()
    assert answer.headers["Cache-Control"] == "no-store"
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("headers", FROM_HERE)
def test_own_page_can_press_the_button_without_a_cookie(cashier: Cashier, headers: dict[str, str]) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    strict = Client(enforce_csrf_checks=True)
    assert not strict.get(f"/c/{page.token}").cookies
    answer = strict.post(f"/c/{page.token}/pay", {"method": "fake_qr"}, headers=headers)
    assert where(answer).endswith("/go")


@pytest.mark.parametrize(
    ("asked", "origin", "is_taken"),
    [
        ("pay.example:443", "https://pay.example", True), ("origin.internal", "https://pay.example", True),
        ("origin.internal", "https://pay.example:8443", False), ("origin.internal", "https://a.partner.example", True),
        ("origin.internal", "https://partner.example.org", False), ("[::1]:8000", "http://[::1]:8000", True),
        ("[::1]:8000", "http://[::2]:8000", False),
    ],
)  # fmt: skip
def test_a_proxy_may_hand_on_another_name(
    cashier: Cashier, settings: Any, asked: str, origin: str, is_taken: bool
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.PUBLIC_BASE_URL = "https://pay.example"
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.partner.example"]
    cashier.offer("fake_qr")
    page = cashier.open()
    headers = {"host": asked, "origin": origin}
    answer = cashier.client.post(f"/c/{page.token}/pay", {"method": "fake_qr"}, headers=headers)
    assert answer.status_code == (303 if is_taken else 403)


def test_paying_is_no_get(cashier: Cashier) -> None:
    page = cashier.open()
    assert cashier.get(page, "/pay").status_code == 405


def test_unknown_page_cannot_be_paid(cashier: Cashier) -> None:
    assert cashier.client.post(f"/c/{'x' * 43}/pay", {"method": "fake_qr"}).status_code == 404
