"""npm `wechatpay-axios-plugin`: refuses any answer of 20x whose signature it cannot verify."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from cryptography import x509

from tests.foreign.conftest import StartClient
from tests.foreign.conversation import Client, ForeignError
from tests.sandbox.clients import WeChatMerchant
from tests.sandbox.running import Merchant, Running

NUMBERS = itertools.count(1)


def serial_of(config: dict[str, str]) -> str:
    return f"{x509.load_pem_x509_certificate(config['merchant_cert'].encode()).serial_number:X}"


@pytest.fixture(params=["wechat", "wechat_public"], ids=["platform certificate", "public key"])
def config(
    request: pytest.FixtureRequest, sandbox: Running, contracts: dict[str, dict[str, str]]
) -> dict[str, str]:
    """The contract, with the key that verifies as the client wants it: by serial."""
    made = contracts[request.param] | {"base_url": f"{sandbox.url}/"}
    ours = WeChatMerchant(sandbox, made)
    if request.param == "wechat":
        ours.fetch_certificates()
    ((serial, pem),) = ours.keys.items()
    return made | {"serial": serial_of(made), "serial_of_verifier": serial, "verifier": pem}


@pytest.fixture
def client(start: StartClient, config: dict[str, str]) -> Client:
    return start("wechatpay_axios", config=config)


@pytest.fixture
def order_no() -> str:
    return f"AXIOS{next(NUMBERS):010d}"


def order(config: dict[str, str], order_no: str, merchant: Merchant, **more: Any) -> dict[str, Any]:
    return {
        "appid": config["app_id"], "mchid": config["mch_id"], "description": "物业费", "out_trade_no": order_no,
        "notify_url": f"{merchant.url}/n", "amount": {"total": 1234, "currency": "CNY"},
    } | more  # fmt: skip


def test_creates_queries_and_closes(client: Client, config: dict[str, str], order_no: str, merchant: Merchant) -> None:
    created = client.ask("create", scene="native", order=order(config, order_no, merchant))
    assert created["data"]["code_url"].startswith("weixin://wxpay/bizpayurl?pr=")
    asked = {"orderNo": order_no, "mchid": config["mch_id"]}
    assert client.ask("query", **asked)["data"]["trade_state"] == "NOTPAY"
    assert client.ask("close", **asked)["status"] == 204
    assert client.ask("query", **asked)["data"]["trade_state"] == "CLOSED"
    again = client.ask("create", scene="native", order=order(config, order_no, merchant))
    assert (again["status"], again["data"]["code"]) == (400, "ORDER_CLOSED")


def test_opens_our_notice_and_no_forged_one(
    client: Client, config: dict[str, str], order_no: str, merchant: Merchant, sandbox: Running
) -> None:
    client.ask("create", scene="native", order=order(config, order_no, merchant))
    sandbox.control("POST", "/pay", {"attempt_no": order_no})
    told = merchant.wait(1)[0]
    plain = client.ask("notice", headers=told.headers, body=told.body.decode())
    assert (plain["out_trade_no"], plain["trade_state"], plain["amount"]["total"]) == (order_no, "SUCCESS", 1234)
    sandbox.control("POST", "/notify", {"attempt_no": order_no, "notify": "forged"})
    told = merchant.wait(2)[1]
    assert client.ask("notice", headers=told.headers, body=told.body.decode()) is None


def test_refunds(client: Client, config: dict[str, str], order_no: str, merchant: Merchant, sandbox: Running) -> None:
    client.ask("create", scene="native", order=order(config, order_no, merchant))
    sandbox.control("POST", "/pay", {"attempt_no": order_no})
    refund = {
        "out_trade_no": order_no, "out_refund_no": f"R{order_no}", "notify_url": f"{merchant.url}/refund",
        "amount": {"refund": 234, "total": 1234, "currency": "CNY"},
    }  # fmt: skip
    assert client.ask("refund", refund=refund)["data"]["status"] == "PROCESSING"
    told = merchant.wait(2)[1]
    plain = client.ask("notice", headers=told.headers, body=told.body.decode())
    assert (plain["out_refund_no"], plain["refund_status"]) == (f"R{order_no}", "SUCCESS")
    found = client.ask("refundQuery", refundNo=f"R{order_no}")
    assert (found["data"]["status"], found["data"]["amount"]["refund"]) == ("SUCCESS", 234)


@pytest.mark.parametrize(
    ("fault", "complaint"), [("bad_signature", "SIGNATURE_DIGEST"), ("no_signature", "HEADERS_INCOMPLATE")]
)
def test_refuses_an_answer_with_a_faulty_signature(
    client: Client, config: dict[str, str], order_no: str, merchant: Merchant, sandbox: Running, fault: str,
    complaint: str,
) -> None:  # fmt: skip
    sandbox.control("POST", "/faults", {"channel": "wechat", "operation": "pay", "fault": fault})
    with pytest.raises(ForeignError, match=complaint):
        client.ask("create", scene="native", order=order(config, order_no, merchant))
