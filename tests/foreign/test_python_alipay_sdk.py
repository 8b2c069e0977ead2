"""PyPI `python-alipay-sdk`: sends everything in the query of a GET."""

from __future__ import annotations

import itertools
from urllib.parse import parse_qsl

import pytest

from tests.foreign.conftest import StartClient
from tests.foreign.conversation import Client, ForeignError
from tests.sandbox.running import Merchant, Running

NUMBERS = itertools.count(1)


@pytest.fixture(params=["alipay", "alipay_cert"], ids=["key mode", "certificate mode"])
def sdk(
    request: pytest.FixtureRequest, start: StartClient, sandbox: Running, merchant: Merchant,
    contracts: dict[str, dict[str, str]],
) -> Client:  # fmt: skip
    return start("python_alipay_sdk", config=contracts[request.param] | {
        "gateway_url": f"{sandbox.url}/gateway.do", "notify_url": f"{merchant.url}/n",
    })  # fmt: skip


@pytest.fixture
def order_no() -> str:
    return f"PY{next(NUMBERS):010d}"


def test_creates_queries_and_closes(sdk: Client, order_no: str) -> None:
    assert sdk.ask("create", order_no=order_no, amount="12.34")["code"] == "10000"
    assert sdk.ask("query", order_no=order_no)["trade_status"] == "WAIT_BUYER_PAY"
    assert sdk.ask("close", order_no=order_no)["code"] == "10000"
    assert sdk.ask("query", order_no=order_no)["trade_status"] == "TRADE_CLOSED"


def test_a_business_refusal_is_signed_and_says_why(sdk: Client) -> None:
    answer = sdk.ask("query", order_no="NEVER-HEARD-OF")
    assert (answer["code"], answer["sub_code"]) == ("40004", "ACQ.TRADE_NOT_EXIST")


def test_accepts_our_notice_and_no_forged_one(sdk: Client, order_no: str, sandbox: Running, merchant: Merchant) -> None:
    sdk.ask("create", order_no=order_no, amount="12.34")
    sandbox.control("POST", "/pay", {"attempt_no": order_no})
    genuine = dict(parse_qsl(merchant.wait(1)[0].body.decode(), keep_blank_values=True))
    assert sdk.ask("notice", fields=genuine) is True
    sandbox.control("POST", "/notify", {"attempt_no": order_no, "notify": "forged"})
    forged = dict(parse_qsl(merchant.wait(2)[1].body.decode(), keep_blank_values=True))
    assert sdk.ask("notice", fields=forged) is False


def test_its_wap_page_is_paid(sdk: Client, order_no: str, sandbox: Running) -> None:
    query = sdk.ask("wap", order_no=order_no, amount="12.34", return_url="http://127.0.0.1:9/return")
    pay = {"type": "redirect", "url": f"{sandbox.url}/gateway.do?{query}"}
    assert sandbox.control("POST", "/pay", {"attempt_no": order_no, "pay": pay}).status == 200
    assert sdk.ask("query", order_no=order_no)["trade_status"] == "TRADE_SUCCESS"


def test_refuses_an_answer_with_a_wrong_signature(sdk: Client, order_no: str, sandbox: Running) -> None:
    sandbox.control("POST", "/faults", {"channel": "alipay", "operation": "pay", "fault": "bad_signature"})
    with pytest.raises(ForeignError, match="AliPayValidationError"):
        sdk.ask("create", order_no=order_no, amount="12.34")
