"""npm `alipay-sdk`: signs its own way, verifies our answers (`validateSign`) and notices."""

from __future__ import annotations

import html
import itertools
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.foreign.conftest import StartClient
from tests.foreign.conversation import Client, ForeignError
from tests.sandbox.running import Merchant, Running

NUMBERS = itertools.count(1)


@pytest.fixture(params=["alipay", "alipay_cert"], ids=["key mode", "certificate mode"])
def sdk(
    request: pytest.FixtureRequest, start: StartClient, sandbox: Running, contracts: dict[str, dict[str, str]]
) -> Client:
    return start("alipay_sdk", config=contracts[request.param] | {"gateway_url": f"{sandbox.url}/gateway.do"})


@pytest.fixture
def order_no() -> str:
    return f"SDK{next(NUMBERS):010d}"


def order(order_no: str, **more: Any) -> dict[str, Any]:
    return {"out_trade_no": order_no, "total_amount": "12.34", "subject": '物业费 {"A"} 1+1'} | more


def test_creates_queries_and_closes(sdk: Client, order_no: str, merchant: Merchant) -> None:
    created = sdk.ask("exec", method="alipay.trade.precreate", biz=order(order_no), notifyUrl=f"{merchant.url}/n")
    assert created["code"] == "10000"
    assert created["qr_code"].startswith("http://127.0.0.1:")
    queried = sdk.ask("exec", method="alipay.trade.query", biz={"out_trade_no": order_no})
    assert (queried["trade_status"], queried["total_amount"]) == ("WAIT_BUYER_PAY", "12.34")
    assert sdk.ask("exec", method="alipay.trade.close", biz={"out_trade_no": order_no})["code"] == "10000"
    queried = sdk.ask("exec", method="alipay.trade.query", biz={"out_trade_no": order_no})
    assert queried["trade_status"] == "TRADE_CLOSED"


def test_accepts_our_notice_and_no_forged_one(
    sdk: Client, order_no: str, merchant: Merchant, sandbox: Running
) -> None:
    sdk.ask("exec", method="alipay.trade.precreate", biz=order(order_no, body="a+b&c=d 中文"),
            notifyUrl=f"{merchant.url}/n")  # fmt: skip
    assert sandbox.control("POST", "/pay", {"attempt_no": order_no}).status == 200
    genuine = dict(parse_qsl(merchant.wait(1)[0].body.decode(), keep_blank_values=True))
    assert genuine["body"] == "a+b&c=d 中文"
    assert sdk.ask("notice", fields=genuine) is True
    assert sdk.ask("notice", fields=genuine | {"total_amount": "12.35"}) is False
    sandbox.control("POST", "/notify", {"attempt_no": order_no, "notify": "forged"})
    forged = dict(parse_qsl(merchant.wait(2)[1].body.decode(), keep_blank_values=True))
    assert sdk.ask("notice", fields=forged) is False


def test_its_page_and_form_are_paid_and_the_return_verifies(sdk: Client, sandbox: Running, merchant: Merchant) -> None:
    biz = order(f"SDK{next(NUMBERS):010d}", product_code="FAST_INSTANT_TRADE_PAY")
    url = sdk.ask("page", method="alipay.trade.page.pay", biz=biz, notifyUrl=f"{merchant.url}/n",
                  returnUrl="http://127.0.0.1:9/return")  # fmt: skip
    paid = sandbox.control("POST", "/pay", {"attempt_no": biz["out_trade_no"], "pay": {"type": "redirect", "url": url}})
    assert paid.status == 200, paid.body
    back = dict(parse_qsl(urlsplit(paid.json["return_url"]).query))
    assert sdk.ask("notice", fields=back) is True
    biz = order(f"SDK{next(NUMBERS):010d}", product_code="QUICK_WAP_WAY")
    page = sdk.ask("form", method="alipay.trade.wap.pay", biz=biz, returnUrl="http://127.0.0.1:9/return")
    pay = {"type": "form", "action": re.findall(r'<form action="([^"]+)"', page)[0], "fields": form_fields(page)}
    paid = sandbox.control("POST", "/pay", {"attempt_no": biz["out_trade_no"], "pay": pay})
    assert paid.status == 200, paid.body


def test_its_app_order_string_is_paid(sdk: Client, sandbox: Running, order_no: str) -> None:
    string = sdk.ask("order", biz=order(order_no, product_code="QUICK_MSECURITY_PAY"))
    pay = {"type": "sdk", "params": {"order_string": string}}
    assert sandbox.control("POST", "/pay", {"attempt_no": order_no, "pay": pay}).status == 200
    tampered = {"type": "sdk", "params": {"order_string": string.replace("12.34", "12.35")}}
    refused = sandbox.control("POST", "/pay", {"attempt_no": order_no, "pay": tampered})
    assert refused.status == 400
    assert "isv.invalid-signature" in refused.json["error"]


def test_refunds_and_sees_them(sdk: Client, sandbox: Running, order_no: str) -> None:
    sdk.ask("exec", method="alipay.trade.precreate", biz=order(order_no))
    sandbox.control("POST", "/pay", {"attempt_no": order_no})
    biz = {"out_trade_no": order_no, "refund_amount": "2.00", "out_request_no": "R1"}
    assert sdk.ask("exec", method="alipay.trade.refund", biz=biz)["fund_change"] == "Y"
    found = sdk.ask("exec", method="alipay.trade.fastpay.refund.query",
                    biz={"out_trade_no": order_no, "out_request_no": "R1"})  # fmt: skip
    assert (found["refund_status"], found["refund_amount"]) == ("REFUND_SUCCESS", "2.00")


@pytest.mark.parametrize("fault", ["bad_signature", "no_signature"])
def test_refuses_an_answer_with_a_faulty_signature(sdk: Client, sandbox: Running, order_no: str, fault: str) -> None:
    sandbox.control("POST", "/faults", {"channel": "alipay", "operation": "pay", "fault": fault})
    with pytest.raises(ForeignError, match=r"(?i)sign|验签"):
        sdk.ask("exec", method="alipay.trade.precreate", biz=order(order_no))


def form_fields(page: str) -> dict[str, str]:
    """Hidden fields as a browser reads them. The address is taken as it stands: it is not escaped, and
    only browsers know that `&times` in `&timestamp` is no multiplication sign there."""
    found = re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}
