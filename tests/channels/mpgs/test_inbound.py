"""What comes in: a webhook and a returning browser never decide anything."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from channels.base import InboundRequest, NoticeKind, ReturnNotice
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound
from tests.channels.mpgs.wire import MERCHANT, ORDER_NO, WEBHOOK_SECRET

INDICATOR = "4a0f35687c204nfb"


def webhook(data: Any = None, *, secret: str | None = WEBHOOK_SECRET, **more: Any) -> InboundRequest:
    if data is None:
        data = {"merchant": MERCHANT, "result": "SUCCESS", "order": {"id": ORDER_NO, "status": "CAPTURED", "amount": 1}}
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    headers = {"x-notification-id": "n-1", "x-notification-attempt": "1"}
    if secret is not None:
        headers["x-notification-secret"] = secret
    return InboundRequest(**({"method": "POST", "path": "/n", "headers": headers, "body": body} | more))


@pytest.mark.parametrize(
    ("result", "status"),
    [("SUCCESS", "CAPTURED"), ("SUCCESS", "AUTHENTICATED"), ("FAILURE", "FAILED"), ("SUCCESS", "REFUNDED"),
     (None, None)],
)  # fmt: skip
def test_a_webhook_is_a_hint_whatever_it_says(result, status, provider, platform):
    data = {"merchant": MERCHANT, "result": result, "order": {"id": ORDER_NO, "status": status}}
    notice = provider.parse_notify(webhook(data))
    assert (notice.kind, notice.order_no, notice.notice_id) == (NoticeKind.HINT, ORDER_NO, "n-1")
    assert (notice.state, notice.amount, notice.channel_trade_no) == (None, None, None)
    assert platform.asked == [], "nothing is asked because of what came in"
    assert provider.ack(notice).status == 200
    assert provider.nack("x").status == 500


@pytest.mark.parametrize(
    "secret", [None, "", "wrong", WEBHOOK_SECRET.lower(), WEBHOOK_SECRET[:-1], WEBHOOK_SECRET + "0", "ü"]
)
def test_a_wrong_secret_is_refused_before_anything_is_read(secret, provider):
    for body in (None, b"garbage"):
        with pytest.raises(BadSignature):
            provider.parse_notify(webhook(body, secret=secret))


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"{}", b'{"order":7}', b'{"order":{}}', b'{"order":{"id":7}}', b'{"order":{"id":""}}', b"\xff",
     b"[" * 99_999, b'{"order":{"id":NaN}}'],
)  # fmt: skip
def test_what_is_no_webhook_is_malformed(body, provider):
    with pytest.raises(MalformedInbound):
        provider.parse_notify(webhook(body))
    with pytest.raises(MalformedInbound):
        provider.parse_notify(webhook(method="GET"))


@pytest.mark.parametrize("merchant", ["20230212", None, 7])
def test_one_for_another_merchant_is_not_ours(merchant, provider):
    with pytest.raises(IdentityMismatch):
        provider.parse_notify(webhook({"merchant": merchant, "order": {"id": ORDER_NO}}))


def test_the_number_in_the_webhook_is_handed_on_to_be_compared(provider):
    notice = provider.parse_notify(webhook({"merchant": MERCHANT, "order": {"id": "ANOTHER"}}))
    assert notice.order_no == "ANOTHER"


# -- the browser


def back(provider: Any, order: Any, query: str, indicator: Any = INDICATOR) -> ReturnNotice:
    memo = {} if indicator is None else {"session_id": "S", "success_indicator": indicator}
    request = InboundRequest(method="GET", path="/return", query=query)
    return provider.parse_return(request, replace(order, memo=memo))


def test_the_right_indicator_verifies_and_nothing_more(provider, order, platform):
    notice = back(provider, order, f"resultIndicator={INDICATOR}&sessionVersion=f1d1ae3901")
    assert notice == ReturnNotice(verified=True, order_no=ORDER_NO)
    assert not hasattr(notice, "state"), "a return has no way to say paid"
    assert platform.asked == []


def test_replaying_it_is_harmless(provider, order):
    query = f"resultIndicator={INDICATOR}"
    assert back(provider, order, query) == back(provider, order, query)


@pytest.mark.parametrize(
    "query",
    ["resultIndicator=ffffffffffffffff", "resultIndicator=", "", "sessionVersion=1", f"resultIndicator={INDICATOR}0",
     f"resultIndicator={INDICATOR}&resultIndicator=x", f"resultIndicator={INDICATOR.upper()}", "resultIndicator=%C3%BC",
     f"resultindicator={INDICATOR}"],
)  # fmt: skip
def test_another_indicator_is_what_a_failed_payment_brings_and_no_forgery(query, provider, order):
    assert back(provider, order, query) == ReturnNotice(verified=False)


@pytest.mark.parametrize("stored", [None, "", 7])
def test_without_a_stored_indicator_nothing_is_ever_right(stored, provider, order):
    for query in ("resultIndicator=", "resultIndicator=7", "resultIndicator=None", ""):
        assert not back(provider, order, query, stored).verified


def test_a_return_that_names_another_order_says_so(provider, order):
    assert back(provider, order, f"resultIndicator={INDICATOR}&order=ANOTHER").order_no == "ANOTHER"
    assert back(provider, order, f"resultIndicator=x&order={ORDER_NO}").order_no == ORDER_NO


@pytest.mark.parametrize("query", ["resultIndicator=%ff", "&".join(["a=b"] * 60)])
def test_an_unreadable_query_is_malformed(query, provider, order):
    with pytest.raises(MalformedInbound):
        back(provider, order, query)
