"""Starting a checkout: what is asked for, and what may be believed of the answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from channels.base import Initiated, Redirect, Refused
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.money import Money
from tests.channels.mpgs.conftest import new_order
from tests.channels.mpgs.wire import CREATED, MERCHANT, ORDER_NO, error

SESSION = {k: CREATED[k] for k in ("merchant", "result", "session", "successIndicator")} | {"checkoutMode": "WEBSITE"}


def test_the_proxy_gets_order_and_interaction_and_says_where_the_payer_goes(provider, platform, order):
    platform.says(201, CREATED)
    result = provider.pay("mpgs_checkout", order)
    assert isinstance(result, Initiated)
    assert result.instruction == Redirect(CREATED["checkout_url"])
    (asked,) = platform.calls
    assert (asked.method, asked.path) == ("POST", "/payments")
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-request-id"]
    assert asked.headers["idempotency-key"] == f"{ORDER_NO}.1800"
    assert asked.json == {
        "interaction": {
            "operation": "PURCHASE", "merchant": {"name": "安居物业"}, "timeout": 1800,
            "returnUrl": order.return_url, "cancelUrl": order.return_url,
        },
        "order": {
            "id": ORDER_NO, "reference": ORDER_NO, "amount": "123.45", "currency": "CNY",
            "description": "2026年11月物业管理费", "notificationUrl": order.notify_url,
        },
    }  # fmt: skip


def test_the_success_indicator_stays_on_this_side(provider, platform, order):
    platform.says(201, CREATED)
    result = provider.pay("mpgs_checkout", order)
    assert result.memo == {"session_id": CREATED["session"]["id"], "success_indicator": CREATED["successIndicator"]}
    assert CREATED["successIndicator"] not in repr(result.instruction)
    assert result.channel_trade_no is None


def test_mpgs_itself_gets_the_operation_and_the_payer_its_page(direct, platform, order):
    platform.says(201, SESSION)
    result = direct.pay("mpgs_checkout", order)
    page = f"{platform.url}/checkout/pay/{CREATED['session']['id']}?checkoutVersion=1.0.0"
    assert result.instruction == Redirect(page)
    (asked,) = platform.calls
    assert (asked.method, asked.path) == ("POST", f"/api/rest/version/72/merchant/{MERCHANT}/session")
    assert asked.json["apiOperation"] == "INITIATE_CHECKOUT"
    assert asked.json["interaction"]["merchant"] == {"name": "安居物业"}


def test_before_version_63_the_operation_has_another_name(make, platform, order):
    platform.says(200, SESSION)
    result = make(direct=True, api_version=62).pay("mpgs_checkout", order)
    (asked,) = platform.calls
    assert asked.json["apiOperation"] == "CREATE_CHECKOUT_SESSION"
    assert "merchant" not in asked.json["interaction"], "the name was the page script's then"
    assert result.instruction.url.endswith(CREATED["session"]["id"])


@pytest.mark.parametrize(
    ("money", "written"),
    [
        (Money(1), "0.01"), (Money(100), "1.00"), (Money(10**11), "1000000000.00"), (Money(5, "USD"), "0.05"),
        (Money(1, "JPY"), "1"), (Money(12345, "JPY"), "12345"), (Money(1, "KWD"), "0.001"),
        (Money(1500, "KWD"), "1.500"),
    ],
)  # fmt: skip
def test_amounts_are_major_units_with_the_currencys_decimals(money, written, provider, platform):
    platform.says(201, CREATED)
    provider.pay("mpgs_checkout", new_order(amount=money))
    sent = platform.calls[0].json["order"]
    assert (sent["amount"], sent["currency"]) == (written, money.currency)


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(1, 60), (1.5, 90), (30, 1800), (180, 10800), (10080, 10800)]
)
def test_a_session_ends_with_the_attempt_within_mpgs_limits(minutes, seconds, provider, platform, order):
    platform.says(201, CREATED)
    provider.pay("mpgs_checkout", new_order(expire_at=order.sent_at + timedelta(minutes=minutes)))
    assert platform.calls[0].json["interaction"]["timeout"] == seconds


@pytest.mark.parametrize("minutes", [-1, 0, 0.5, 0.98])
def test_nothing_is_opened_that_would_outlive_the_attempt(minutes, provider, platform, order):
    result = provider.pay("mpgs_checkout", new_order(expire_at=order.sent_at + timedelta(minutes=minutes)))
    assert isinstance(result, Refused)
    assert platform.calls == []


def test_sent_again_later_it_ends_no_later_and_is_another_request(provider, platform, order, clock):
    for _ in range(3):
        platform.says(201, CREATED)
        provider.pay("mpgs_checkout", order)
        if len(platform.calls) == 2:
            clock.forward(45)
    first, second, third = platform.calls
    assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])
    assert third.json["interaction"]["timeout"] == 1755
    assert third.headers["idempotency-key"] != first.headers["idempotency-key"]
    assert third.json["order"] == first.json["order"]


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("a\x00b\nc\td", "a b c d"), ("物" * 200, "物" * 127), ("half \ud83d pair", "half pair"),
        ("\x01\x02", ORDER_NO), ("😀 A&B=1 <x> \"q\"", "😀 A&B=1 <x> \"q\""),
    ],
)  # fmt: skip
def test_what_the_payer_reads(subject, sent, provider, platform):
    platform.says(201, CREATED)
    provider.pay("mpgs_checkout", new_order(subject=subject))
    assert platform.calls[0].json["order"]["description"] == sent


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (400, error("INVALID_REQUEST", "Missing parameter", field="order.currency", validationType="MISSING"),
         "INVALID_REQUEST", "Missing parameter: order.currency"),
        (400, error("REQUEST_REJECTED", "risk"), "REQUEST_REJECTED", "risk"),
        (403, error("INVALID_REQUEST", "no privilege"), "INVALID_REQUEST", "no privilege"),
        (400, {"error": "invalid_request", "error_description": "no key"}, "invalid_request", "no key"),
    ],
)  # fmt: skip
def test_a_refusal_in_words(status, body, code, message, provider, platform, order):
    platform.says(status, body)
    assert provider.pay("mpgs_checkout", order) == Refused(code=code, message=message)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("SERVER_BUSY", "later")), (400, error("SERVER_FAILED", "?")), (400, error("SOMETHING_NEW")),
        (400, b""), (400, b"<html>"), (404, b"not here"), (401, b"who are you"), (403, b"firewall"),
        (409, {"error": None}),
        (429, error("INVALID_REQUEST", "too many")), (408, error("INVALID_REQUEST")), (500, error("INVALID_REQUEST")),
        (502, b""), (302, b""), (204, b""), (200, b""), (200, b"[]"), (200, b"{"), (200, b"NaN"), (200, b"[" * 99_999),
    ],
)  # fmt: skip
def test_what_decides_nothing_is_unknown(status, body, provider, platform, order):
    platform.says(status, body)
    with pytest.raises(UnknownOutcome):
        provider.pay("mpgs_checkout", order)


def test_a_broken_connection_is_unknown_and_none_at_all_is_not_sent(provider, make, platform, order, nobody):
    platform.says(200, CREATED, drop=True)
    with pytest.raises(UnknownOutcome):
        provider.pay("mpgs_checkout", order)
    with pytest.raises(NotSent):
        make(direct=True, base_url=nobody).pay("mpgs_checkout", order)


@pytest.mark.parametrize(
    "changes",
    [
        {"session": None}, {"session": {}}, {"session": {"id": 7}}, {"session": "SESSION1"}, {"successIndicator": ""},
        {"successIndicator": None}, {"successIndicator": 42}, {"merchant": "20230212"}, {"id": "another"},
        {"checkout_url": None}, {"checkout_url": "javascript:alert(1)"}, {"checkout_url": "/relative"},
    ],
)  # fmt: skip
def test_a_success_that_lacks_what_is_needed_is_unknown(changes, provider, platform, order):
    platform.says(200, CREATED | changes)
    with pytest.raises(UnknownOutcome):
        provider.pay("mpgs_checkout", order)
