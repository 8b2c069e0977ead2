"""Orders and refunds at WeChat Pay."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from sandbox.context import Settings
from tests.sandbox.clients import WeChatMerchant, rsa_sign
from tests.sandbox.running import Merchant, Running

TOO_SOON = (datetime.now(UTC) + timedelta(seconds=20)).isoformat(timespec="seconds")


def paid(sandbox: Running, wechat: WeChatMerchant, order_no: str, fen: int = 1234) -> None:
    assert wechat.native(order_no, fen).status == 200
    assert sandbox.control("POST", "/pay", {"attempt_no": order_no}).status == 200


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"appid": "wx0000000000000000"}, 400, "APPID_MCHID_NOT_MATCH"),
        ({"mchid": "1600000000"}, 400, "INVALID_REQUEST"),
        ({"out_trade_no": "short"}, 400, "PARAM_ERROR"),
        ({"out_trade_no": "x" * 33}, 400, "PARAM_ERROR"),
        ({"out_trade_no": "W/00001"}, 400, "PARAM_ERROR"),
        ({"amount": {"total": 0}}, 400, "PARAM_ERROR"),
        ({"amount": {"total": "1234"}}, 400, "PARAM_ERROR"),
        ({"amount": {"total": 12.5}}, 400, "PARAM_ERROR"),
        ({"amount": {"total": True}}, 400, "PARAM_ERROR"),
        ({"amount": {"total": 1, "currency": "USD"}}, 400, "PARAM_ERROR"),
        ({"notify_url": "http://x/n?a=b"}, 400, "PARAM_ERROR"),
        ({"notify_url": "ftp://x/n"}, 400, "PARAM_ERROR"),
        ({"description": "x" * 128}, 400, "PARAM_ERROR"),
        ({"time_expire": "2026-01-01 00:00:00"}, 400, "PARAM_ERROR"),
        ({"time_expire": TOO_SOON}, 400, "PARAM_ERROR"),
        ({"attach": "x" * 129}, 400, "PARAM_ERROR"),
    ],
)
def test_a_wrong_create_is_refused(wechat: WeChatMerchant, changed: dict[str, Any], status: int, code: str) -> None:
    answer = wechat.send("POST", "/v3/pay/transactions/native", wechat.order("W00001") | changed)
    assert (answer.status, answer.json["code"]) == (status, code)
    if code == "PARAM_ERROR":
        assert answer.json["detail"]["location"] == "body"


def test_half_a_character_is_refused_and_breaks_nothing(sandbox: Running, wechat: WeChatMerchant) -> None:
    body = json.dumps(wechat.order("W00001") | {"description": "\ud800"}).encode()
    headers = wechat.headers("POST", "/v3/pay/transactions/native", body)
    answer = sandbox.request("POST", "/v3/pay/transactions/native", body, headers)
    assert (answer.status, answer.json["code"]) == (400, "PARAM_ERROR")
    assert wechat.native("W00001").status == 200


def test_repeating_a_create(sandbox: Running, wechat: WeChatMerchant) -> None:
    first = wechat.native("W00001").json["code_url"]
    again = wechat.native("W00001").json["code_url"]
    assert again.startswith("weixin://wxpay/bizpayurl?pr=")
    assert again != first, "a repeat gets a new code"
    used = wechat.native("W00001", 1235)
    assert (used.status, used.json["code"]) == (403, "OUT_TRADE_NO_USED")
    wechat.close("W00001")
    closed = wechat.native("W00001")
    assert (closed.status, closed.json["code"]) == (400, "ORDER_CLOSED")


def test_query_before_and_after(sandbox: Running, wechat: WeChatMerchant) -> None:
    wechat.native("W00001", attach="附加")
    unpaid = wechat.query("W00001").json
    assert unpaid["trade_state"] == "NOTPAY"
    assert not {"transaction_id", "success_time", "payer", "trade_type"} & set(unpaid)
    sandbox.control("POST", "/pay", {"attempt_no": "W00001"})
    done = wechat.query("W00001").json
    assert (done["trade_state"], done["trade_type"], done["attach"]) == ("SUCCESS", "NATIVE", "附加")
    assert done["amount"] == {"currency": "CNY", "payer_currency": "CNY", "total": 1234, "payer_total": 1234}
    assert datetime.fromisoformat(done["success_time"]).utcoffset() == timedelta(hours=8)
    by_id = wechat.call("GET", f"/v3/pay/transactions/id/{done['transaction_id']}?mchid={wechat.config['mch_id']}")
    assert by_id.json == done


def test_close_is_repeatable_and_refused_once_paid(sandbox: Running, wechat: WeChatMerchant) -> None:
    wechat.native("W00001")
    assert [wechat.close("W00001").status for _ in range(2)] == [204, 204]
    assert wechat.query("W00001").json["trade_state"] == "CLOSED"
    assert wechat.close("NONE-1").json["code"] == "ORDER_NOT_EXIST"
    paid(sandbox, wechat, "W00002")
    refused = wechat.close("W00002")
    assert (refused.status, refused.json["code"]) == (403, "TRADE_ERROR")
    assert wechat.query("W00002").json["trade_state"] == "SUCCESS"


def test_expires_and_its_codes_die_before_it(state: Path, contracts: dict[str, dict[str, str]]) -> None:
    shift = [0.0]
    sandbox = Running(state, Settings(), clock=lambda: time.time() + shift[0])
    try:
        wechat = WeChatMerchant(sandbox, contracts["wechat"])
        wechat.fetch_certificates()
        scene = {"scene_info": {"payer_client_ip": "127.0.0.1", "h5_info": {"type": "Wap"}}}
        expire = (datetime.now(timezone(timedelta(hours=8))) + timedelta(seconds=400)).isoformat(timespec="seconds")
        order = wechat.order("W00001", time_expire=expire, **scene)
        url = wechat.call("POST", "/v3/pay/transactions/h5", order).json["h5_url"]
        assert sandbox.follow(url).status == 302
        shift[0] = 301  # the address lives five minutes; signatures five minutes too
        assert "已失效" in sandbox.follow(url).text
        assert sandbox.control("GET", "/payments/W00001").json["state"] == "unpaid"
        shift[0] = 401
        assert sandbox.control("GET", "/payments/W00001").json["state"] == "closed"
        assert sandbox.control("POST", "/pay", {"attempt_no": "W00001"}).status == 409
    finally:
        sandbox.stop()


def test_h5_comes_back_to_the_address_appended_to_it(sandbox: Running, wechat: WeChatMerchant) -> None:
    order = wechat.order("W00001", scene_info={"payer_client_ip": "127.0.0.1", "h5_info": {"type": "Wap"}})
    assert wechat.send("POST", "/v3/pay/transactions/h5", wechat.order("W00002")).status == 400
    url = wechat.call("POST", "/v3/pay/transactions/h5", order).json["h5_url"]
    opened = sandbox.follow(url + "&redirect_url=http%3A%2F%2F127.0.0.1%3A9%2Fback%3Fa%3Db")
    assert opened.status == 302
    done = sandbox.request("POST", opened.headers["location"], "action=pay",
                           {"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
    assert (done.status, done.headers["location"]) == (303, "http://127.0.0.1:9/back?a=b")


def app_params(wechat: WeChatMerchant, prepay_id: str) -> dict[str, str]:
    stamp = str(int(time.time()))
    text = f"{wechat.config['app_id']}\n{stamp}\nN0NCE\n{prepay_id}\n"
    return {
        "appid": wechat.config["app_id"], "partnerid": wechat.config["mch_id"], "prepayid": prepay_id,
        "package": "Sign=WXPay", "noncestr": "N0NCE", "timestamp": stamp,
        "sign": rsa_sign(wechat.config["merchant_private_key"], text.encode()),
    }  # fmt: skip


def test_the_payers_phone_checks_the_apps_parameters(sandbox: Running, wechat: WeChatMerchant) -> None:
    prepay_id = wechat.call("POST", "/v3/pay/transactions/app", wechat.order("W00001")).json["prepay_id"]
    params = app_params(wechat, prepay_id)
    for wrong in ({"noncestr": "other"}, {"partnerid": "1"}, {"timestamp": "1"}, {"prepayid": "wx0"}, {"sign": "AAAA"},
                  {"appid": "wx0000000000000000"}):  # fmt: skip
        pay = {"type": "sdk", "params": params | wrong}
        assert sandbox.control("POST", "/pay", {"attempt_no": "W00001", "pay": pay}).status == 400, wrong
    pay = {"type": "sdk", "params": params}
    assert sandbox.control("POST", "/pay", {"attempt_no": "W00001", "pay": pay}).status == 200
    assert wechat.query("W00001").json["trade_type"] == "APP"


def apply(wechat: WeChatMerchant, order_no: str, number: str, fen: int, total: int = 1234, **more: Any) -> Any:
    amount = {"refund": fen, "total": total, "currency": "CNY"}
    data = {"out_trade_no": order_no, "out_refund_no": number, "amount": amount}
    return wechat.call("POST", "/v3/refund/domestic/refunds", data | more)


def refund_state(wechat: WeChatMerchant, number: str) -> str:
    return str(wechat.call("GET", f"/v3/refund/domestic/refunds/{number}").json["status"])


def wait_for(wechat: WeChatMerchant, number: str, state: str) -> None:
    deadline = time.monotonic() + 5
    while refund_state(wechat, number) != state and time.monotonic() < deadline:
        time.sleep(0.02)
    assert refund_state(wechat, number) == state


def test_refunds_end_later_and_are_told(sandbox: Running, wechat: WeChatMerchant, merchant: Merchant) -> None:
    paid(sandbox, wechat, "W00001")
    merchant.wait(1)
    answer = apply(wechat, "W00001", "R1", 234, notify_url=f"{merchant.url}/refund")
    assert (answer.status, answer.json["status"]) == (200, "PROCESSING")
    assert wechat.query("W00001").json["trade_state"] == "REFUND", "from the first partial refund on"
    wait_for(wechat, "R1", "SUCCESS")
    told = merchant.wait(2)[1]
    plain, genuine = wechat.notice(told)
    assert genuine
    assert told.path == "/refund"
    assert (plain["out_refund_no"], plain["refund_status"], plain["amount"]["refund"]) == ("R1", "SUCCESS", 234)
    assert "status" not in plain


def test_a_refund_number_is_used_once(sandbox: Running, wechat: WeChatMerchant) -> None:
    paid(sandbox, wechat, "W00001")
    first = apply(wechat, "W00001", "R1", 234).json["refund_id"]
    assert apply(wechat, "W00001", "R1", 234).json["refund_id"] == first
    other = apply(wechat, "W00001", "R1", 235)
    assert (other.status, other.json["code"]) == (400, "INVALID_REQUEST")
    assert apply(wechat, "W00001", "R2", 1001).status == 400, "more than is left"
    assert apply(wechat, "W00001", "R2", 1000, total=1235).status == 400, "another total"
    for wrong in ({"reason": "水" * 27}, {"reason": 5}, {"notify_url": "https://example.com/?a=1"}):
        assert apply(wechat, "W00001", "R2", 1000, **wrong).json["code"] == "PARAM_ERROR"
    assert apply(wechat, "W00001", "R2", 1000, reason="水" * 26).status == 200
    wechat.native("W00002")
    unpaid = apply(wechat, "W00002", "R3", 1)
    assert (unpaid.status, unpaid.json["code"]) == (404, "RESOURCE_NOT_EXISTS")


def test_bills_hash_the_uncompressed_file(state: Path, contracts: dict[str, dict[str, str]]) -> None:
    import gzip

    sandbox = Running(state, Settings(same_day_bills=True))
    try:
        wechat = WeChatMerchant(sandbox, contracts["wechat"])
        wechat.fetch_certificates()
        day = datetime.now(timezone(timedelta(hours=8))).strftime("%Y-%m-%d")
        empty = wechat.call("GET", f"/v3/bill/tradebill?bill_date={day}&bill_type=ALL")
        assert (empty.status, empty.json["code"]) == (400, "NO_STATEMENT_EXIST")
        paid(sandbox, wechat, "W00001")
        for packed, unpack in (("", bytes), ("&tar_type=GZIP", gzip.decompress)):
            offer = wechat.call("GET", f"/v3/bill/tradebill?bill_date={day}&bill_type=ALL{packed}").json
            url = offer["download_url"].removeprefix(sandbox.url)
            assert sandbox.request("GET", url, headers={"User-Agent": "t", "Accept": "*/*"}).status == 401
            got = wechat.send("GET", url)
            assert "wechatpay-signature" not in got.headers
            content = unpack(got.body)
            assert hashlib.sha1(content).hexdigest() == offer["hash_value"]
            assert content.startswith(base64.b64decode("77u/"))
        fund = wechat.call("GET", f"/v3/bill/fundflowbill?bill_date={day}&account_type=BASIC").json
        assert "资金流水单号" in wechat.send("GET", fund["download_url"].removeprefix(sandbox.url)).text
    finally:
        sandbox.stop()


def test_todays_bill_is_not_ready(wechat: WeChatMerchant) -> None:
    today = datetime.now(timezone(timedelta(hours=8))).strftime("%Y-%m-%d")
    answer = wechat.call("GET", f"/v3/bill/tradebill?bill_date={today}")
    assert (answer.status, answer.json["code"]) == (400, "INVALID_REQUEST")
