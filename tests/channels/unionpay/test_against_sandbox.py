"""The provider and the project's own UnionPay stand-in, two readings of one protocol, over real sockets."""

from __future__ import annotations

import html
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from channels.base import (
    Form,
    InboundRequest,
    Initiated,
    NoticeKind,
    PaymentState,
    PayOrder,
    QrCode,
    Refused,
    keys,
)
from channels.base.config import clean_config
from channels.unionpay.provider import UnionPayProvider
from paycenter.errors import BadSignature, IdentityMismatch, NotSent, UnknownOutcome
from paycenter.http import time_limit
from paycenter.money import Money
from sandbox.context import Settings
from sandbox.store import Store
from tests.channels.unionpay.conftest import HTTP
from tests.sandbox.running import Merchant, Running, Told, sign_contract

SCENES = ["unionpay_pc", "unionpay_wap", "unionpay_app", "unionpay_qr"]
MODES = ["production", "test"]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(
        tmp_path_factory.mktemp("unionpay-sandbox"), Settings(ladder_speed=300.0, refund_delay=0.2)
    )
    yield running
    running.stop()


@pytest.fixture(scope="module")
def accounts(sandbox: Running) -> dict[str, dict[str, Any]]:
    """Two merchants' contracts, one per kind of certificates, cleaned as the admin form would."""
    store, found = Store(sandbox._state), {}
    for mode in MODES:
        contract = sign_contract(store, "unionpay", mode=mode, base_url=sandbox.url)
        found[mode] = clean_config(UnionPayProvider, contract.config, datetime.now(UTC))
    store.close()
    return found


@pytest.fixture(params=MODES)
def provider(request: pytest.FixtureRequest, accounts: dict[str, dict[str, Any]]) -> UnionPayProvider:
    return UnionPayProvider(accounts[request.param], http=HTTP)


@pytest.fixture
def one(accounts: dict[str, dict[str, Any]]) -> UnionPayProvider:
    return UnionPayProvider(accounts["production"], http=HTTP)


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    made = Merchant()
    yield made
    made.stop()


@pytest.fixture
def order(merchant: Merchant) -> PayOrder:
    return new_order(merchant)


def new_order(merchant: Merchant, minor: int = 8801) -> PayOrder:
    now, number = datetime.now(UTC), f"A{secrets.token_hex(10).upper()}"
    return PayOrder(
        order_no=number, amount=Money(minor), sent_at=now, expire_at=now + timedelta(minutes=30),
        subject="物业费 2026/11 A&B=1+1 }{", body="三栋 502 “水费”",
        notify_url=f"{merchant.url}/notify/unionpay/{number}", return_url=f"{merchant.url}/return/{number}",
    )  # fmt: skip


def started(provider: UnionPayProvider, code: str, order: PayOrder) -> dict[str, Any]:
    """Start the payment; what gopay would answer as `pay`."""
    result = provider.pay(code, order)
    assert isinstance(result, Initiated), result
    found = result.instruction
    if isinstance(found, Form):
        return {"type": "form", "method": "POST", "action": found.action, "fields": dict(found.fields)}
    return {"type": "qrcode" if isinstance(found, QrCode) else "sdk", **asdict(found)}


def payer_pays(sandbox: Running, order: PayOrder, pay: dict[str, Any] | None = None, **more: Any) -> Any:
    answer = sandbox.control(
        "POST", "/pay", {"attempt_no": order.order_no, **({"pay": pay} if pay else {}), **more}
    )
    assert answer.status == 200, answer.text
    return answer.json


def received(told: Told) -> InboundRequest:
    return InboundRequest(method="POST", path=told.path, headers=told.headers, body=told.body)


def send_notice(sandbox: Running, order: PayOrder, kind: str) -> None:
    answer = sandbox.control("POST", "/notify", {"attempt_no": order.order_no, "notify": kind})
    assert answer.status == 200, answer.text


def page_form(text: str) -> tuple[str, dict[str, str]]:
    """What a browser would post from the page: address and fields."""
    action = re.search(r'action="([^"]+)"', text)
    assert action is not None
    fields = re.findall(r'name="([^"]+)" value="([^"]*)"', text)
    return html.unescape(action[1]), {name: html.unescape(value) for name, value in fields}


def test_connection_check(provider: UnionPayProvider) -> None:
    found = provider.check()
    assert found.ok, found.message.en


def test_connection_check_with_the_wrong_private_key(one: UnionPayProvider, parties: Any) -> None:
    config = {**one.config, "sign_private_key": keys.private_key_pem(parties.merchant.key)}
    found = UnionPayProvider(config, http=HTTP).check()
    assert not found.ok
    assert "签名证书" in found.message.zh


def test_connection_check_with_another_certificate(one: UnionPayProvider, parties: Any) -> None:
    found = UnionPayProvider({**one.config, "sign_cert": parties.merchant.pem}, http=HTTP).check()
    assert "签名证书" in found.message.zh


@pytest.mark.parametrize("code", SCENES)
def test_every_scene_from_start_to_notice(
    provider: UnionPayProvider, sandbox: Running, merchant: Merchant, order: PayOrder, code: str
) -> None:
    pay = started(provider, code, order)
    assert provider.query(order).state is PaymentState.NOT_FOUND
    payer_pays(sandbox, order, pay)

    notice = provider.parse_notify(received(merchant.wait(1)[0]))
    assert (notice.kind, notice.state) == (NoticeKind.PAYMENT, PaymentState.PAID)
    assert (notice.order_no, notice.amount) == (order.order_no, order.amount)

    found = provider.query(order)
    assert (found.state, found.amount) == (PaymentState.PAID, order.amount)
    assert found.channel_trade_no == notice.channel_trade_no
    assert len(found.channel_trade_no or "") == 21


def test_a_query_with_another_time_finds_nothing(
    one: UnionPayProvider, sandbox: Running, order: PayOrder
) -> None:
    payer_pays(sandbox, order, started(one, "unionpay_pc", order))
    assert one.query(order).state is PaymentState.PAID
    other = replace(order, sent_at=order.sent_at + timedelta(seconds=1))
    assert one.query(other).state is PaymentState.NOT_FOUND


def test_acknowledged_notices_stop_and_refused_ones_come_again(
    one: UnionPayProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    refusal = one.nack("busy")
    merchant.answer = (refusal.status, refusal.body)
    payer_pays(sandbox, order, started(one, "unionpay_qr", order))
    first, second = (one.parse_notify(received(told)) for told in merchant.wait(2)[:2])
    assert first == second
    thanks = one.ack(second)
    merchant.answer = (thanks.status, thanks.body)
    count = len(merchant.wait(len(merchant.told) + 1))
    time.sleep(1.2)  # the ladder's longest step but one, of four minutes, lasts 0.8 s here
    assert len(merchant.told) == count


@pytest.mark.parametrize("code", ["unionpay_pc", "unionpay_wap"])
def test_the_browser_posts_a_signed_return(
    provider: UnionPayProvider, sandbox: Running, order: PayOrder, code: str
) -> None:
    """The certificate's line ends survive the HTML form, or its signature would not."""
    answer = payer_pays(sandbox, order, started(provider, code, order))
    page = sandbox.follow(answer["return_url"])
    action, fields = page_form(page.text)
    assert action == order.return_url
    posted = InboundRequest(method="POST", path="/return", body=urlencode(fields).encode())
    found = provider.parse_return(posted, order)
    assert (found.verified, found.order_no) == (True, order.order_no)


def test_the_browsers_way_through_the_cashier(
    one: UnionPayProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    """Post the form, see the amount, pay, be sent back: as a person would in the demo."""
    pay = started(one, "unionpay_pc", order)
    body = urlencode(pay["fields"])
    opened = sandbox.request("POST", urlsplit(pay["action"]).path, body, FORM)
    assert (opened.status, opened.headers["location"].split("/")[:3]) == (302, ["", "wallet", "unionpay"])
    again = sandbox.request("POST", urlsplit(pay["action"]).path, body, FORM)  # the "back" button
    assert again.headers["location"] == opened.headers["location"]
    shown = sandbox.follow(opened.headers["location"])
    assert "88.01" in shown.text
    assert "银联" in sandbox.request("GET", opened.headers["location"] + "?lang=zh").text
    paid = sandbox.request("POST", opened.headers["location"], "action=pay", FORM)
    assert paid.status == 303
    _action, fields = page_form(sandbox.follow(paid.headers["location"]).text)
    assert fields["orderId"] == order.order_no
    assert one.parse_notify(received(merchant.wait(1)[0])).order_no == order.order_no
    late = sandbox.request("POST", urlsplit(pay["action"]).path, body, FORM)
    assert late.status == 200
    assert "重复交易" in late.text


def test_a_payer_who_cancels_comes_back_with_nothing(
    one: UnionPayProvider, sandbox: Running, order: PayOrder
) -> None:
    pay = started(one, "unionpay_wap", order)
    opened = sandbox.request("POST", urlsplit(pay["action"]).path, urlencode(pay["fields"]), FORM)
    left = sandbox.request("POST", opened.headers["location"], "action=cancel", FORM)
    assert (left.status, left.headers["location"]) == (303, order.return_url)
    assert one.query(order).state is PaymentState.NOT_FOUND


def test_a_scanned_code_leads_to_the_order(one: UnionPayProvider, sandbox: Running, order: PayOrder) -> None:
    pay = started(one, "unionpay_qr", order)
    found = sandbox.follow(pay["content"])
    assert found.headers["location"].startswith("/wallet/unionpay/")


def test_a_changed_form_is_turned_away(one: UnionPayProvider, sandbox: Running, order: PayOrder) -> None:
    pay = started(one, "unionpay_pc", order)
    pay["fields"]["txnAmt"] = "1"
    answer = sandbox.control("POST", "/pay", {"attempt_no": order.order_no, "pay": pay})
    assert (answer.status, "11 验证签名失败" in answer.json["error"]) == (400, True)
    assert sandbox.control("GET", f"/payments/{order.order_no}").json["state"] == "none"


def test_a_repeated_send_is_a_duplicate_that_leaves_the_outcome_open(
    one: UnionPayProvider, sandbox: Running, order: PayOrder
) -> None:
    pay = started(one, "unionpay_app", order)
    with pytest.raises(UnknownOutcome, match="12"):
        one.pay("unionpay_app", order)
    payer_pays(sandbox, order, pay)
    assert one.query(order).state is PaymentState.PAID


def test_expiry_is_understood_in_beijing(one: UnionPayProvider, sandbox: Running, order: PayOrder) -> None:
    past = replace(order, expire_at=datetime.now(UTC) - timedelta(seconds=5))
    assert isinstance(one.pay("unionpay_qr", past), Refused)
    soon = replace(order, expire_at=datetime.now(UTC) + timedelta(seconds=2))
    pay = started(one, "unionpay_qr", soon)
    time.sleep(2.1)
    answer = sandbox.control("POST", "/pay", {"attempt_no": order.order_no, "pay": pay})
    assert answer.status in (400, 409)
    assert one.query(soon).state is PaymentState.NOT_FOUND


def test_a_stale_time_of_sending_is_refused(one: UnionPayProvider, order: PayOrder) -> None:
    old = replace(order, sent_at=order.sent_at - timedelta(hours=1))
    found = one.pay("unionpay_app", old)
    assert isinstance(found, Refused)
    assert "txnTime" in found.message


@pytest.mark.parametrize(
    ("kind", "error"),
    [("forged", BadSignature), ("unsigned", BadSignature), ("other_merchant", IdentityMismatch)],
)
def test_false_notices_are_refused(
    one: UnionPayProvider, sandbox: Running, merchant: Merchant, order: PayOrder, kind: str, error: Any
) -> None:
    started(one, "unionpay_qr", order)
    send_notice(sandbox, order, kind)
    with pytest.raises(error):
        one.parse_notify(received(merchant.wait(1)[0]))
    assert one.query(order).state is PaymentState.NOT_FOUND


def test_genuine_notices_about_other_money_show_it(
    one: UnionPayProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    started(one, "unionpay_qr", order)
    send_notice(sandbox, order, "wrong_amount")
    assert one.parse_notify(received(merchant.wait(1)[0])).amount == Money(order.amount.minor + 1)
    send_notice(sandbox, order, "wrong_currency")
    assert one.parse_notify(received(merchant.wait(2)[1])).amount == Money(order.amount.minor, "EUR")
    other = new_order(merchant)
    payer_pays(sandbox, other, started(one, "unionpay_qr", other), notify="none")
    send_notice(sandbox, order, "other_order")
    assert one.parse_notify(received(merchant.wait(3)[2])).order_no != order.order_no


def test_another_amount_really_paid_shows_in_the_query(
    one: UnionPayProvider, sandbox: Running, order: PayOrder
) -> None:
    payer_pays(sandbox, order, started(one, "unionpay_qr", order), amount=8800, notify="none")
    assert one.query(order).amount == Money(8800)


def test_two_merchants_do_not_read_each_others_words(
    accounts: dict[str, Any], sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    first, second = (UnionPayProvider(accounts[mode], http=HTTP) for mode in MODES)
    payer_pays(sandbox, order, started(first, "unionpay_qr", order))
    with pytest.raises((BadSignature, IdentityMismatch)):
        second.parse_notify(received(merchant.wait(1)[0]))
    assert second.query(order).state is PaymentState.NOT_FOUND


# -- faults

FAULTS = ["timeout", "reset", "http500", "bad_signature", "no_signature", "garbage", "lost_reply"]


@pytest.fixture
def broken(sandbox: Running) -> Iterator[Callable[[str, str], None]]:
    def order_one(operation: str, fault: str) -> None:
        data = {"channel": "unionpay", "operation": operation, "fault": fault, "times": 1, "seconds": 3}
        assert sandbox.control("POST", "/faults", data).status == 200

    yield order_one
    sandbox.control("DELETE", "/faults")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", ["pay_app", "pay_qr", "query"])
def test_every_fault_leaves_the_outcome_open(
    one: UnionPayProvider, sandbox: Running, order: PayOrder, broken: Callable[[str, str], None],
    operation: str, fault: str,
) -> None:  # fmt: skip
    acts: dict[str, Callable[[], Any]] = {
        "pay_app": lambda: one.pay("unionpay_app", order),
        "pay_qr": lambda: one.pay("unionpay_qr", order),
        "query": lambda: one.query(order),
    }
    if operation == "query":
        payer_pays(sandbox, order, started(one, "unionpay_pc", order), notify="none")
    broken(operation.split("_")[0], fault)
    with time_limit(1.0), pytest.raises(UnknownOutcome):
        acts[operation]()
    expected = PaymentState.PAID if operation == "query" else PaymentState.NOT_FOUND
    assert one.query(order).state is expected
    if operation != "query" and fault in ("timeout", "reset", "http500"):
        assert isinstance(acts[operation](), Initiated)


def test_a_slow_answer_is_an_answer(
    one: UnionPayProvider, sandbox: Running, order: PayOrder, broken: Callable[[str, str], None]
) -> None:
    data = {"channel": "unionpay", "operation": "pay", "fault": "slow", "seconds": 0.5}
    assert sandbox.control("POST", "/faults", data).status == 200
    began = time.monotonic()
    assert isinstance(one.pay("unionpay_qr", order), Initiated)
    assert time.monotonic() - began >= 0.5


def test_a_stopped_channel_was_not_sent_anything(one: UnionPayProvider, order: PayOrder) -> None:
    config = {**one.config, "base_url": "http://127.0.0.1:1/gateway/api"}
    with pytest.raises(NotSent):
        UnionPayProvider(config, http=HTTP).pay("unionpay_qr", order)
