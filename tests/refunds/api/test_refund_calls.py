"""refund, refund/cancel and query/refund: the order of checks, each error row, answers as declared."""

from __future__ import annotations

from typing import Any

import pytest

from merchants.models import AppMerchant, Merchant
from refunds.api.query_refund import QueryRefund
from refunds.api.refund import RefundCall
from refunds.api.refund_cancel import RefundCancel
from refunds.models import Refund, RefundPolicy
from tests import factories
from tests.conftest import World
from tests.factories import HMAC_SECRET, fresh
from tests.fakes.declared import assert_as_declared
from tests.fakes.signing import Caller
from tests.refunds.paying import paid_twice, sweep
from trades.models import Trade
from trades.services import trade_pay

pytestmark = pytest.mark.usefixtures("policy")
KEYS = {
    "refund_no", "app_refund_no", "trade_no", "attempt_no", "app_order_no", "channel_refund_no", "amount", "currency",
    "reason", "type", "kind", "route", "source", "state", "requested_at", "approved_at", "finished_at", "failure",
    "version",
}  # fmt: skip


@pytest.fixture
def body(world: World, trade: Trade) -> dict[str, Any]:
    """A refund that is answered with 0."""
    return {
        "merchant_no": world.merchant.merchant_no, "trade_no": trade.trade_no, "app_refund_no": "R-1", "amount": 500,
        "reason": "搬走了",
    }  # fmt: skip


def outcome(response: Any) -> tuple[int, int]:
    return response.status_code, response.json()["errno"]


def data(response: Any) -> dict[str, Any]:
    assert response.json()["errno"] == 0, response.content
    return dict(response.json()["data"])


def test_the_answer_has_every_key_before_and_after(call: Caller, body: dict[str, Any], trade: Trade) -> None:
    asked = data(call("/v1/refund", body))
    assert set(asked) == KEYS
    assert_as_declared(RefundCall, asked)
    assert (asked["state"], asked["type"], asked["kind"], asked["route"], asked["source"]) == (
        "approved", "partial", "business", "original", "api",
    )  # fmt: skip
    sweep()
    found = data(call("/v1/query/refund", {"refund_no": asked["refund_no"]}))
    assert_as_declared(QueryRefund, found)
    assert (found["state"], found["version"] > asked["version"]) == ("succeeded", True)
    assert found == data(
        call("/v1/query/refund", {"app_refund_no": "R-1", "merchant_no": body["merchant_no"]})
    )
    after = data(call("/v1/query/trade", {"trade_no": trade.trade_no}))
    assert (after["refunded_amount"], after["refunding_amount"], after["refundable_amount"]) == (500, 0, 9500)


def test_the_same_number_again(call: Caller, body: dict[str, Any]) -> None:
    first = data(call("/v1/refund", body))
    assert data(call("/v1/refund", {**body, "reason": "another reason"})) == first
    assert outcome(call("/v1/refund", {**body, "amount": 501})) == (409, 40903)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 0}, "amount"), ({"amount": 1.0}, "amount"), ({"amount": "1"}, "amount"),
        ({"amount": True}, "amount"), ({"amount": 10**11 + 1}, "amount"),
        ({"reason": ""}, "reason"), ({"reason": "x" * 129}, "reason"),
        ({"app_refund_no": "é"}, "app_refund_no"), ({"app_refund_no": "x" * 65}, "app_refund_no"),
        ({"notify_url": "ftp://x"}, "notify_url"), ({"unknown": 1}, "unknown"), ({"attempt_no": "NOPE"}, "attempt_no"),
        ({"payment_no": "NOPE"}, "payment_no"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named(call: Caller, body: dict[str, Any], change: dict[str, Any], field: str) -> None:
    response = call("/v1/refund", {**body, **change})
    assert outcome(response) == (400, 40001)
    assert list(response.json()["data"]["errors"]) == [field]
    assert not Refund.objects.exists()


def test_another_apps_trade_looks_like_none(world: World, client: Any, body: dict[str, Any], trade: Trade) -> None:
    stranger = Caller(client, factories.make_app(world.merchant).app_id, HMAC_SECRET)
    assert outcome(stranger("/v1/refund", body)) == (404, 40401)
    assert outcome(stranger("/v1/refund", {**body, "trade_no": "P" + "0" * 27})) == (404, 40401)


def test_another_merchants_number_is_no_such_trade(call: Caller, world: World, body: dict[str, Any]) -> None:
    other = factories.make_merchant()
    AppMerchant.objects.create(app=world.app, merchant=other)
    assert outcome(call("/v1/refund", {**body, "merchant_no": other.merchant_no})) == (404, 40401)


def test_checks_come_in_the_contracts_order(call: Caller, world: World, body: dict[str, Any]) -> None:
    """40401, 40001, same number, 40904, 42201."""
    unpaid = trade_pay(app=world.app, order=world.order(amount=100), method="fake_qr").trade
    call("/v1/refund", body)
    wrong_everywhere = {**body, "trade_no": unpaid.trade_no, "attempt_no": "NOPE", "amount": 10**9}
    assert outcome(call("/v1/refund", {**wrong_everywhere, "trade_no": "P" + "0" * 27})) == (404, 40401)
    assert outcome(call("/v1/refund", wrong_everywhere)) == (400, 40001)
    del wrong_everywhere["attempt_no"]
    assert outcome(call("/v1/refund", wrong_everywhere)) == (409, 40903)
    wrong_everywhere["app_refund_no"] = "R-2"
    assert outcome(call("/v1/refund", wrong_everywhere)) == (409, 40904)
    too_much = call("/v1/refund", {**body, "app_refund_no": "R-2", "amount": 9501})
    assert outcome(too_much) == (422, 42201)
    assert too_much.json()["data"] == {"refundable": 9500}


def test_refunds_go_on_when_the_merchant_is_suspended(call: Caller, world: World, body: dict[str, Any]) -> None:
    Merchant.objects.filter(pk=world.merchant.pk).update(state="suspended")
    world.account.__class__.objects.update(state="suspended")
    asked = data(call("/v1/refund", body))
    sweep()
    assert data(call("/v1/query/refund", {"refund_no": asked["refund_no"]}))["state"] == "succeeded"


def test_cancel_only_what_nobody_decided(call: Caller, body: dict[str, Any], trade: Trade) -> None:
    waiting = data(call("/v1/refund", {**body, "amount": 2000}))
    cancelled = data(call("/v1/refund/cancel", {"refund_no": waiting["refund_no"]}))
    assert_as_declared(RefundCancel, cancelled)
    assert cancelled["state"] == "cancelled"
    assert fresh(trade).refundable_amount == 10_000
    automatic = data(call("/v1/refund", {**body, "app_refund_no": "R-2"}))
    assert outcome(call("/v1/refund/cancel", {"refund_no": automatic["refund_no"]})) == (409, 40904)
    assert outcome(call("/v1/refund/cancel", {"refund_no": "R" + "0" * 27})) == (404, 40401)


@pytest.mark.parametrize("path", ["/v1/refund/cancel", "/v1/query/refund"])
@pytest.mark.parametrize("given", [{}, {"refund_no": "R" * 20, "app_refund_no": "x"}, {"app_refund_no": "x"}])
def test_a_refund_is_named_in_one_way(call: Caller, path: str, given: dict[str, Any]) -> None:
    assert outcome(call(path, given)) == (400, 40001)


def test_an_abnormal_payment_by_its_attempt(call: Caller, world: World, body: dict[str, Any]) -> None:
    trade, abnormal = paid_twice(world, 700)
    number = abnormal.attempt.attempt_no
    asked = data(
        call("/v1/refund", {**body, "trade_no": trade.trade_no, "attempt_no": number, "amount": 700})
    )
    assert (asked["attempt_no"], asked["kind"], asked["type"]) == (number, "duplicate", "full")
    over = call("/v1/refund", {**body, "trade_no": trade.trade_no, "attempt_no": number, "app_refund_no": "R-2"})
    assert (outcome(over), over.json()["data"]) == ((422, 42201), {"refundable": 0})


def test_the_policys_ceiling_is_no_error(call: Caller, body: dict[str, Any]) -> None:
    RefundPolicy.objects.update(daily_ceiling=0)
    assert data(call("/v1/refund", body))["state"] == "pending_approval"
