"""Each fault, for both providers, on the wire: what the caller sees and whether the channel acted."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.clients import AlipayMerchant, WeChatMerchant
from tests.sandbox.running import Answer, Running

NUMBERS = itertools.count(1)
LOST = (ConnectionResetError, http.client.RemoteDisconnected, BrokenPipeError)


class Caller:
    """Sends one create and says what the channel believes."""

    def __init__(self, name: str, sandbox: Running, create: Callable[[str], Answer],
                 verify: Callable[[Answer], bool]) -> None:  # fmt: skip
        self.name, self.sandbox, self._create, self.verify = name, sandbox, create, verify
        self.order_no = f"FAULT{next(NUMBERS):06d}"

    def create(self) -> Answer:
        return self._create(self.order_no)

    def order(self, fault: str, **more: Any) -> None:
        data = {"channel": self.name, "operation": "pay", "fault": fault} | more
        answer = self.sandbox.control("POST", "/faults", data)
        assert answer.status == 200, answer.body

    def book(self) -> dict[str, Any]:
        return dict(self.sandbox.control("GET", f"/payments/{self.order_no}").json)


@pytest.fixture(params=["alipay", "wechat"])
def caller(request: pytest.FixtureRequest, sandbox: Running) -> Caller:
    merchant = request.getfixturevalue(request.param)
    if isinstance(merchant, AlipayMerchant):
        alipay = merchant

        def precreate(order_no: str) -> Answer:
            biz = {"out_trade_no": order_no, "total_amount": "1.00", "subject": "x"}
            return alipay.send(alipay.params("alipay.trade.precreate", biz))

        def verify(answer: Answer) -> bool:
            from tests.sandbox.clients import rsa_verifies

            if '"sign":"' not in answer.text:
                return False
            text, signature = alipay.split(answer.text)
            return rsa_verifies(alipay.alipay_key, signature, text.encode())

        return Caller("alipay", sandbox, precreate, verify)
    assert isinstance(merchant, WeChatMerchant)
    wechat = merchant
    return Caller("wechat", sandbox, lambda n: wechat.send("POST", "/v3/pay/transactions/native", wechat.order(n)),
                  lambda a: wechat.verifies(a.headers, a.body))  # fmt: skip


def test_without_a_fault_it_works(caller: Caller) -> None:
    assert caller.verify(caller.create())
    assert caller.book()["state"] == "unpaid"


@pytest.mark.clock
def test_timeout_holds_the_caller_and_nothing_happens(caller: Caller) -> None:
    caller.order("timeout", seconds=0.5)
    start = time.monotonic()
    with pytest.raises(LOST):
        caller.create()
    assert 0.45 <= time.monotonic() - start < 3
    assert (caller.book()["state"], caller.book()["calls"]) == ("none", {"pay": 1})


def test_reset_ends_the_connection_and_nothing_happens(caller: Caller) -> None:
    caller.order("reset")
    with pytest.raises(ConnectionResetError):
        caller.create()
    assert caller.book()["state"] == "none"


def test_http500_does_nothing(caller: Caller) -> None:
    caller.order("http500")
    assert caller.create().status == 500
    assert caller.book()["state"] == "none"


@pytest.mark.parametrize("fault", ["bad_signature", "no_signature"])
def test_a_faulty_signature_on_a_call_that_was_done(caller: Caller, fault: str) -> None:
    caller.order(fault)
    answer = caller.create()
    assert answer.status == 200
    assert not caller.verify(answer)
    assert caller.book()["state"] == "unpaid"


def test_garbage_is_not_the_providers_format(caller: Caller) -> None:
    caller.order("garbage")
    answer = caller.create()
    with pytest.raises(UnicodeDecodeError):
        json.loads(answer.body)
    assert caller.book()["state"] == "unpaid"


def test_slow_answers_rightly_but_late(caller: Caller) -> None:
    caller.order("slow", seconds=0.4)
    start = time.monotonic()
    assert caller.verify(caller.create())
    assert time.monotonic() - start >= 0.4


def test_lost_reply_acts_and_says_nothing(caller: Caller) -> None:
    caller.order("lost_reply")
    with pytest.raises(LOST):
        caller.create()
    assert caller.book()["state"] == "unpaid"
    assert caller.verify(caller.create()), "the same call again finds what was done"


def test_times_and_order_and_clearing(caller: Caller, sandbox: Running) -> None:
    caller.order("http500", times=2)
    caller.order("no_signature")
    assert [caller.create().status for _ in range(2)] == [500, 500]
    assert not caller.verify(caller.create())
    assert caller.verify(caller.create())
    caller.order("http500", times=5)
    caller.create()
    (left,) = sandbox.control("GET", "/faults").json["faults"]
    assert left["times"] == 4
    assert sandbox.control("DELETE", "/faults").json == {"cleared": 1}
    assert caller.verify(caller.create())


def test_a_fault_hits_only_its_channel_and_operation(
    sandbox: Running, alipay: AlipayMerchant, wechat: WeChatMerchant
) -> None:
    for operation in ("query", "close", "refund", "query_refund", "bill"):
        sandbox.control("POST", "/faults", {"channel": "alipay", "operation": operation, "fault": "http500"})
    assert alipay.precreate("F1")["code"] == "10000"
    assert wechat.query("NONE-1").status == 404
    methods = {
        "alipay.trade.query": {"out_trade_no": "F1"}, "alipay.trade.close": {"out_trade_no": "F1"},
        "alipay.trade.refund": {"out_trade_no": "F1", "refund_amount": "1"},
        "alipay.trade.fastpay.refund.query": {"out_trade_no": "F1", "out_request_no": "R"},
        "alipay.data.dataservice.bill.downloadurl.query": {"bill_type": "trade", "bill_date": "2026-01-01"},
    }  # fmt: skip
    for method, biz in methods.items():
        assert alipay.send(alipay.params(method, biz)).status == 500, method
        assert alipay.send(alipay.params(method, biz)).status == 200, method


@pytest.mark.parametrize(
    "wrong",
    [
        {"channel": "paypal"}, {"operation": "fly"}, {"fault": "gremlin"}, {"times": 0}, {"times": "2"},
        {"seconds": -1}, {"seconds": "x"}, {"seconds": True}, {"extra": 1},
    ],
)  # fmt: skip
def test_a_wrong_order_is_refused_and_changes_nothing(sandbox: Running, wrong: dict[str, Any]) -> None:
    data = {"channel": "alipay", "operation": "pay", "fault": "reset"} | wrong
    answer = sandbox.control("POST", "/faults", data)
    assert answer.status == 400
    assert next(iter(wrong)) in answer.json["error"]
    assert sandbox.control("GET", "/faults").json["faults"] == []
