"""`/control/refunds`: how a refund ends, and refunds that nobody asked for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.sandbox.clients import AlipayMerchant, WeChatMerchant
from tests.sandbox.running import Merchant, Running


@pytest.fixture
def paid(sandbox: Running, wechat: WeChatMerchant, alipay: AlipayMerchant, merchant: Merchant) -> None:
    """W00001 and A00001, paid and told."""
    wechat.native("W00001")
    alipay.precreate("A00001")
    for number in ("W00001", "A00001"):
        assert sandbox.control("POST", "/pay", {"attempt_no": number}).status == 200
    merchant.wait(2)


def apply(wechat: WeChatMerchant, merchant: Merchant, number: str, fen: int = 100) -> dict[str, Any]:
    return dict(wechat.call("POST", "/v3/refund/domestic/refunds", {
        "out_trade_no": "W00001", "out_refund_no": number, "notify_url": f"{merchant.url}/refund",
        "amount": {"refund": fen, "total": 1234, "currency": "CNY"},
    }).json)  # fmt: skip


def state(sandbox: Running, number: str) -> str:
    return str(sandbox.control("GET", f"/refunds/{number}").json["state"])


def told_refunds(wechat: WeChatMerchant, merchant: Merchant) -> list[tuple[str, str]]:
    found = [wechat.notice(t)[0] for t in merchant.told if t.path == "/refund"]
    return [(f["out_refund_no"], f["refund_status"]) for f in found]


def until(sandbox: Running, number: str, wanted: str) -> None:
    deadline = time.monotonic() + 5
    while state(sandbox, number) != wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    assert state(sandbox, number) == wanted


@pytest.mark.usefixtures("paid")
def test_success_is_the_default(sandbox: Running, wechat: WeChatMerchant, merchant: Merchant) -> None:
    assert apply(wechat, merchant, "R1")["status"] == "PROCESSING"
    until(sandbox, "R1", "success")
    shown = sandbox.control("GET", "/refunds/R1").json
    assert (shown["amount"], shown["attempt_no"], shown["calls"]) == (100, "W00001", {"refund": 1})
    merchant.wait(3)
    assert told_refunds(wechat, merchant) == [("R1", "SUCCESS")]


@pytest.mark.usefixtures("paid")
def test_an_outcome_said_before(sandbox: Running, wechat: WeChatMerchant, merchant: Merchant) -> None:
    assert sandbox.control("POST", "/refunds/R1", {"outcome": "fail"}).status == 200
    apply(wechat, merchant, "R1", 1234)
    until(sandbox, "R1", "fail")
    merchant.wait(3)
    assert told_refunds(wechat, merchant) == [("R1", "CLOSED")]
    assert apply(wechat, merchant, "R2", 1234)["status"] == "PROCESSING", "a failed refund frees its sum"


@pytest.mark.usefixtures("paid")
def test_pending_waits_until_told_otherwise(sandbox: Running, wechat: WeChatMerchant, merchant: Merchant) -> None:
    sandbox.control("POST", "/refunds/R1", {"outcome": "pending"})
    apply(wechat, merchant, "R1")
    time.sleep(0.6)  # three times the settling delay
    assert state(sandbox, "R1") == "pending"
    assert sandbox.control("POST", "/refunds/R1", {"outcome": "success"}).json["state"] == "success"
    merchant.wait(3)
    assert told_refunds(wechat, merchant) == [("R1", "SUCCESS")]
    late = sandbox.control("POST", "/refunds/R1", {"outcome": "fail"})
    assert (late.status, state(sandbox, "R1")) == (409, "success")


@pytest.mark.usefixtures("paid")
def test_alipay_refunds_at_once_unless_told_otherwise(sandbox: Running, alipay: AlipayMerchant) -> None:
    def refund(number: str) -> dict[str, Any]:
        biz = {"out_trade_no": "A00001", "refund_amount": "1.00", "out_request_no": number}
        return alipay.call("alipay.trade.refund", biz)

    assert refund("R1")["fund_change"] == "Y"
    sandbox.control("POST", "/refunds/R2", {"outcome": "fail"})
    assert refund("R2")["sub_code"] == "ACQ.TRADE_NOT_ALLOW_REFUND"
    assert sandbox.control("GET", "/refunds/R2").json["state"] == "none"
    sandbox.control("POST", "/refunds/R3", {"outcome": "pending"})
    assert refund("R3")["fund_change"] == "N"
    query = {"out_trade_no": "A00001", "out_request_no": "R3"}
    assert "refund_status" not in alipay.call("alipay.trade.fastpay.refund.query", query)
    sandbox.control("POST", "/refunds/R3", {"outcome": "success"})
    assert alipay.call("alipay.trade.fastpay.refund.query", query)["refund_status"] == "REFUND_SUCCESS"


@pytest.mark.usefixtures("paid")
def test_a_merchant_short_of_money_may_send_the_same_number_again(
    sandbox: Running, wechat: WeChatMerchant, alipay: AlipayMerchant, merchant: Merchant
) -> None:
    biz = {"out_trade_no": "A00001", "refund_amount": "1.00", "out_request_no": "R2"}
    for number in ("R1", "R2"):
        assert sandbox.control("POST", f"/refunds/{number}", {"outcome": "no_balance"}).status == 200
    assert apply(wechat, merchant, "R1")["code"] == "NOT_ENOUGH"
    assert alipay.call("alipay.trade.refund", biz)["sub_code"] == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    assert (state(sandbox, "R1"), state(sandbox, "R2")) == ("none", "none")

    for number in ("R1", "R2"):
        sandbox.control("POST", f"/refunds/{number}", {"outcome": "success"})
    assert apply(wechat, merchant, "R1")["status"] == "PROCESSING"
    assert alipay.call("alipay.trade.refund", biz)["fund_change"] == "Y"


@pytest.mark.usefixtures("paid")
def test_an_accepted_refund_can_still_fail_for_want_of_money(
    sandbox: Running, wechat: WeChatMerchant, merchant: Merchant
) -> None:
    sandbox.control("POST", "/refunds/R1", {"outcome": "pending"})
    apply(wechat, merchant, "R1")
    assert sandbox.control("POST", "/refunds/R1", {"outcome": "no_balance"}).json["state"] == "fail"
    merchant.wait(3)
    assert told_refunds(wechat, merchant) == [("R1", "CLOSED")]


@pytest.mark.usefixtures("paid")
def test_alipay_tells_nothing_of_a_refund_that_failed(
    sandbox: Running, alipay: AlipayMerchant, merchant: Merchant
) -> None:
    sandbox.control("POST", "/refunds/R1", {"outcome": "pending"})
    alipay.call("alipay.trade.refund", {"out_trade_no": "A00001", "refund_amount": "1.00", "out_request_no": "R1"})
    sandbox.control("POST", "/refunds/R1", {"outcome": "fail"})
    data = {"attempt_no": "A00001", "refund_no": "R1"}
    assert sandbox.control("POST", "/notify", data).status == 409
    time.sleep(0.3)
    assert len(merchant.told) == 2, "the two payments, nothing else"


@pytest.mark.usefixtures("paid")
def test_words_about_a_refund_true_and_false(sandbox: Running, wechat: WeChatMerchant, merchant: Merchant) -> None:
    apply(wechat, merchant, "R1")
    data = {"attempt_no": "W00001", "refund_no": "R1"}
    assert sandbox.control("POST", "/notify", data).status == 409, "it has not ended yet"
    until(sandbox, "R1", "success")
    merchant.wait(3)

    for kind, genuine, ours in (("normal", True, True), ("forged", False, True), ("other_merchant", True, False)):
        assert sandbox.control("POST", "/notify", data | {"notify": kind}).status == 200
        fields, signed = wechat.notice(merchant.told[-1])
        assert merchant.told[-1].path == "/refund"
        assert (fields["out_refund_no"], fields["refund_status"]) == ("R1", "SUCCESS")
        assert (signed, fields["mchid"] == wechat.config["mch_id"]) == (genuine, ours)
    assert sandbox.control("POST", "/notify", data | {"notify": "unsigned"}).status == 200
    assert "wechatpay-signature" not in merchant.told[-1].headers
    assert sandbox.control("POST", "/notify", data | {"notify": "wrong_amount"}).status == 400
    assert sandbox.control("POST", "/notify", data | {"refund_no": "R9"}).status == 404
    assert sandbox.control("POST", "/notify", {"attempt_no": "A00001", "refund_no": "R1"}).status == 404


@pytest.mark.usefixtures("paid")
def test_a_refund_from_the_channels_own_console(
    sandbox: Running, wechat: WeChatMerchant, alipay: AlipayMerchant, merchant: Merchant
) -> None:
    for number in ("W00001", "A00001"):
        answer = sandbox.control("POST", "/refunds", {"attempt_no": number, "amount": 234})
        assert (answer.status, answer.json["state"], answer.json["console"]) == (200, "success", True)
        assert sandbox.control("GET", f"/payments/{number}").json["refunded_amount"] == 234
    assert wechat.query("W00001").json["trade_state"] == "REFUND"
    # Alipay tells of it at the payment's address; WeChat Pay, never given a refund address, does not.
    merchant.wait(3)
    time.sleep(0.3)
    assert len(merchant.told) == 3
    fields, genuine = alipay.notice(merchant.told[2])
    assert (genuine, fields["refund_fee"], fields["trade_status"]) == (True, "2.34", "TRADE_SUCCESS")


@pytest.mark.usefixtures("paid")
def test_no_more_than_was_paid_and_only_what_was_paid(sandbox: Running, wechat: WeChatMerchant) -> None:
    assert sandbox.control("POST", "/refunds", {"attempt_no": "W00001", "amount": 1235}).status == 409
    wechat.native("W00002")
    assert sandbox.control("POST", "/refunds", {"attempt_no": "W00002", "amount": 1}).status == 409
    assert sandbox.control("POST", "/refunds", {"attempt_no": "NEVER1", "amount": 1}).status == 404
    assert sandbox.control("POST", "/refunds", {"attempt_no": "W00001", "amount": 0}).status == 400
    assert sandbox.control("POST", "/refunds/R1", {"outcome": "maybe"}).status == 400
    assert sandbox.control("GET", "/refunds/NEVER1").status == 404
