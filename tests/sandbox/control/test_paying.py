"""`/control/pay` and `/control/notify`: the payer, the channel, and whoever forges."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.sandbox.clients import AlipayMerchant, WeChatMerchant
from tests.sandbox.running import Answer, Merchant, Running

Either = AlipayMerchant | WeChatMerchant


@pytest.fixture(params=["alipay", "wechat"])
def channel(request: pytest.FixtureRequest) -> Either:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def create(channel: Either, order_no: str, fen: int = 1234) -> dict[str, Any]:
    """The `pay` object a merchant would hand to its payer."""
    if isinstance(channel, AlipayMerchant):
        return {"type": "qrcode", "content": channel.precreate(order_no, fen)["qr_code"]}
    return {"type": "qrcode", "content": channel.native(order_no, fen).json["code_url"]}


def claims(channel: Either, told: Any) -> tuple[dict[str, Any], bool]:
    """A notification in one form: (order, amount in fen, merchant, app, currency), and its signature."""
    fields, genuine = channel.notice(told)
    if isinstance(channel, AlipayMerchant):
        whole, _, part = fields["total_amount"].partition(".")
        return {"order": fields["out_trade_no"], "amount": int(whole) * 100 + int(part), "app": fields["app_id"],
                "merchant": fields["seller_id"], "trade": fields["trade_no"]}, genuine  # fmt: skip
    return {"order": fields["out_trade_no"], "amount": fields["amount"]["total"], "app": fields["appid"],
            "merchant": fields["mchid"], "trade": fields["transaction_id"],
            "currency": fields["amount"]["currency"]}, genuine  # fmt: skip


def identity(channel: Either) -> tuple[str, str]:
    config = channel.config
    return (config.get("seller_id") or config["mch_id"], config["app_id"])


def pay(sandbox: Running, **data: Any) -> Answer:
    return sandbox.control("POST", "/pay", data)


def test_pays_by_name_and_with_the_pay_object(sandbox: Running, channel: Either, merchant: Merchant) -> None:
    create(channel, "PAY001")
    answer = pay(sandbox, attempt_no="PAY001")
    assert (answer.status, answer.json["state"], answer.json["amount"]) == (200, "paid", 1234)
    assert pay(sandbox, attempt_no="PAY002", pay=create(channel, "PAY002")).status == 200
    told = merchant.wait(2)
    assert {claims(channel, t)[0]["order"] for t in told} == {"PAY001", "PAY002"}
    assert all(claims(channel, t)[1] for t in told)


def test_404_for_what_no_channel_has_seen_409_for_closed_and_paid(sandbox: Running, channel: Either) -> None:
    assert pay(sandbox, attempt_no="NEVER1").status == 404
    create(channel, "PAY001")
    pay(sandbox, attempt_no="PAY001", notify="none")
    assert pay(sandbox, attempt_no="PAY001").status == 409
    create(channel, "PAY002")
    if isinstance(channel, AlipayMerchant):
        channel.call("alipay.trade.close", {"out_trade_no": "PAY002"})
    else:
        channel.close("PAY002")
    closed = pay(sandbox, attempt_no="PAY002")
    assert (closed.status, "closed" in closed.json["error"]) == (409, True)
    assert sandbox.control("GET", "/payments/PAY002").json["state"] == "closed"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "attempt_no"), ({"attempt_no": 7}, "attempt_no"), ({"attempt_no": "\ud800"}, "attempt_no"),
        ({"attempt_no": "PAY001", "amount": 0}, "amount"),
        ({"attempt_no": "PAY001", "amount": 1.5}, "amount"), ({"attempt_no": "PAY001", "notify": "x"}, "notify"),
        ({"attempt_no": "PAY001", "color": 1}, "color"), ({"attempt_no": "PAY001", "pay": "x"}, "pay"),
        ({"attempt_no": "PAY001", "pay": {"type": "none"}}, "pay"), ([], "object"), (None, "object"),
    ],
)  # fmt: skip
def test_bad_requests_are_json_with_a_reason(sandbox: Running, alipay: AlipayMerchant, data: Any, words: str) -> None:
    create(alipay, "PAY001")
    answer = sandbox.control("POST", "/pay", data)
    assert answer.status == 400
    assert words in answer.json["error"]
    assert sandbox.control("GET", "/payments/PAY001").json["state"] == "unpaid"


def test_broken_json_is_refused_too(sandbox: Running) -> None:
    answer = sandbox.request("POST", "/control/pay", b"{", {"Content-Type": "application/json"})
    assert (answer.status, answer.json) == (400, {"error": "the body is not JSON"})
    assert sandbox.control("GET", "/nonsense").status == 404
    assert "error" in sandbox.control("PUT", "/pay").json


def test_the_pay_object_must_be_of_that_attempt(sandbox: Running, channel: Either) -> None:
    create(channel, "PAY001")
    answer = pay(sandbox, attempt_no="PAY001", pay=create(channel, "PAY002"))
    assert (answer.status, "PAY002" in answer.json["error"]) == (400, True)
    assert sandbox.control("GET", "/payments/PAY002").json["state"] == "unpaid"


def test_amount_changes_what_is_really_paid(sandbox: Running, channel: Either, merchant: Merchant) -> None:
    create(channel, "PAY001")
    assert pay(sandbox, attempt_no="PAY001", amount=999).json["amount"] == 999
    assert claims(channel, merchant.wait(1)[0])[0]["amount"] == 999
    book = sandbox.control("GET", "/payments/PAY001").json
    assert (book["amount"], book["ordered_amount"]) == (999, 1234)


def test_none_stays_silent_and_twice_says_it_twice(sandbox: Running, channel: Either, merchant: Merchant) -> None:
    create(channel, "PAY001")
    pay(sandbox, attempt_no="PAY001", notify="none")
    create(channel, "PAY002")
    pay(sandbox, attempt_no="PAY002", notify="twice")
    told = merchant.wait(2)
    time.sleep(0.6)
    assert [claims(channel, t)[0]["order"] for t in told] == ["PAY002", "PAY002"]


@pytest.mark.parametrize("kind", ["forged", "unsigned", "wrong_amount", "other_merchant", "other_order"])
def test_a_fake_differs_from_the_truth_in_just_one_thing(
    sandbox: Running, channel: Either, merchant: Merchant, kind: str
) -> None:
    create(channel, "PAY001")
    pay(sandbox, attempt_no="PAY001", notify=kind)
    told = merchant.wait(1)[0]
    said, genuine = claims(channel, told)
    assert genuine is (kind not in ("forged", "unsigned"))
    assert (said["amount"] == 1234) is (kind != "wrong_amount")
    assert (said["order"] == "PAY001") is (kind != "other_order")
    assert ((said["merchant"], said["app"]) == identity(channel)) is (kind != "other_merchant")
    time.sleep(0.4)
    assert len(merchant.told) == 1, "a fake is sent once"
    assert sandbox.control("GET", "/payments/PAY001").json["amount"] == 1234


def test_other_order_is_a_real_paid_order_of_the_same_amount_where_there_is_one(
    sandbox: Running, channel: Either, merchant: Merchant
) -> None:
    for number, fen in (("PAY001", 1234), ("PAY002", 5)):
        create(channel, number, fen)
        pay(sandbox, attempt_no=number, notify="none")
    create(channel, "PAY003")
    answer = sandbox.control("POST", "/notify", {"attempt_no": "PAY003", "notify": "other_order"})
    assert answer.json == {"status": 200, "body": "success"}
    said, genuine = claims(channel, merchant.told[0])
    assert genuine
    assert (said["order"], said["amount"]) == ("PAY001", 1234)
    assert said["trade"] == sandbox.control("GET", "/payments/PAY001").json["channel_trade_no"]


def test_wrong_currency_where_the_notice_states_one(
    sandbox: Running, alipay: AlipayMerchant, wechat: WeChatMerchant, merchant: Merchant
) -> None:
    create(wechat, "PAY001")
    pay(sandbox, attempt_no="PAY001", notify="wrong_currency")
    assert claims(wechat, merchant.wait(1)[0])[0]["currency"] == "EUR"
    create(alipay, "PAY002")
    assert pay(sandbox, attempt_no="PAY002", notify="wrong_currency").status == 400
    assert sandbox.control("GET", "/payments/PAY002").json["state"] == "unpaid", "refused before the money moved"


def test_notify_about_an_unpaid_order_is_a_fake_and_answers_what_the_merchant_replied(
    sandbox: Running, channel: Either, merchant: Merchant
) -> None:
    create(channel, "PAY001")
    merchant.answer = (418, b"short and stout")
    answer = sandbox.control("POST", "/notify", {"attempt_no": "PAY001", "amount": 77})
    assert answer.json == {"status": 418, "body": "short and stout"}
    said, genuine = claims(channel, merchant.told[0])
    assert (genuine, said["amount"], said["order"]) == (True, 77, "PAY001")
    assert sandbox.control("GET", "/payments/PAY001").json["state"] == "unpaid"
    time.sleep(0.6)
    assert len(merchant.told) == 1, "no retries"
    assert sandbox.control("POST", "/notify", {"attempt_no": "NEVER1"}).status == 404
    assert sandbox.control("POST", "/notify", {"attempt_no": "PAY001", "notify": "none"}).status == 400


def test_notify_to_nobody_says_so(sandbox: Running, contracts: dict[str, dict[str, str]]) -> None:
    alipay = AlipayMerchant(sandbox, contracts["alipay"], "http://127.0.0.1:1/closed")
    create(alipay, "PAY001")
    answer = sandbox.control("POST", "/notify", {"attempt_no": "PAY001"}).json
    assert answer["status"] is None
    assert "Connect" in answer["error"]
    silent = AlipayMerchant(sandbox, contracts["alipay"])
    create(silent, "PAY002")
    assert sandbox.control("POST", "/notify", {"attempt_no": "PAY002"}).status == 409


def test_a_fake_of_an_unopened_page_opens_it_but_does_not_pay(
    sandbox: Running, alipay: AlipayMerchant, merchant: Merchant
) -> None:
    params = alipay.params("alipay.trade.page.pay", {
        "out_trade_no": "PAGE1", "total_amount": "12.34", "subject": "x", "product_code": "FAST_INSTANT_TRADE_PAY",
    })  # fmt: skip
    redirect = {"type": "redirect", "method": "GET", "url": f"{sandbox.url}/gateway.do?{urlencode(params)}"}
    assert pay(sandbox, attempt_no="PAGE1").status == 404
    assert sandbox.control("POST", "/notify", {"attempt_no": "PAGE1", "pay": redirect}).json["status"] == 200
    book = sandbox.control("GET", "/payments/PAGE1").json
    assert (book["state"], book["calls"]) == ("unpaid", {"pay": 1})
    form = {"type": "form", "method": "POST", "action": f"{sandbox.url}/gateway.do?charset=utf-8", "fields": params}
    assert pay(sandbox, attempt_no="PAGE1", pay=form).status == 200


def test_calls_are_counted_by_operation(sandbox: Running, channel: Either) -> None:
    create(channel, "PAY001")
    create(channel, "PAY001")
    if isinstance(channel, AlipayMerchant):
        channel.call("alipay.trade.query", {"out_trade_no": "PAY001"})
        channel.call("alipay.trade.query", {"out_trade_no": "ASKED1"})
        channel.call("alipay.trade.close", {"out_trade_no": "PAY001"})
    else:
        channel.query("PAY001")
        channel.query("ASKED1")
        channel.close("PAY001")
    assert sandbox.control("GET", "/payments/PAY001").json["calls"] == {"pay": 2, "query": 1, "close": 1}
    asked = sandbox.control("GET", "/payments/ASKED1").json
    assert (asked["state"], asked["calls"]) == ("none", {"query": 1})
    assert sandbox.control("GET", "/payments/NEVER1").status == 404
