"""POST /v1/cashier/orders as an app sees it."""

from __future__ import annotations

from typing import Any

import pytest

from cashier.api.orders import CashierOrders
from cashier.models import CashierOrder
from tests import factories
from tests.fakes.declared import assert_as_declared
from tests.fakes.signing import Caller
from trades.models import Attempt, Trade

PATH = "/v1/cashier/orders"


@pytest.fixture
def order(world: Any) -> dict[str, Any]:
    return {
        "merchant_no": world.merchant.merchant_no, "app_order_no": "ORDER-1", "amount": 1234, "subject": "Property fee",
    }  # fmt: skip


def outcome(response: Any) -> tuple[int, int]:
    return response.status_code, response.json()["errno"]


def errors(response: Any) -> dict[str, list[str]]:
    assert outcome(response) == (400, 40001)
    return response.json()["data"]["errors"]


def test_the_answer_has_the_addresses_and_no_channel_is_called(
    call: Caller, order: dict[str, Any], world: Any, settings: Any
) -> None:
    settings.PUBLIC_BASE_URL = "https://pay.example"
    found = call(PATH, order)
    assert outcome(found) == (200, 0)
    data = found.json()["data"]
    assert_as_declared(CashierOrders, data)
    page = CashierOrder.objects.get()
    assert data["cashier_url"] == f"https://pay.example/c/{page.token}"
    assert data["qr_url"] == f"https://pay.example/q/{page.code}"
    assert (data["trade_no"], data["app_order_no"], data["state"]) == (page.trade.trade_no, "ORDER-1", "waiting")
    assert data["expire_at"]
    assert not world.book.calls
    assert not Attempt.objects.exists()


def test_the_same_order_again_gives_the_same_addresses(call: Caller, order: dict[str, Any]) -> None:
    assert call(PATH, order).json() == call(PATH, order).json()
    assert Trade.objects.count() == 1


def test_the_amount_may_change_while_unpaid(call: Caller, order: dict[str, Any]) -> None:
    first = call(PATH, order).json()["data"]
    second = call(PATH, {**order, "amount": 99}).json()["data"]
    assert second["cashier_url"] == first["cashier_url"]
    assert Trade.objects.get().amount == 99


def test_other_content_closed_and_foreign_as_in_gopay(call: Caller, order: dict[str, Any]) -> None:
    made = call(PATH, order).json()["data"]
    assert outcome(call(PATH, {**order, "subject": "x"})) == (409, 40903)
    call("/v1/close", {"trade_no": made["trade_no"]})
    assert outcome(call(PATH, order)) == (409, 40902)
    assert outcome(call(PATH, {**order, "merchant_no": "M404"})) == (403, 40302)


def test_a_paid_order(call: Caller, order: dict[str, Any], world: Any) -> None:
    from trades.querying import attempt_query

    made = call("/v1/gopay", {**order, "method": "fake_qr"}).json()["data"]
    world.book.pay(made["attempt_no"])
    attempt_query(attempt_id=Attempt.objects.get().pk, actor="test")
    assert outcome(call(PATH, order)) == (409, 40901)


@pytest.mark.parametrize("name", ["payment_no", "method", "contract_no"])
def test_what_only_gopay_takes_is_unknown_here(call: Caller, order: dict[str, Any], name: str) -> None:
    assert errors(call(PATH, {**order, name: "fake_qr"})) == {name: ["unknown field"]}


@pytest.mark.parametrize("name", ["merchant_no", "app_order_no", "amount", "subject"])
def test_what_is_required(call: Caller, order: dict[str, Any], name: str) -> None:
    del order[name]
    assert errors(call(PATH, order)) == {name: ["required"]}


def test_rows_for_the_payer_are_kept_in_order(call: Caller, order: dict[str, Any]) -> None:
    rows = [{"label": f"行{n}", "value": "业" * 128} for n in range(20)]
    assert outcome(call(PATH, {**order, "display": rows})) == (200, 0)
    assert CashierOrder.objects.get().display == rows


@pytest.mark.parametrize(
    ("display", "paths"),
    [
        ([{"label": "a", "value": "b"}] * 21, {"display"}),
        ({}, {"display"}),
        ("x", {"display"}),
        ([1], {"display.0"}),
        (
            [{"label": "a", "value": "b"}, {"label": "x" * 33, "value": "x" * 129}],
            {"display.1.label", "display.1.value"},
        ),
        ([{"label": ""}], {"display.0.label", "display.0.value"}),
        ([{"label": "a", "value": 5}], {"display.0.value"}),
        ([{"label": "a", "value": "b", "html": "<b>"}], {"display.0.html"}),
    ],
)
def test_wrong_rows_are_named(call: Caller, order: dict[str, Any], display: Any, paths: set[str]) -> None:
    assert set(errors(call(PATH, {**order, "display": display}))) == paths
    assert not Trade.objects.exists()


def test_an_inactive_merchant_gets_no_new_orders(call: Caller, order: dict[str, Any], world: Any) -> None:
    type(world.merchant).objects.update(state="suspended")
    assert outcome(call(PATH, order)) == (403, 40302)


def test_currency_without_any_method_is_still_an_order(call: Caller, order: dict[str, Any]) -> None:
    """Which methods can charge it is the page's business."""
    assert outcome(call(PATH, {**order, "currency": "JPY"})) == (200, 0)
    assert factories.fresh(Trade.objects.get()).currency == "JPY"
