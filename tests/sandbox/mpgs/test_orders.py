"""Sessions and orders at both doors."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.mpgs.conftest import Shop
from tests.sandbox.running import Merchant, Running


def test_a_session_is_opened_and_no_order_exists_yet(shop: Shop) -> None:
    answer = shop.open(shop.checkout("A1"))
    assert (answer.status, answer.json["result"], answer.json["merchant"]) == (201, "SUCCESS", shop.merchant)
    assert answer.json["session"]["id"].startswith("SESSION000")
    assert answer.json["successIndicator"]
    if not shop.direct:
        assert answer.json["id"] == "A1"
        assert answer.json["checkout_url"].endswith(f"/checkout/pay/{answer.json['session']['id']}")
    found = shop.order("A1")
    assert (found.status, found.json["result"]) == (400, "ERROR")
    assert found.json["error"]["explanation"] == f"Unable to find order A1 for merchant {shop.merchant}"


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        ("order.currency", None, "MISSING"), ("order.amount", None, "MISSING"),
        ("order.id", None, "MISSING"), ("order", None, "MISSING"),
        ("interaction", None, "MISSING"), ("interaction.merchant", None, "MISSING"),
        ("order.description", None, "MISSING"),
        ("order.id", "x" * 41, "INVALID"), ("order.id", "a\tb", "INVALID"),
        ("order.description", "", "INVALID"), ("order.reference", "", "INVALID"),
        ("order.description", "物" * 128, "INVALID"), ("order.x", "1", "UNSUPPORTED"),
        ("order.amount", "12.345", "INVALID"), ("order.amount", "0.00", "INVALID"),
        ("order.amount", "-1", "INVALID"), ("order.amount", "1e2", "INVALID"),
        ("order.amount", True, "INVALID"), ("order.amount", "123456789012.34", "INVALID"),
        ("order.currency", "EUR", "INVALID"), ("interaction.timeout", 59, "INVALID"),
        ("interaction.timeout", 10801, "INVALID"), ("interaction.timeout", "600", "INVALID"),
        ("interaction.operation", "AUTHORIZE", "INVALID"),
        ("interaction.returnUrl", "/back", "INVALID"), ("extra", "1", "UNSUPPORTED"),
    ],
)  # fmt: skip
def test_what_a_request_must_say(path: str, value: Any, kind: str, shop: Shop) -> None:
    data = copy.deepcopy(shop.checkout("A1"))
    *parents, name = path.split(".")
    inner = data
    for parent in parents:
        inner = inner[parent]
    if value is None:
        del inner[name]
    else:
        inner[name] = value
    answer = shop.open(data)
    assert (answer.status, answer.json["result"]) == (400, "ERROR")
    assert (answer.json["error"]["field"], answer.json["error"]["validationType"]) == (path, kind)
    assert shop.pays("A1").status == 404, "nothing was opened"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"', b"[" * 100_000])
def test_what_is_no_request(body: bytes, shop: Shop) -> None:
    assert shop.call("POST", "/session" if shop.direct else "/payments", body).status == 400
    assert shop.open(shop.checkout("A1"), Content_Type="text/plain").status == 400


def test_the_operation_goes_with_the_version(direct: Shop) -> None:
    data = direct.checkout("A1")
    old = {**data, "apiOperation": "CREATE_CHECKOUT_SESSION"}
    assert direct.call("POST", "/session", data, version="63").status == 201
    assert direct.call("POST", "/session", old, version="62").status == 201
    for wrong, version in ((old, "63"), (data, "62"), ({**data, "apiOperation": "PAY"}, "72")):
        assert direct.call("POST", "/session", wrong, version=version).json["error"]["field"] == "apiOperation"
    del data["apiOperation"]
    assert direct.call("POST", "/session", data).json["error"]["validationType"] == "MISSING"


@pytest.mark.parametrize(
    ("amount", "currency", "number"),
    [("12.34", "CNY", "12.34"), (100.5, "USD", "100.5"), ("100.00", "USD", "100"), ("0.01", "CNY", "0.01"),
     ("500", "JPY", "500"), (7, "JPY", "7"), ("1.005", "KWD", "1.005"), ("1000000000.01", "USD", "1000000000.01")],
)  # fmt: skip
def test_a_paid_order_has_json_numbers(amount: Any, currency: str, number: str, shop: Shop) -> None:
    shop.open(shop.checkout("A1", amount, currency))
    assert shop.pays("A1").status == 200
    text = shop.order("A1").text
    assert f'"amount": {number}, ' in text
    assert f'"totalCapturedAmount": {number}, ' in text
    found = json.loads(text)
    assert (found["status"], found["result"], found["currency"]) == ("CAPTURED", "SUCCESS", currency)
    assert (found["id"], found["merchant"], found["totalRefundedAmount"]) == ("A1", shop.merchant, 0)
    assert found["creationTime"].endswith("Z")
    (transaction,) = found["transaction"]
    assert (transaction["transaction"]["type"], transaction["response"]["gatewayCode"]) == ("PAYMENT", "APPROVED")


def test_the_merchant_of_another_contract_sees_nothing(proxy: Shop, direct: Shop) -> None:
    proxy.open(proxy.checkout("A1"))
    proxy.pays("A1")
    assert direct.order("A1").status == 400
    assert proxy.order("A1").status == 200


def test_the_same_key_is_the_same_request(proxy: Shop) -> None:
    first = proxy.open(proxy.checkout("A1"), Idempotency_Key="k1")
    again = proxy.open(proxy.checkout("A1"), Idempotency_Key="k1")
    assert (first.json, first.status, again.status) == (again.json, 201, 200)
    other = proxy.open(proxy.checkout("A1", "99.00"), Idempotency_Key="k1")
    assert (other.status, other.json["error"]["cause"]) == (409, "INVALID_REQUEST")
    assert proxy.open(proxy.checkout("A1"), Idempotency_Key="k2").json["session"] != first.json["session"]


def test_a_refused_request_does_not_use_up_its_key(proxy: Shop) -> None:
    bad = proxy.checkout("A1", "0")
    assert proxy.open(bad, Idempotency_Key="k1").status == 400
    assert proxy.open(proxy.checkout("A1"), Idempotency_Key="k1").status == 201


def test_an_order_is_paid_once(shop: Shop) -> None:
    shop.open(shop.checkout("A1"))
    assert shop.pays("A1").status == 200
    assert shop.pays("A1").status == 409
    again = shop.open(shop.checkout("A1"))
    assert (again.status, again.json["error"]["cause"]) == (400, "REQUEST_REJECTED")
    assert shop.sandbox.control("GET", "/payments/A1").json["calls"] == {"pay": 2}


def test_two_webhooks_per_payment_and_none_where_asked(shop: Shop, merchant: Merchant) -> None:
    shop.open(shop.checkout("A1"))
    shop.pays("A1")
    told = {json.loads(t.body)["transaction"]["type"]: t for t in merchant.wait(2)}
    assert set(told) == {"AUTHENTICATION", "PAYMENT"}
    for one in told.values():
        assert one.headers["x-notification-secret"] == shop.config["webhook_secret"]
        assert one.headers["x-notification-id"]
    authentication = json.loads(told["AUTHENTICATION"].body)
    assert authentication["result"] == "SUCCESS", "and yet no money"
    assert authentication["order"]["totalCapturedAmount"] == 0
    shop.open(shop.checkout("A2"))
    shop.pays("A2", notify="none")
    assert len(shop.sandbox.control("GET", "/payments/A2").json["notifications"]) == 0


def test_fakes(shop: Shop, merchant: Merchant) -> None:
    shop.open(shop.checkout("A1"))

    def fake(kind: str) -> tuple[dict[str, Any], str | None]:
        before = len(merchant.told)
        answer = shop.sandbox.control("POST", "/notify", {"attempt_no": "A1", "notify": kind})
        assert answer.json["status"] == 200
        told = merchant.told[before]
        return json.loads(told.body), told.headers.get("x-notification-secret")

    secret = shop.config["webhook_secret"]
    assert fake("forged")[1] not in (None, secret)
    assert fake("unsigned")[1] is None
    assert fake("wrong_amount")[0]["order"]["totalCapturedAmount"] == 12.35
    assert fake("other_merchant")[0]["merchant"] != shop.merchant
    assert fake("other_order")[0]["order"]["id"] != "A1"
    body, shown = fake("normal")
    assert (body["order"]["status"], shown) == ("CAPTURED", secret)
    assert shop.order("A1").status == 400, "the book stays unpaid"


def test_it_survives_a_restart(sandbox: Running, shop: Shop) -> None:
    made = shop.open(shop.checkout("A1")).json
    sandbox.stop()
    again = Running(sandbox._state, sandbox._settings)
    try:
        shop.sandbox = again
        assert shop.pays("A1").status == 200, made
        assert shop.order("A1").json["status"] == "CAPTURED"
    finally:
        again.stop()
        sandbox.stop = lambda: None  # type: ignore[method-assign]


def test_its_answers_have_the_fields_of_recorded_ones(direct: Shop) -> None:
    folder = os.environ.get("PAYCENTER_VECTORS")
    if not folder:
        pytest.skip("PAYCENTER_VECTORS names no directory of recorded samples")

    def fields(name: str) -> dict[str, Any]:
        text = (Path(folder) / "mpgs" / name).read_text().replace("\r\n", "\n")
        return dict(json.loads(text.partition("\n\n")[2]))

    def shape(data: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
        """Names that differ in kind or are missing; card details and descriptions are the payer's."""
        extra = {"3dsAcsEci", "authenticationVersion", "invoiceNumber", "reference", "authenticationStatus"}
        numeric = (int, float)
        return [n for n, v in wanted.items() if n not in extra and not isinstance(
            data.get(n), numeric if isinstance(v, numeric) else type(v))]  # fmt: skip

    made = direct.open(direct.checkout("A1")).json
    assert shape(made, fields("PurchaseRequestSuccess.txt")) == []
    missing = direct.order("A1").json
    assert shape(missing, fields("CompletePurchaseRequestFailure.txt")) == []
    direct.pays("A1")
    assert shape(direct.order("A1").json, fields("CompletePurchaseRequestSuccess.txt")) == []
    bad = direct.checkout("A2")
    del bad["order"]["currency"]
    assert direct.open(bad).json == fields("PurchaseRequestFailure.txt")
