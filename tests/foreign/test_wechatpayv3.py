"""PyPI `wechatpayv3`: fetches the platform certificate itself, or uses the public key."""

from __future__ import annotations

import itertools

import pytest

from tests.foreign.conftest import StartClient
from tests.foreign.conversation import Client, ForeignError
from tests.foreign.test_wechatpay_axios import serial_of
from tests.sandbox.running import Merchant, Running

NUMBERS = itertools.count(1)


@pytest.fixture(params=["wechat", "wechat_public"], ids=["platform certificate", "public key"])
def config(request: pytest.FixtureRequest, contracts: dict[str, dict[str, str]]) -> dict[str, str]:
    return contracts[request.param]


@pytest.fixture
def client(start: StartClient, sandbox: Running, merchant: Merchant, config: dict[str, str]) -> Client:
    return start("wechatpayv3", config=config | {
        "base_url": sandbox.url, "serial": serial_of(config), "notify_url": f"{merchant.url}/n",
    })  # fmt: skip


@pytest.fixture
def order_no() -> str:
    return f"V3{next(NUMBERS):010d}"


def test_creates_queries_and_closes(client: Client, order_no: str) -> None:
    created = client.ask("create", order_no=order_no, amount=1234)
    assert created["data"]["code_url"].startswith("weixin://")
    assert client.ask("query", order_no=order_no)["data"]["trade_state"] == "NOTPAY"
    assert client.ask("close", order_no=order_no) == {"status": 204, "data": None}
    assert client.ask("query", order_no=order_no)["data"]["trade_state"] == "CLOSED"


def test_its_asynchronous_client_creates_too(client: Client, order_no: str) -> None:
    assert client.ask("create_async", order_no=order_no, amount=1)["status"] == 200
    assert client.ask("query", order_no=order_no)["data"]["amount"]["total"] == 1


def test_its_invocation_signature_is_what_the_payers_phone_checks(
    client: Client, config: dict[str, str], order_no: str, sandbox: Running, merchant: Merchant
) -> None:
    created = client.ask("create", order_no=order_no, amount=5, pay_type="JSAPI", payer={"openid": "o-payer"})
    package = f"prepay_id={created['data']['prepay_id']}"
    signature = client.ask("sign", parts=[config["app_id"], "1700000000", "nonce", package])
    params = {"appId": config["app_id"], "timeStamp": "1700000000", "nonceStr": "nonce", "package": package,
              "signType": "RSA", "paySign": signature}  # fmt: skip
    wrong = {"type": "sdk", "params": params | {"nonceStr": "other"}}
    assert sandbox.control("POST", "/pay", {"attempt_no": order_no, "pay": wrong}).status == 400
    right = {"type": "sdk", "params": params}
    assert sandbox.control("POST", "/pay", {"attempt_no": order_no, "pay": right}).status == 200
    told = merchant.wait(1)[0]
    opened = client.ask("notice", headers=told.headers, body=told.body.decode())
    assert opened["event_type"] == "TRANSACTION.SUCCESS"
    assert opened["resource"]["payer"] == {"openid": "o-payer"}


def test_accepts_no_forged_notice(client: Client, order_no: str, sandbox: Running, merchant: Merchant) -> None:
    client.ask("create", order_no=order_no, amount=1234)
    sandbox.control("POST", "/pay", {"attempt_no": order_no, "notify": "forged"})
    told = merchant.wait(1)[0]
    assert client.ask("notice", headers=told.headers, body=told.body.decode()) is None


def test_refunds(client: Client, order_no: str, sandbox: Running, merchant: Merchant) -> None:
    client.ask("create", order_no=order_no, amount=1234)
    sandbox.control("POST", "/pay", {"attempt_no": order_no})
    merchant.wait(1)
    applied = client.ask("refund", order_no=order_no, refund_no=f"R{order_no}", amount=34, total=1234)
    assert applied["data"]["status"] == "PROCESSING"
    told = merchant.wait(2)[1]
    opened = client.ask("notice", headers=told.headers, body=told.body.decode())
    assert opened["event_type"] == "REFUND.SUCCESS"
    assert client.ask("refund_query", refund_no=f"R{order_no}")["data"]["status"] == "SUCCESS"


def test_refuses_an_answer_with_a_wrong_signature(client: Client, order_no: str, sandbox: Running) -> None:
    sandbox.control("POST", "/faults", {"channel": "wechat", "operation": "pay", "fault": "bad_signature"})
    with pytest.raises(ForeignError, match="verify"):
        client.ask("create", order_no=order_no, amount=1234)
