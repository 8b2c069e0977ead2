"""Orders at Alipay: creating, repeating, expiring, closing, refunding."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from sandbox.context import Settings
from tests.sandbox.clients import BEIJING, AlipayMerchant
from tests.sandbox.running import Merchant, Running


def paid(sandbox: Running, alipay: AlipayMerchant, order_no: str, fen: int = 1234, **biz: Any) -> None:
    assert alipay.precreate(order_no, fen, **biz)["code"] == "10000"
    assert sandbox.control("POST", "/pay", {"attempt_no": order_no}).status == 200


def status(alipay: AlipayMerchant, order_no: str) -> str:
    answer = alipay.call("alipay.trade.query", {"out_trade_no": order_no})
    return str(answer.get("trade_status") or answer["sub_code"])


@pytest.mark.parametrize(
    "biz",
    [
        {"total_amount": "0.001"}, {"total_amount": "0.00"}, {"total_amount": "-1.00"}, {"total_amount": "1,00"},
        {"subject": "a/b"}, {"subject": "a=b"}, {"subject": "a&b"}, {"subject": ""}, {"subject": "x" * 257},
        {"out_trade_no": "A|1"}, {"out_trade_no": "x" * 65}, {"out_trade_no": ""}, {"product_code": "QUICK_WAP_WAY"},
        {"time_expire": "2026-01-01T00:00:00+08:00"}, {"timeout_express": "1.5h"}, {"timeout_express": "16d"},
        {"body": "x" * 129},
    ],
)  # fmt: skip
def test_a_wrong_create_is_a_signed_business_refusal(alipay: AlipayMerchant, biz: dict[str, str]) -> None:
    answer = alipay.precreate("A1", **biz)
    assert (answer["code"], answer["sub_code"]) == ("40004", "ACQ.INVALID_PARAMETER")


def test_repeating_a_create(sandbox: Running, alipay: AlipayMerchant) -> None:
    first = alipay.precreate("A1")
    assert alipay.precreate("A1") == first
    assert alipay.precreate("A1", 1235)["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    sandbox.control("POST", "/pay", {"attempt_no": "A1"})
    assert alipay.precreate("A1")["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"
    alipay.precreate("A2")
    assert alipay.call("alipay.trade.close", {"out_trade_no": "A2"})["code"] == "10000"
    assert alipay.precreate("A2")["sub_code"] == "ACQ.TRADE_HAS_CLOSE"


def test_two_merchants_may_use_the_same_number(
    sandbox: Running, alipay: AlipayMerchant, contracts: dict[str, dict[str, str]]
) -> None:
    other = AlipayMerchant(sandbox, contracts["alipay_other"])
    assert alipay.precreate("SAME", 100)["qr_code"] != other.precreate("SAME", 200)["qr_code"]
    assert other.call("alipay.trade.query", {"out_trade_no": "SAME"})["total_amount"] == "2.00"
    trade_no = alipay.call("alipay.trade.query", {"out_trade_no": "SAME"})["trade_no"]
    assert other.call("alipay.trade.query", {"trade_no": trade_no})["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_expires_at_the_absolute_time_in_beijing(
    state: Path, contracts: dict[str, dict[str, str]]
) -> None:
    import time

    shift = [0.0]
    sandbox = Running(state, Settings(), clock=lambda: time.time() + shift[0])
    alipay = AlipayMerchant(sandbox, contracts["alipay"])
    try:
        expire = (datetime.now(BEIJING) + timedelta(seconds=120)).strftime("%Y-%m-%d %H:%M:%S")
        alipay.precreate("A1", time_expire=expire)
        past = (datetime.now(BEIJING) - timedelta(seconds=5)).strftime("%Y-%m-%d %H:%M:%S")
        assert alipay.precreate("A2", time_expire=past)["sub_code"] == "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR"
        shift[0] = 115
        assert status(alipay, "A1") == "WAIT_BUYER_PAY"
        shift[0] = 121
        assert status(alipay, "A1") == "TRADE_CLOSED"
        assert sandbox.control("POST", "/pay", {"attempt_no": "A1"}).status == 409
    finally:
        sandbox.stop()


def test_query_tells_what_was_paid_and_close_leaves_it(sandbox: Running, alipay: AlipayMerchant) -> None:
    paid(sandbox, alipay, "A1")
    answer = alipay.call("alipay.trade.query", {"out_trade_no": "A1"})
    assert answer["trade_status"] == "TRADE_SUCCESS"
    assert (answer["total_amount"], answer["receipt_amount"]) == ("12.34", "12.34")
    assert datetime.strptime(answer["send_pay_date"], "%Y-%m-%d %H:%M:%S")
    assert len(answer["trade_no"]) == 28
    assert alipay.call("alipay.trade.close", {"out_trade_no": "A1"})["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert status(alipay, "A1") == "TRADE_SUCCESS"
    assert alipay.call("alipay.trade.close", {"out_trade_no": "NONE"})["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_a_page_order_exists_only_once_it_is_scanned(
    sandbox: Running, alipay: AlipayMerchant, merchant: Merchant
) -> None:
    params = alipay.params("alipay.trade.page.pay", {
        "out_trade_no": "P1", "total_amount": "12.34", "subject": "物业费", "product_code": "FAST_INSTANT_TRADE_PAY",
    }, return_url="http://127.0.0.1:9/return?a=b")  # fmt: skip
    opened = sandbox.request("GET", f"/gateway.do?{urlencode(params)}")
    assert opened.status == 302
    assert status(alipay, "P1") == "ACQ.TRADE_NOT_EXIST"
    assert alipay.call("alipay.trade.close", {"out_trade_no": "P1"})["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    cashier = opened.headers["location"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert sandbox.request("POST", cashier, "action=scan", form).status == 200
    assert status(alipay, "P1") == "WAIT_BUYER_PAY"
    done = sandbox.request("POST", cashier, "action=pay", form)
    assert done.status == 303
    back = done.headers["location"]
    assert back.startswith("http://127.0.0.1:9/return?a=b&")
    fields = dict(parse_qsl(urlsplit(back).query))
    fields.pop("a")
    assert alipay.verifies(fields)
    assert "trade_status" not in fields
    assert fields["method"] == "alipay.trade.page.pay.return"
    assert alipay.notice(merchant.wait(1)[0])[0]["out_trade_no"] == "P1"


def test_a_page_with_a_wrong_signature_is_an_error_page(sandbox: Running, alipay: AlipayMerchant) -> None:
    params = alipay.params("alipay.trade.wap.pay", {"out_trade_no": "P1"}, sign="AAAA")
    answer = sandbox.request("GET", f"/gateway.do?{urlencode(params)}")
    assert answer.status == 200
    assert "isv.invalid-signature" in answer.text


def test_jsapi_needs_a_buyer_and_the_mini_program(sandbox: Running, alipay: AlipayMerchant) -> None:
    biz = {"out_trade_no": "J1", "total_amount": "1.00", "subject": "x", "product_code": "JSAPI_PAY"}
    buyer = {"buyer_id": "2088000000000009", "op_app_id": alipay.config["app_id"]}
    assert alipay.call("alipay.trade.create", biz)["sub_code"] == "ACQ.INVALID_PARAMETER"
    own = buyer | {"buyer_id": alipay.config["seller_id"]}
    assert alipay.call("alipay.trade.create", biz | own)["sub_code"] == "ACQ.BUYER_SELLER_EQUAL"
    made = alipay.call("alipay.trade.create", biz | buyer)
    pay = {"type": "sdk", "params": {"trade_no": made["trade_no"]}}
    assert sandbox.control("POST", "/pay", {"attempt_no": "J1", "pay": pay}).status == 200
    assert alipay.call("alipay.trade.query", {"out_trade_no": "J1"})["buyer_user_id"] == "2088000000000009"


def refund(alipay: AlipayMerchant, order_no: str, amount: str, number: str | None) -> dict[str, Any]:
    biz = {"out_trade_no": order_no, "refund_amount": amount, "refund_reason": "多收"}
    return alipay.call("alipay.trade.refund", biz | ({"out_request_no": number} if number else {}))


def refund_query(alipay: AlipayMerchant, order_no: str, number: str) -> dict[str, Any]:
    return alipay.call("alipay.trade.fastpay.refund.query", {"out_trade_no": order_no, "out_request_no": number})


def test_partial_refunds_up_to_the_amount(sandbox: Running, alipay: AlipayMerchant, merchant: Merchant) -> None:
    paid(sandbox, alipay, "A1")
    first = refund(alipay, "A1", "2.00", "R1")
    assert (first["fund_change"], first["refund_fee"]) == ("Y", "2.00")
    assert (refund(alipay, "A1", "2.00", "R1"))["fund_change"] == "N"
    assert refund(alipay, "A1", "3.00", "R1")["sub_code"] == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert refund(alipay, "A1", "10.35", "R2")["sub_code"] == "ACQ.REASON_TRADE_REFUND_FEE_ERR"
    assert refund(alipay, "A1", "1.00", None)["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    assert status(alipay, "A1") == "TRADE_SUCCESS"
    second = refund(alipay, "A1", "10.34", "R2")
    assert second["refund_fee"] == "12.34", "refund_fee is the sum so far"
    assert status(alipay, "A1") == "TRADE_CLOSED"
    assert "send_pay_date" in alipay.call("alipay.trade.query", {"out_trade_no": "A1"})
    fields = [alipay.notice(t) for t in merchant.wait(3)]
    assert all(genuine for _, genuine in fields)
    by_number = {f["out_biz_no"]: f for f, _ in fields if "out_biz_no" in f}
    assert by_number["R2"]["trade_status"] == "TRADE_CLOSED"
    assert set(by_number) == {"R1", "R2"}


def test_refund_query_answers_success_without_a_status_for_what_did_not_happen(
    sandbox: Running, alipay: AlipayMerchant
) -> None:
    paid(sandbox, alipay, "A1")
    refund(alipay, "A1", "2.00", "R1")
    found = refund_query(alipay, "A1", "R1")
    assert (found["refund_status"], found["refund_amount"]) == ("REFUND_SUCCESS", "2.00")
    missing = refund_query(alipay, "A1", "R9")
    assert missing["code"] == "10000"
    assert "refund_status" not in missing


def test_a_refund_of_what_was_not_paid(alipay: AlipayMerchant) -> None:
    alipay.precreate("A1")
    assert refund(alipay, "A1", "1.00", "R1")["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert refund(alipay, "NONE", "1.00", "R1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_cancel_gives_a_paid_order_back(sandbox: Running, alipay: AlipayMerchant) -> None:
    paid(sandbox, alipay, "A1")
    assert alipay.call("alipay.trade.cancel", {"out_trade_no": "A1"})["action"] == "refund"
    assert sandbox.control("GET", "/payments/A1").json["refunded_amount"] == 1234
    alipay.precreate("A2")
    assert alipay.call("alipay.trade.cancel", {"out_trade_no": "A2"})["action"] == "close"
    assert "action" not in alipay.call("alipay.trade.cancel", {"out_trade_no": "NONE"})


@pytest.fixture
def as_in_production(state: Path) -> Iterator[Running]:
    running = Running(state, Settings(qr_trade_on_scan=True))
    yield running
    running.stop()


def test_a_qr_order_may_exist_only_once_scanned(
    as_in_production: Running, contracts: dict[str, dict[str, str]]
) -> None:
    alipay = AlipayMerchant(as_in_production, contracts["alipay"])
    code = alipay.precreate("A1")["qr_code"]
    assert status(alipay, "A1") == "ACQ.TRADE_NOT_EXIST"
    assert as_in_production.control("GET", "/payments/A1").json["state"] == "unscanned"
    pay = {"type": "qrcode", "content": code}
    assert as_in_production.control("POST", "/pay", {"attempt_no": "A1", "pay": pay}).status == 200
    assert status(alipay, "A1") == "TRADE_SUCCESS"
