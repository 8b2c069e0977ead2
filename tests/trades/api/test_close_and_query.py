"""close and query/trade: naming a trade, and what each answers."""

from __future__ import annotations

from typing import Any

import pytest

from paycenter.errors import UnknownOutcome
from tests import factories
from tests.factories import HMAC_SECRET
from tests.fakes.declared import assert_as_declared
from tests.fakes.signing import Caller, signed_post
from trades.api.close import Close
from trades.api.query_trade import QueryTrade
from trades.models import Attempt, Trade
from trades.querying import attempt_query

BOTH = pytest.mark.parametrize("path", ["/v1/close", "/v1/query/trade"])
KEYS = {
    "trade_no", "app_order_no", "business_no", "merchant_no", "app_id", "attempt_no", "channel_order_no",
    "channel_trade_no", "method", "channel", "funding", "amount", "currency", "scale", "paid_amount", "refunded_amount",
    "refunding_amount", "refundable_amount", "state", "subject", "attach", "detail", "created_at", "expire_at",
    "paid_at", "closed_at", "notify_state", "notified_at", "version",
}  # fmt: skip


def outcome(response: Any) -> tuple[int, int]:
    return response.status_code, response.json()["errno"]


@pytest.fixture
def made(call: Caller, order: dict[str, Any]) -> dict[str, Any]:
    """A payment under way, as gopay answered it."""
    return call("/v1/gopay", order).json()["data"]


def pay(world: Any, made: dict[str, Any]) -> None:
    world.book.pay(made["attempt_no"])
    attempt_query(attempt_id=Attempt.objects.get(attempt_no=made["attempt_no"]).pk, actor="test")


# ---- naming ------------------------------------------------------------------------------------
@BOTH
def test_by_our_number_or_by_the_apps(call: Caller, made: dict[str, Any], order: dict[str, Any], path: str) -> None:
    ours = call(path, {"trade_no": made["trade_no"]})
    theirs = call(path, {"app_order_no": order["app_order_no"], "merchant_no": order["merchant_no"]})
    assert outcome(ours) == outcome(theirs) == (200, 0)
    assert ours.json()["data"] == theirs.json()["data"]


@BOTH
@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"trade_no"}),
        ({"app_order_no": "A"}, {"merchant_no"}),
        ({"merchant_no": "M"}, {"app_order_no"}),
        ({"trade_no": "T", "app_order_no": "A", "merchant_no": "M"}, {"app_order_no", "merchant_no"}),
        ({"trade_no": "T", "merchant_no": "M"}, {"merchant_no"}),
        ({"trade_no": 1}, {"trade_no"}),
        ({"trade_no": None}, {"trade_no"}),
        ({"trade_no": ""}, {"trade_no"}),
        ({"trade_no": "x" * 65}, {"trade_no"}),
    ],
)
def test_one_of_the_two_ways(call: Caller, path: str, body: dict[str, Any], fields: set[str]) -> None:
    found = call(path, body)
    assert outcome(found) == (400, 40001)
    assert set(found.json()["data"]["errors"]) == fields


@BOTH
def test_another_apps_trade_looks_exactly_like_none(call: Caller, made: dict[str, Any], world: Any, path: str) -> None:
    stranger = factories.make_app(world.merchant)
    bodies = [
        {"trade_no": made["trade_no"]},
        {"app_order_no": "ORDER-1", "merchant_no": world.merchant.merchant_no},
        {"trade_no": "P20991231000000000000ABCDEFG"},
        {"trade_no": "订单"},
        {"app_order_no": "ORDER-1", "merchant_no": "M404"},
    ]
    answers = [signed_post(call.client, path, body, stranger.app_id, HMAC_SECRET) for body in bodies]
    assert {outcome(a) for a in answers} == {(404, 40401)}
    assert len({a.content for a in answers}) == 1
    assert Trade.objects.get().state == "paying"


@BOTH
def test_an_inactive_merchant_or_account_stops_neither(
    call: Caller, made: dict[str, Any], world: Any, path: str
) -> None:
    type(world.merchant).objects.update(state="suspended")
    type(world.account).objects.update(state="suspended")
    assert outcome(call(path, {"trade_no": made["trade_no"]})) == (200, 0)


# ---- query/trade -------------------------------------------------------------------------------
def test_every_listed_key_is_always_there(call: Caller, made: dict[str, Any], world: Any) -> None:
    waiting = factories.trade_open(app=world.app, order=world.order())
    for number, state in ((waiting.trade_no, "waiting"), (made["trade_no"], "paying")):
        data = call("/v1/query/trade", {"trade_no": number}).json()["data"]
        assert set(data) == KEYS
        assert_as_declared(QueryTrade, data)
        assert data["state"] == state
    pay(world, made)
    data = call("/v1/query/trade", {"trade_no": made["trade_no"]}).json()["data"]
    assert_as_declared(QueryTrade, data)
    assert (data["state"], data["paid_amount"], data["refundable_amount"]) == ("paid", 1234, 1234)
    assert data["attempt_no"] == made["attempt_no"]
    assert data["channel_trade_no"]
    assert data["paid_at"]


def test_amounts_are_never_null(call: Caller, world: Any) -> None:
    waiting = factories.trade_open(app=world.app, order=world.order())
    data = call("/v1/query/trade", {"trade_no": waiting.trade_no}).json()["data"]
    amounts = {k: v for k, v in data.items() if k.endswith("amount")}
    assert amounts == {
        "amount": 1234, "paid_amount": 0, "refunded_amount": 0, "refunding_amount": 0, "refundable_amount": 0,
    }  # fmt: skip
    assert data["attempt_no"] is data["channel_order_no"] is data["method"] is data["channel"] is None


def test_the_version_grows_with_every_change(call: Caller, made: dict[str, Any], world: Any) -> None:
    def version() -> int:
        return int(call("/v1/query/trade", {"trade_no": made["trade_no"]}).json()["data"]["version"])

    before = version()
    assert version() == before
    pay(world, made)
    assert version() > before


def test_query_asks_no_channel(call: Caller, made: dict[str, Any], world: Any) -> None:
    before = dict(world.book.calls)
    call("/v1/query/trade", {"trade_no": made["trade_no"]})
    assert dict(world.book.calls) == before


# ---- close -------------------------------------------------------------------------------------
def test_close_answers_the_closed_trade_and_closes_at_the_channel(
    call: Caller, made: dict[str, Any], world: Any
) -> None:
    found = call("/v1/close", {"trade_no": made["trade_no"]})
    assert outcome(found) == (200, 0)
    data = found.json()["data"]
    assert_as_declared(Close, data)
    assert set(data) == KEYS
    assert data["state"] == "closed"
    assert data["closed_at"]
    assert world.book.payments[made["attempt_no"]].state == "closed"


def test_closing_twice_is_done(call: Caller, made: dict[str, Any]) -> None:
    first = call("/v1/close", {"trade_no": made["trade_no"]})
    again = call("/v1/close", {"trade_no": made["trade_no"]})
    assert outcome(again) == (200, 0)
    assert again.json()["data"] == first.json()["data"]


def test_a_paid_trade_is_not_closed(call: Caller, made: dict[str, Any], world: Any) -> None:
    pay(world, made)
    assert outcome(call("/v1/close", {"trade_no": made["trade_no"]})) == (409, 40901)


def test_a_payment_that_nobody_told_us_of_wins_over_the_close(call: Caller, made: dict[str, Any], world: Any) -> None:
    world.book.pay(made["attempt_no"])
    assert outcome(call("/v1/close", {"trade_no": made["trade_no"]})) == (409, 40901)
    assert Trade.objects.get().state == "paid"


def test_a_silent_channel_leaves_the_state_and_is_finished_later(
    call: Caller, made: dict[str, Any], world: Any
) -> None:
    world.book.fault("query", *[UnknownOutcome("no answer")] * 3)
    found = call("/v1/close", {"trade_no": made["trade_no"]})
    assert outcome(found) == (200, 0)
    assert found.json()["data"]["state"] == "paying"
    assert Attempt.objects.get().next_close_at is not None
