"""Refund, void and statement."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.sandbox.mpgs.conftest import Shop
from tests.sandbox.running import Merchant

TODAY = datetime.now(timezone(timedelta(hours=8))).strftime("%Y-%m-%d")


@pytest.fixture
def paid(shop: Shop) -> Shop:
    shop.open(shop.checkout("A1"))
    assert shop.pays("A1", notify="none").status == 200
    return shop


def test_partial_refunds_until_nothing_is_left(paid: Shop, merchant: Merchant) -> None:
    first = paid.refund("A1", "R1", "2.34")
    assert (first.status, first.json["result"], first.json["response"]["gatewayCode"]) == (200, "SUCCESS", "APPROVED")
    assert (first.json["order"]["status"], first.json["order"]["totalRefundedAmount"]) == ("PARTIALLY_REFUNDED", 2.34)
    assert (first.json["transaction"]["type"], first.json["transaction"]["id"]) == ("REFUND", "R1")
    assert paid.refund("A1", "R2", "10.01").json["error"]["cause"] == "REQUEST_REJECTED"
    assert paid.refund("A1", "R3", "10.00").json["order"]["status"] == "REFUNDED"
    assert paid.order("A1").json["totalCapturedAmount"] == 12.34, "what was captured stays"
    assert [t["transaction"]["type"] for t in paid.order("A1").json["transaction"]] == ["PAYMENT", "REFUND", "REFUND"]
    assert json.loads(merchant.wait(2)[0].body)["transaction"]["type"] == "REFUND"


def test_the_transaction_id_is_the_idempotency_key(paid: Shop) -> None:
    first, again = paid.refund("A1", "R1", "2.34"), paid.refund("A1", "R1", "2.34")
    assert first.json["transaction"] == again.json["transaction"]
    assert paid.order("A1").json["totalRefundedAmount"] == 2.34
    assert paid.refund("A1", "R1", "2.35").status == 400
    assert paid.call("GET", paid.refund_path("A1", "R1")).json["transaction"]["amount"] == 2.34
    unknown = paid.call("GET", paid.refund_path("A1", "R9"))
    assert (unknown.status, "Unable to find transaction R9" in unknown.text) == (400, True)
    assert paid.sandbox.control("GET", "/refunds/R1").json["calls"] == {"refund": 3, "query_refund": 1}


@pytest.mark.parametrize(
    ("outcome", "result", "code"), [("fail", "FAILURE", "DECLINED"), ("pending", "PENDING", "TIMED_OUT")]
)
def test_how_it_ends_can_be_said_beforehand(outcome: str, result: str, code: str, paid: Shop) -> None:
    paid.sandbox.control("POST", "/refunds/R1", {"outcome": outcome})
    answer = paid.refund("A1", "R1", "2.34").json
    assert (answer["result"], answer["response"]["gatewayCode"]) == (result, code)
    assert paid.order("A1").json["totalRefundedAmount"] == 0
    if outcome == "pending":
        paid.sandbox.control("POST", "/refunds/R1", {"outcome": "success"})
        assert paid.call("GET", paid.refund_path("A1", "R1")).json["result"] == "SUCCESS"


def test_a_lost_answer_was_a_refund_all_the_same(paid: Shop) -> None:
    paid.sandbox.control("POST", "/faults", {"channel": "mpgs", "operation": "refund", "fault": "lost_reply"})
    with pytest.raises(ConnectionError):
        paid.refund("A1", "R1", "2.34")
    assert paid.call("GET", paid.refund_path("A1", "R1")).json["result"] == "SUCCESS"
    assert paid.refund("A1", "R1", "2.34").json["order"]["totalRefundedAmount"] == 2.34


@pytest.mark.parametrize(
    ("amount", "currency"), [("0", "CNY"), ("1.234", "CNY"), ("1.00", "USD"), ("-1", "CNY"), ("", "CNY")]
)
def test_refunds_that_are_refused(amount: str, currency: str, paid: Shop) -> None:
    assert paid.refund("A1", "R1", amount, currency).status == 400
    assert paid.refund("A1", "1", "1.00").status == 400, "the payment's own transaction"
    assert paid.refund("NONE", "R1", "1.00").status == 400
    assert paid.order("A1").json["totalRefundedAmount"] == 0


def test_void_gives_everything_back_before_settlement(paid: Shop) -> None:
    def void(target: str, refund_no: str = "V1") -> Any:
        data = {"apiOperation": "VOID", "transaction": {"targetTransactionId": target}}
        return paid.call("PUT", paid.refund_path("A1", refund_no), data)

    assert void("7").status == 400
    assert void("1").json["order"]["status"] == "CANCELLED"
    assert void("1").json["transaction"]["type"] == "VOID_PAYMENT"
    assert void("1", "V2").json["error"]["cause"] == "REQUEST_REJECTED"
    assert paid.refund("A1", "R1", "1.00").status == 400


def test_a_void_that_ends_later_is_a_void_then(paid: Shop) -> None:
    paid.sandbox.control("POST", "/refunds/V1", {"outcome": "pending"})
    data = {"apiOperation": "VOID", "transaction": {"targetTransactionId": "1"}}
    answer = paid.call("PUT", paid.refund_path("A1", "V1"), data).json
    assert (answer["result"], answer["order"]["status"]) == ("PENDING", "CAPTURED")
    paid.sandbox.control("POST", "/refunds/V1", {"outcome": "success"})
    order = paid.order("A1").json
    assert (order["status"], order["totalCapturedAmount"], order["totalRefundedAmount"]) == ("CANCELLED", 0, 0)
    assert [t["transaction"]["type"] for t in order["transaction"]] == ["PAYMENT", "VOID_PAYMENT"]


def test_mpgs_itself_wants_the_operation(direct: Shop) -> None:
    direct.open(direct.checkout("A1"))
    direct.pays("A1", notify="none")
    answer = direct.call("PUT", direct.refund_path("A1", "R1"), {"transaction": {"amount": "1.00", "currency": "CNY"}})
    assert answer.json["error"]["field"] == "apiOperation"


def test_the_statement(proxy: Shop) -> None:
    for number, amount, currency in (("A1", "12.34", "CNY"), ("A2", "1.005", "KWD"), ("A3", "500", "JPY")):
        proxy.open(proxy.checkout(number, amount, currency))
        proxy.pays(number, notify="none")
    proxy.refund("A2", "R1", "0.005", "KWD")
    early = proxy.call("GET", f"/reports/transactions?date={TODAY}")
    assert (early.status, early.json["error"]["field"]) == (400, "date")
    assert proxy.call("GET", "/reports/transactions?date=yesterday").status == 400
    assert proxy.call("GET", "/reports/transactions").status == 400
    answer = proxy.sandbox.control("GET", f"/bill/{proxy.merchant}/{TODAY}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(r["order_id"], r["transaction_id"], r["type"], r["amount"], r["currency"]) for r in rows] == [
        ("A1", "1", "PAYMENT", "12.34", "CNY"), ("A2", "1", "PAYMENT", "1.005", "KWD"),
        ("A3", "1", "PAYMENT", "500", "JPY"), ("A2", "R1", "REFUND", "0.005", "KWD"),
    ]  # fmt: skip
    assert [(r["fee"], r["net"]) for r in rows[:3]] == [("0.07", "12.27"), ("0.006", "0.999"), ("3", "497")]
    assert all(r["created_at"].endswith("Z") for r in rows)


def test_the_statement_of_a_past_day_is_downloaded(proxy: Shop) -> None:
    # Two days ago: yesterday's is published only later in the morning.
    past = (datetime.fromisoformat(TODAY) - timedelta(days=2)).strftime("%Y-%m-%d")
    answer = proxy.call("GET", f"/reports/transactions?date={past}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    head = "order_id,transaction_id,type,amount,currency,fee,net,status,settlement_date,created_at"
    assert answer.text.startswith(head)
    assert proxy.call("GET", f"/reports/transactions?date={past}", Authorization="Bearer x").status == 401
