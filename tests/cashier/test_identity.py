"""The authorisation's state and the payer's cookie cannot be forged, moved or kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from cashier.identity import (
    PAYER_SECONDS,
    STATE_SECONDS,
    Authorisation,
    StateRefused,
    known_payer,
    new_state,
    read_state,
    remember_browser,
    remember_payer,
)

WANTED = Authorisation("token-1", "fake_jsapi", "Z1")


def _browser() -> HttpRequest:
    return RequestFactory().get("/")


def _carry(response: HttpResponse) -> HttpRequest:
    request = _browser()
    request.COOKIES.update({name: morsel.value for name, morsel in response.cookies.items()})
    return request


def _begun() -> tuple[str, HttpRequest]:
    request, response = _browser(), HttpResponse()
    state, nonce = new_state(request, WANTED)
    remember_browser(request, response, WANTED.token, nonce)
    return state, _carry(response)


def test_state_comes_back_to_the_page_and_browser_it_was_made_for() -> None:
    state, browser = _begun()
    assert read_state(browser, state, "token-1") == WANTED


def test_state_of_another_page_is_refused() -> None:
    state, browser = _begun()
    with pytest.raises(StateRefused):
        read_state(browser, state, "token-2")


def test_state_of_another_browser_is_refused() -> None:
    state, _browser_it_belongs_to = _begun()
    _other_state, other = _begun()
    for stranger in (other, _browser()):
        with pytest.raises(StateRefused):
            read_state(stranger, state, "token-1")


@pytest.mark.parametrize("tamper", [lambda s: s[:-1] + ("A" if s[-1] != "A" else "B"), lambda s: "x" + s, lambda s: ""])
def test_forged_state_is_refused(tamper: object) -> None:
    state, browser = _begun()
    with pytest.raises(StateRefused):
        read_state(browser, tamper(state), "token-1")  # type: ignore[operator]


def test_stale_state_is_refused() -> None:
    state, browser = _begun()
    with time_machine.travel(timezone.now() + timedelta(seconds=STATE_SECONDS + 2)), pytest.raises(StateRefused):
        read_state(browser, state, "token-1")


def test_text_signed_for_another_purpose_is_no_state() -> None:
    _state, browser = _begun()
    with pytest.raises(StateRefused):
        read_state(browser, signing.dumps(["token-1", "fake_jsapi", "Z1", "0" * 32], salt="cashier.payer"), "token-1")


def _remembered() -> HttpResponse:
    response = HttpResponse()
    remember_payer(_browser(), response, WANTED, {"openid": "o-1"})
    return response


def test_payer_is_known_on_this_page_for_this_account_only() -> None:
    browser = _carry(_remembered())
    assert known_payer(browser, "token-1", "Z1") == {"openid": "o-1"}
    assert known_payer(browser, "token-2", "Z1") == {}
    assert known_payer(browser, "token-1", "Z2") == {}
    assert known_payer(_browser(), "token-1", "Z1") == {}


def test_payer_is_forgotten_after_an_hour() -> None:
    browser = _carry(_remembered())
    with time_machine.travel(timezone.now() + timedelta(seconds=PAYER_SECONDS + 2)):
        assert known_payer(browser, "token-1", "Z1") == {}


def test_forged_payer_is_nobody() -> None:
    browser = _browser()
    browser.COOKIES["cashier_payer"] = signing.dumps(["token-1", "Z1", {"openid": "o-2"}], salt="another")
    assert known_payer(browser, "token-1", "Z1") == {}


def test_cookies_stay_out_of_scripts_and_other_pages() -> None:
    morsel = _remembered().cookies["cashier_payer"]
    assert (morsel["path"], morsel["httponly"], morsel["samesite"]) == ("/c/token-1", True, "Lax")


def test_cookies_are_secure_over_https() -> None:
    response = HttpResponse()
    remember_payer(RequestFactory().get("/", secure=True), response, WANTED, {"openid": "o-1"})
    assert response.cookies["cashier_payer"]["secure"]
