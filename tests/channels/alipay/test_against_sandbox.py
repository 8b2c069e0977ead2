"""The provider and the project's own Alipay stand-in, two readings of one protocol, over real sockets."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from channels.alipay.provider import AlipayProvider
from channels.base import (
    CloseOutcome,
    Form,
    InboundRequest,
    Initiated,
    NoticeKind,
    PaymentState,
    PayOrder,
    QrCode,
    Redirect,
    Refused,
    keys,
)
from channels.base.config import clean_config
from paycenter.egress import EgressPolicy
from paycenter.errors import BadSignature, IdentityMismatch, NotSent, UnknownOutcome
from paycenter.http import HttpClient, time_limit
from paycenter.money import Money
from sandbox.context import Settings
from sandbox.store import Store
from tests.sandbox.running import Merchant, Running, Told, sign_contract

SCENES = ["alipay_page", "alipay_wap", "alipay_app", "alipay_qr", "alipay_jsapi"]
AT_ONCE = {"alipay_qr", "alipay_jsapi"}  # the trade exists as soon as it is created
MODES = ["key", "certificate"]
HTTP = HttpClient(EgressPolicy(("127.0.0.0/8",)))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("alipay-sandbox"), Settings(ladder_speed=1200.0))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def accounts(sandbox: Running) -> dict[str, dict[str, Any]]:
    """Two merchants' contracts, one per signing mode, cleaned as the admin form would."""
    found = {}
    store = Store(sandbox._state)
    for mode in MODES:
        contract = sign_contract(store, "alipay", mode=mode, base_url=sandbox.url)
        found[mode] = clean_config(AlipayProvider, contract.config, datetime.now(UTC))
    store.close()
    return found


@pytest.fixture(params=MODES)
def provider(request: pytest.FixtureRequest, accounts: dict[str, dict[str, Any]]) -> AlipayProvider:
    return AlipayProvider(accounts[request.param], http=HTTP)


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
        subject="物业费 2026/11 A&B=1+1 }{", body="三栋 502 “水费”", payer={"buyer_id": "2088102146225135"},
        notify_url=f"{merchant.url}/notify/alipay/{number}", return_url=f"{merchant.url}/return/{number}",
    )  # fmt: skip


def started(provider: AlipayProvider, code: str, order: PayOrder) -> dict[str, Any]:
    """Start the payment; what gopay would answer as `pay`."""
    result = provider.pay(code, order)
    assert isinstance(result, Initiated), result
    found = result.instruction
    if isinstance(found, Redirect):
        return {"type": "redirect", "method": "GET", "url": found.url}
    if isinstance(found, Form):
        return {"type": "form", "method": "POST", "action": found.action, "fields": dict(found.fields)}
    kind = "qrcode" if isinstance(found, QrCode) else "sdk"
    return {"type": kind, **asdict(found)}


def payer_pays(sandbox: Running, order: PayOrder, pay: dict[str, Any] | None = None, **more: Any) -> Any:
    data = {"attempt_no": order.order_no, **({"pay": pay} if pay else {}), **more}
    answer = sandbox.control("POST", "/pay", data)
    assert answer.status == 200, answer.text
    return answer.json


def received(told: Told) -> InboundRequest:
    return InboundRequest(method="POST", path=told.path, headers=told.headers, body=told.body)


def send_notice(sandbox: Running, order: PayOrder, kind: str) -> None:
    answer = sandbox.control("POST", "/notify", {"attempt_no": order.order_no, "notify": kind})
    assert answer.status == 200, answer.text


def test_connection_check(provider: AlipayProvider) -> None:
    assert provider.check().ok


def test_connection_check_with_the_wrong_private_key(provider: AlipayProvider, other_key: Any) -> None:
    config = {**provider.config, "app_private_key": keys.private_key_pem(other_key)}
    found = AlipayProvider(config, http=HTTP).check()
    assert not found.ok
    assert "应用公钥" in found.message.zh


@pytest.mark.parametrize("code", SCENES)
def test_every_scene_from_start_to_notice(
    provider: AlipayProvider, sandbox: Running, merchant: Merchant, order: PayOrder, code: str
) -> None:
    pay = started(provider, code, order)
    before = provider.query(order).state
    assert before is (PaymentState.UNPAID if code in AT_ONCE else PaymentState.NOT_FOUND)
    payer_pays(sandbox, order, pay)

    notice = provider.parse_notify(received(merchant.wait(1)[0]))
    assert (notice.kind, notice.state) == (NoticeKind.PAYMENT, PaymentState.PAID)
    assert (notice.order_no, notice.amount) == (order.order_no, order.amount)
    assert notice.paid_at is not None
    assert abs(notice.paid_at - datetime.now(UTC)) < timedelta(seconds=60)

    found = provider.query(order)
    assert (found.state, found.amount) == (PaymentState.PAID, order.amount)
    assert found.channel_trade_no == notice.channel_trade_no
    assert found.paid_at == notice.paid_at
    assert provider.close(order).outcome is CloseOutcome.REFUSED


def test_acknowledged_notices_stop_and_refused_ones_come_again(
    provider: AlipayProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    merchant.answer = (200, provider.nack("busy").body)
    payer_pays(sandbox, order, started(provider, "alipay_qr", order))
    first, second = (provider.parse_notify(received(told)) for told in merchant.wait(2)[:2])
    assert first.notice_id == second.notice_id != ""
    merchant.answer = (200, provider.ack(second).body)
    count = len(merchant.wait(len(merchant.told) + 1))
    time.sleep(1.2)  # the ladder's next rungs, of ten minutes, last half a second here
    assert len(merchant.told) == count


@pytest.mark.parametrize("code", ["alipay_page", "alipay_wap"])
def test_return_is_verified_and_names_the_order(
    provider: AlipayProvider, sandbox: Running, order: PayOrder, code: str
) -> None:
    answer = payer_pays(sandbox, order, started(provider, code, order))
    query = urlsplit(answer["return_url"]).query
    found = provider.parse_return(InboundRequest(method="GET", path="/return", query=query), order)
    assert (found.verified, found.order_no) == (True, order.order_no)


def test_close_before_payment(provider: AlipayProvider, sandbox: Running, order: PayOrder) -> None:
    assert provider.close(order).outcome is CloseOutcome.NOT_FOUND
    pay = started(provider, "alipay_qr", order)
    assert provider.close(order).outcome is CloseOutcome.CLOSED
    assert provider.query(order).state is PaymentState.CLOSED
    data = {"attempt_no": order.order_no, "pay": pay}
    assert sandbox.control("POST", "/pay", data).status == 409


def test_sending_again_makes_one_trade(provider: AlipayProvider, sandbox: Running, order: PayOrder) -> None:
    first, second = (started(provider, "alipay_jsapi", order) for _ in range(2))
    assert first == second
    payer_pays(sandbox, order, first)
    with pytest.raises(UnknownOutcome, match="TRADE_HAS_SUCCESS"):
        provider.pay("alipay_jsapi", order)


def test_expiry_is_understood_in_beijing(provider: AlipayProvider, order: PayOrder) -> None:
    past = replace(order, expire_at=datetime.now(UTC) - timedelta(seconds=5))
    assert isinstance(provider.pay("alipay_qr", past), Refused)
    soon = replace(order, expire_at=datetime.now(UTC) + timedelta(minutes=2))
    assert isinstance(provider.pay("alipay_qr", soon), Initiated)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("forged", BadSignature), ("unsigned", BadSignature), ("other_merchant", (BadSignature, IdentityMismatch))],
)
def test_false_notices_are_refused(
    provider: AlipayProvider, sandbox: Running, merchant: Merchant, order: PayOrder, kind: str, error: Any
) -> None:
    started(provider, "alipay_qr", order)
    send_notice(sandbox, order, kind)
    with pytest.raises(error):
        provider.parse_notify(received(merchant.wait(1)[0]))


def test_genuine_notices_about_other_money_show_it(
    provider: AlipayProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    started(provider, "alipay_qr", order)
    send_notice(sandbox, order, "wrong_amount")
    assert provider.parse_notify(received(merchant.wait(1)[0])).amount != order.amount
    other = new_order(merchant)
    payer_pays(sandbox, other, started(provider, "alipay_qr", other), notify="none")
    send_notice(sandbox, order, "other_order")
    assert provider.parse_notify(received(merchant.wait(2)[1])).order_no != order.order_no


def test_refund_made_in_alipays_console_is_a_refund_notice(
    provider: AlipayProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    payer_pays(sandbox, order, started(provider, "alipay_qr", order))
    merchant.wait(1)
    data = {"attempt_no": order.order_no, "amount": order.amount.minor}
    assert sandbox.control("POST", "/refunds", data).status == 200
    notice = provider.parse_notify(received(merchant.wait(2)[-1]))
    assert notice.kind is NoticeKind.REFUND
    found = provider.query(order)
    assert (found.state, found.refunded) == (PaymentState.PAID, order.amount)


FAULTS = ["timeout", "reset", "http500", "bad_signature", "no_signature", "garbage", "lost_reply"]


@pytest.fixture
def broken(sandbox: Running) -> Iterator[Callable[[str, str], None]]:
    def order_one(operation: str, fault: str) -> None:
        data = {"channel": "alipay", "operation": operation, "fault": fault, "times": 1, "seconds": 3}
        assert sandbox.control("POST", "/faults", data).status == 200

    yield order_one
    sandbox.control("DELETE", "/faults")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", ["pay", "query", "close"])
def test_every_fault_leaves_the_outcome_open(
    accounts: dict[str, Any], order: PayOrder, broken: Callable[[str, str], None], operation: str, fault: str
) -> None:
    provider = AlipayProvider(accounts["key"], http=HTTP)
    acts: dict[str, Callable[[], Any]] = {
        "pay": lambda: provider.pay("alipay_qr", order),
        "query": lambda: provider.query(order),
        "close": lambda: provider.close(order),
    }
    if operation != "pay":
        acts["pay"]()
    broken(operation, fault)
    with time_limit(1.0), pytest.raises(UnknownOutcome):
        acts[operation]()
    state = provider.query(order).state
    if (operation, fault) == ("pay", "lost_reply"):
        assert state is PaymentState.UNPAID
        assert isinstance(acts["pay"](), Initiated)


def test_a_stopped_channel_was_not_sent_anything(accounts: dict[str, Any], order: PayOrder) -> None:
    config = {**accounts["key"], "gateway_url": "http://127.0.0.1:1/gateway.do"}
    with pytest.raises(NotSent):
        AlipayProvider(config, http=HTTP).pay("alipay_qr", order)


def test_payer_is_known_after_the_authorisation(provider: AlipayProvider, sandbox: Running) -> None:
    url = provider.authorize_url(redirect_uri="http://127.0.0.1:9/c/t/auth/alipay?x=1", state="s-1")
    answer = sandbox.follow(url)
    assert answer.status in (302, 303), answer.text
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert back["state"] == ["s-1"]
    assert provider.payer_from_code(back["auth_code"][0])["buyer_id"].startswith("2088")
    with pytest.raises(BadSignature):
        provider.payer_from_code(back["auth_code"][0])


def test_two_merchants_do_not_read_each_others_words(
    accounts: dict[str, Any], sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    one, two = (AlipayProvider(accounts[mode], http=HTTP) for mode in MODES)
    payer_pays(sandbox, order, started(one, "alipay_qr", order))
    with pytest.raises((BadSignature, IdentityMismatch)):
        two.parse_notify(received(merchant.wait(1)[0]))
    assert two.query(order).state is PaymentState.NOT_FOUND
