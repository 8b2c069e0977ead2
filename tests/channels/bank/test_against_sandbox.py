"""The provider and the project's own bank stand-in, two readings of one specification, over real sockets."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.bank.gateway import beijing_day
from channels.bank.provider import BankProvider
from channels.base import CloseOutcome, Form, InboundRequest, Initiated, NoticeKind, PaymentState, PayOrder, keys
from channels.base.config import clean_config
from paycenter.errors import BadSignature, IdentityMismatch, NotSent, UnknownOutcome
from paycenter.http import HttpClient, time_limit
from paycenter.money import Money
from sandbox.context import Settings
from sandbox.store import Store
from tests.channels.bank.conftest import HTTP
from tests.sandbox.running import Answer, Merchant, Running, Told, sign_contract

SCENES = ["bank_pc", "bank_wap", "bank_app"]
MODES = ["ten_digits", "six_digits"]
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("bank-sandbox"), Settings(ladder_speed=600.0, refund_delay=0.1))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def accounts(sandbox: Running) -> dict[str, dict[str, Any]]:
    """Two merchants' contracts, one per length of order numbers, cleaned as the admin form would."""
    found = {}
    store = Store(sandbox._state)
    for mode in MODES:
        contract = sign_contract(store, "bank", mode=mode, base_url=sandbox.url)
        found[mode] = clean_config(BankProvider, contract.config, datetime.now(UTC))
    store.close()
    return found


@pytest.fixture(params=MODES)
def provider(request: pytest.FixtureRequest, accounts: dict[str, dict[str, Any]]) -> BankProvider:
    return BankProvider(accounts[request.param], http=HTTP)


@pytest.fixture
def merchant(provider: BankProvider) -> Iterator[Merchant]:
    made = Merchant(answer=(200, b"SUCCESS"))
    yield made
    made.stop()


@pytest.fixture
def order(provider: BankProvider, merchant: Merchant) -> PayOrder:
    return new_order(provider, merchant)


def new_order(provider: BankProvider, merchant: Merchant, *, number: int | None = None, **more: Any) -> PayOrder:
    now, name = datetime.now(UTC), f"A{secrets.token_hex(10).upper()}"
    digits = provider.number_rule().digits
    values: dict[str, Any] = {
        "order_no": f"{number or next(NUMBERS):0{digits}d}", "amount": Money(8801), "sent_at": now,
        "expire_at": now + timedelta(minutes=30), "subject": "物业费 2026/11 A&B=1+1 }{ 🏠",
        "notify_url": f"{merchant.url}/notify/bank_pc/{name}", "return_url": f"{merchant.url}/return/bank_pc/{name}",
    }  # fmt: skip
    return PayOrder(**(values | more))


def attempt_no(order: PayOrder) -> str:
    return order.notify_url.rsplit("/", 1)[1]


def started(provider: BankProvider, code: str, order: PayOrder) -> dict[str, Any]:
    """Start the payment; what gopay would answer as `pay`."""
    result = provider.pay(code, order)
    assert isinstance(result, Initiated), result
    found = result.instruction
    if isinstance(found, Form):
        return {"type": "form", "method": "POST", "action": found.action, "fields": dict(found.fields)}
    return {"type": "sdk", "params": dict(found.params)}  # type: ignore[union-attr]


def opened(sandbox: Running, pay: dict[str, Any]) -> Answer:
    """A browser posts the form."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return sandbox.request("POST", urlsplit(pay["action"]).path, urlencode(pay["fields"]), headers)


def payer_pays(sandbox: Running, order: PayOrder, pay: dict[str, Any] | None = None, **more: Any) -> Any:
    answer = sandbox.control("POST", "/pay", {"attempt_no": attempt_no(order), **({"pay": pay} if pay else {}), **more})
    assert answer.status == 200, answer.text
    return answer.json


def received(told: Told) -> InboundRequest:
    return InboundRequest(method="POST", path=told.path, headers=told.headers, body=told.body)


def book(sandbox: Running, order: PayOrder) -> dict[str, Any]:
    answer = sandbox.control("GET", f"/payments/{attempt_no(order)}")
    assert answer.status == 200, answer.text
    return dict(answer.json)


def test_connection_check(provider: BankProvider) -> None:
    assert provider.check().ok


def test_connection_check_with_wrong_keys(accounts: dict[str, Any], foreign_key: RSAPrivateKey) -> None:
    own = {**accounts["ten_digits"], "merchant_private_key": keys.private_key_pem(foreign_key)}
    assert "不接受我们的签名" in BankProvider(own, http=HTTP).check().message.zh
    theirs = {**accounts["ten_digits"], "bank_public_key": keys.public_key_pem(foreign_key.public_key())}
    assert "银行公钥" in BankProvider(theirs, http=HTTP).check().message.zh
    nobody = {**accounts["ten_digits"], "co_no": "999999"}
    assert "没有这个" in BankProvider(nobody, http=HTTP).check().message.zh
    late = BankProvider(accounts["ten_digits"], http=HTTP, clock=lambda: datetime.now(UTC) - timedelta(minutes=20))
    assert "时钟" in late.check().message.zh


@pytest.mark.parametrize("code", SCENES)
def test_every_scene_from_start_to_notice(
    provider: BankProvider, sandbox: Running, merchant: Merchant, order: PayOrder, code: str
) -> None:
    pay = started(provider, code, order)
    assert provider.query(order).state is PaymentState.NOT_FOUND
    payer_pays(sandbox, order, pay)

    told = merchant.wait(1)[0]
    assert told.path == urlsplit(order.notify_url).path
    notice = provider.parse_notify(received(told))
    assert (notice.kind, notice.state) == (NoticeKind.PAYMENT, PaymentState.PAID)
    assert (notice.order_no, notice.order_day) == (order.order_no, beijing_day(order.sent_at))
    assert notice.amount == order.amount
    assert notice.paid_at is not None
    assert abs(notice.paid_at - datetime.now(UTC)) < timedelta(seconds=60)

    found = provider.query(order)
    assert (found.state, found.amount) == (PaymentState.PAID, order.amount)
    assert (found.channel_trade_no, found.paid_at) == (notice.channel_trade_no, notice.paid_at)
    assert provider.close(order).outcome is CloseOutcome.REFUSED
    seen = book(sandbox, order)
    assert (seen["state"], seen["amount"], seen["channel_order_no"]) == ("paid", 8801, order.order_no)
    assert seen["calls"] == {"pay": 1, "query": 2, "close": 1}


@pytest.mark.parametrize("code", ["bank_pc", "bank_wap"])
def test_a_browser_posts_the_form_and_comes_back(
    provider: BankProvider, sandbox: Running, merchant: Merchant, order: PayOrder, code: str
) -> None:
    pay = started(provider, code, order)
    page = opened(sandbox, pay)
    assert page.status == 303
    assert provider.query(order).state is PaymentState.UNPAID
    assert opened(sandbox, pay).headers["location"] == page.headers["location"]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    done = sandbox.request("POST", page.headers["location"], "action=pay", headers)
    assert done.status == 303
    query = urlsplit(done.headers["location"]).query
    found = provider.parse_return(InboundRequest(method="GET", path="/return", query=query), order)
    assert (found.verified, found.order_no) == (True, order.order_no)
    changed = query.replace("Amount=88.01", "Amount=0.01")
    with pytest.raises(BadSignature):
        provider.parse_return(InboundRequest(method="GET", path="/return", query=changed), order)
    with pytest.raises(BadSignature):  # a return cannot be passed off as a notice
        provider.parse_notify(InboundRequest(method="POST", path="/notify", body=query.encode()))


def test_a_payer_who_turns_back_proves_nothing(provider: BankProvider, sandbox: Running, order: PayOrder) -> None:
    page = opened(sandbox, started(provider, "bank_pc", order))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    back = sandbox.request("POST", page.headers["location"], "action=cancel", headers)
    assert back.headers["location"] == order.return_url
    assert provider.query(order).state is PaymentState.UNPAID


@pytest.mark.parametrize(
    ("name", "value"),
    [("Amount", "0.01"), ("BillNo", "0000000000"), ("Date", "20200101"), ("NoticeUrl", "http://evil.example/n"),
     ("Subject", "x"), ("ExpireTime", "20991231235959")],
)  # fmt: skip
def test_a_form_that_the_payer_changed(
    provider: BankProvider, sandbox: Running, order: PayOrder, name: str, value: str
) -> None:
    pay = started(provider, "bank_pc", order)
    pay["fields"][name] = value
    page = opened(sandbox, pay)
    assert page.status == 200
    assert "AUT0002" in page.text
    answer = sandbox.control("POST", "/pay", {"attempt_no": attempt_no(order), "pay": pay})
    assert answer.status == 400
    assert provider.query(order).state is PaymentState.NOT_FOUND


def test_numbers_of_the_other_length_are_refused(provider: BankProvider, sandbox: Running, order: PayOrder) -> None:
    wrong = replace(order, order_no="0000000007" if provider.number_rule().digits == 6 else "000007")
    assert "PAR0001" in opened(sandbox, started(provider, "bank_pc", wrong)).text


def test_the_same_number_on_another_day_is_another_order(
    provider: BankProvider, sandbox: Running, merchant: Merchant
) -> None:
    now = datetime.now(UTC)
    number = next(NUMBERS)
    today = new_order(provider, merchant, number=number)
    yesterday = new_order(provider, merchant, number=number, sent_at=now - timedelta(days=1), amount=Money(8801))
    assert today.order_no == yesterday.order_no
    payer_pays(sandbox, yesterday, started(provider, "bank_pc", yesterday))
    assert provider.query(today).state is PaymentState.NOT_FOUND
    opened(sandbox, started(provider, "bank_wap", today))
    assert provider.query(today).state is PaymentState.UNPAID
    assert provider.query(yesterday).state is PaymentState.PAID
    notice = provider.parse_notify(received(merchant.wait(1)[0]))
    assert (notice.order_no, notice.order_day) == (today.order_no, beijing_day(yesterday.sent_at))
    assert notice.order_day != beijing_day(today.sent_at)
    assert provider.close(today).outcome is CloseOutcome.CLOSED
    assert provider.query(yesterday).state is PaymentState.PAID
    assert (book(sandbox, today)["state"], book(sandbox, yesterday)["state"]) == ("closed", "paid")


def test_two_seconds_around_midnight_are_two_orders(tmp_path: Any, merchant: Merchant) -> None:
    """A clock that both sides share: 23:59:59 and 00:00:00 in Beijing."""
    midnight = datetime(2027, 1, 1, tzinfo=UTC) - timedelta(hours=8)
    now = [midnight - timedelta(seconds=1)]
    running = Running(tmp_path, Settings(), clock=lambda: now[0].timestamp())
    try:
        store = Store(tmp_path)
        contract = sign_contract(store, "bank", mode="six_digits", base_url=running.url)
        store.close()
        config = clean_config(BankProvider, contract.config, now[0])
        provider = BankProvider(config, http=HTTP, clock=lambda: now[0])
        expire = {"expire_at": midnight + timedelta(minutes=30)}
        old = new_order(provider, merchant, number=1, sent_at=now[0], **expire)
        payer_pays(running, old, started(provider, "bank_pc", old), notify="none")
        now[0] = midnight
        new = new_order(provider, merchant, number=1, sent_at=now[0], **expire)
        opened(running, started(provider, "bank_pc", new))
        assert (provider.query(old).state, provider.query(new).state) == (PaymentState.PAID, PaymentState.UNPAID)
        now[0] = midnight + timedelta(minutes=31)
        assert (provider.query(old).state, provider.query(new).state) == (PaymentState.PAID, PaymentState.CLOSED)
        assert provider.query(new).channel_state == "EXPIRED"
        assert provider.close(new).outcome is CloseOutcome.REFUSED
    finally:
        running.stop()


def test_the_same_number_with_other_contents_is_refused(
    provider: BankProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    opened(sandbox, started(provider, "bank_pc", order))
    other = replace(order, amount=Money(1))
    assert "ORD0004" in opened(sandbox, started(provider, "bank_pc", other)).text
    assert provider.query(order).amount == order.amount


def test_closing(provider: BankProvider, sandbox: Running, order: PayOrder) -> None:
    assert provider.close(order).outcome is CloseOutcome.NOT_FOUND
    pay = started(provider, "bank_pc", order)
    opened(sandbox, pay)
    assert provider.close(order).outcome is CloseOutcome.CLOSED
    assert provider.close(order).outcome is CloseOutcome.CLOSED
    assert provider.query(order).state is PaymentState.CLOSED
    for data in ({}, {"pay": pay}):
        answer = sandbox.control("POST", "/pay", {"attempt_no": attempt_no(order), **data})
        assert answer.status == 409, answer.text


def test_an_order_that_came_too_late_never_exists(
    provider: BankProvider, sandbox: Running, order: PayOrder
) -> None:
    late = replace(order, expire_at=datetime.now(UTC) - timedelta(seconds=2))
    pay = started(provider, "bank_pc", late)
    assert "ORD0003" in opened(sandbox, pay).text
    assert sandbox.control("POST", "/pay", {"attempt_no": attempt_no(late), "pay": pay}).status == 409
    assert provider.query(late).state is PaymentState.NOT_FOUND


def test_an_attempt_the_bank_never_saw(provider: BankProvider, sandbox: Running, order: PayOrder) -> None:
    started(provider, "bank_pc", order)
    assert sandbox.control("POST", "/pay", {"attempt_no": attempt_no(order)}).status == 404
    assert sandbox.control("GET", f"/payments/{attempt_no(order)}").status == 404


def test_refused_notices_come_again_until_acknowledged(
    provider: BankProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    merchant.answer = (200, provider.nack("busy").body)
    payer_pays(sandbox, order, started(provider, "bank_pc", order))
    first, second = (provider.parse_notify(received(told)) for told in merchant.wait(2)[:2])
    assert first.notice_id == second.notice_id != ""
    merchant.answer = (200, provider.ack(second).body)
    count = len(merchant.wait(len(merchant.told) + 1))
    time.sleep(1.2)  # the next step, of five minutes, lasts half a second here
    assert len(merchant.told) == count


@pytest.mark.parametrize(
    ("kind", "error"),
    [("forged", BadSignature), ("unsigned", BadSignature), ("other_merchant", IdentityMismatch)],
)
def test_false_notices_are_refused(
    provider: BankProvider, sandbox: Running, merchant: Merchant, order: PayOrder, kind: str, error: Any
) -> None:
    opened(sandbox, started(provider, "bank_pc", order))
    sent = sandbox.control("POST", "/notify", {"attempt_no": attempt_no(order), "notify": kind})
    assert sent.status == 200, sent.text
    with pytest.raises(error):
        provider.parse_notify(received(merchant.wait(1)[0]))
    assert provider.query(order).state is PaymentState.UNPAID


def test_genuine_notices_about_other_money_show_it(
    provider: BankProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    opened(sandbox, started(provider, "bank_pc", order))
    name = attempt_no(order)
    sandbox.control("POST", "/notify", {"attempt_no": name, "notify": "wrong_amount"})
    assert provider.parse_notify(received(merchant.wait(1)[0])).amount == Money(8802)
    sandbox.control("POST", "/notify", {"attempt_no": name, "notify": "other_order"})
    nobody = provider.parse_notify(received(merchant.wait(2)[1]))
    assert (nobody.order_no, nobody.order_day) != (order.order_no, beijing_day(order.sent_at))
    assert len(nobody.order_no) == provider.number_rule().digits
    currency = sandbox.control("POST", "/notify", {"attempt_no": name, "notify": "wrong_currency"})
    assert currency.status == 400  # the bank states none


def test_what_was_really_paid_counts(
    provider: BankProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    payer_pays(sandbox, order, started(provider, "bank_app", order), amount=8800)
    assert provider.parse_notify(received(merchant.wait(1)[0])).amount == Money(8800)
    assert provider.query(order).amount == Money(8800)


def test_a_refund_in_the_banks_console_is_a_refund_notice(
    provider: BankProvider, sandbox: Running, merchant: Merchant, order: PayOrder
) -> None:
    payer_pays(sandbox, order, started(provider, "bank_pc", order))
    merchant.wait(1)
    data = {"attempt_no": attempt_no(order), "amount": 801}
    assert sandbox.control("POST", "/refunds", data).status == 200
    notice = provider.parse_notify(received(merchant.wait(2)[-1]))
    assert (notice.kind, notice.order_no) == (NoticeKind.REFUND, order.order_no)
    found = provider.query(order)
    assert (found.state, found.amount, found.refunded) == (PaymentState.PAID, order.amount, Money(801))


def test_a_wish_for_credit_cards_reaches_the_bank(
    provider: BankProvider, sandbox: Running, order: PayOrder
) -> None:
    wished = replace(order, funding="credit")
    payer_pays(sandbox, wished, started(provider, "bank_pc", wished))
    assert provider.query(wished).funding == "CREDIT"


@pytest.fixture
def broken(sandbox: Running) -> Iterator[Callable[[str, str], None]]:
    def order_one(operation: str, fault: str) -> None:
        data = {"channel": "bank", "operation": operation, "fault": fault, "times": 1, "seconds": 2}
        assert sandbox.control("POST", "/faults", data).status == 200

    yield order_one
    sandbox.control("DELETE", "/faults")


@pytest.mark.parametrize(
    "fault", ["timeout", "reset", "http500", "bad_signature", "no_signature", "garbage", "lost_reply"]
)
@pytest.mark.parametrize("operation", ["query", "close"])
def test_every_fault_leaves_the_outcome_open(
    accounts: dict[str, Any], sandbox: Running, merchant: Merchant, broken: Callable[[str, str], None],
    operation: str, fault: str,
) -> None:  # fmt: skip
    provider = BankProvider(accounts["ten_digits"], http=HttpClient(HTTP.policy))
    order = new_order(provider, merchant)
    opened(sandbox, started(provider, "bank_pc", order))
    broken(operation, fault)
    with time_limit(1.0), pytest.raises(UnknownOutcome):
        (provider.query if operation == "query" else provider.close)(order)
    acted = operation == "close" and fault not in ("timeout", "reset", "http500")
    assert provider.query(order).state is (PaymentState.CLOSED if acted else PaymentState.UNPAID)


@pytest.mark.parametrize("fault", ["http500", "garbage"])
def test_a_broken_page_can_be_opened_again(
    accounts: dict[str, Any], sandbox: Running, merchant: Merchant, broken: Callable[[str, str], None], fault: str
) -> None:
    provider = BankProvider(accounts["ten_digits"], http=HTTP)
    order = new_order(provider, merchant)
    pay = started(provider, "bank_pc", order)
    broken("pay", fault)
    assert opened(sandbox, pay).status in (200, 500)
    assert opened(sandbox, pay).status == 303
    assert provider.query(order).state is PaymentState.UNPAID


def test_a_slow_answer_counts(
    provider: BankProvider, sandbox: Running, order: PayOrder, broken: Callable[[str, str], None]
) -> None:
    opened(sandbox, started(provider, "bank_pc", order))
    broken("query", "slow")
    assert provider.query(order).state is PaymentState.UNPAID


def test_a_stopped_bank_was_not_sent_anything(accounts: dict[str, Any], order: PayOrder) -> None:
    config = {**accounts["ten_digits"], "gateway_url": "http://127.0.0.1:1/bank"}
    with pytest.raises(NotSent):
        BankProvider(config, http=HTTP).query(order)


def test_two_merchants_do_not_read_each_others_words(
    accounts: dict[str, Any], sandbox: Running, merchant: Merchant, order: PayOrder, provider: BankProvider
) -> None:
    (mode,) = (mode for mode in MODES if accounts[mode]["co_no"] != provider.config["co_no"])
    other = BankProvider(accounts[mode], http=HTTP)
    payer_pays(sandbox, order, started(provider, "bank_pc", order))
    with pytest.raises((BadSignature, IdentityMismatch)):
        other.parse_notify(received(merchant.wait(1)[0]))
    assert other.query(order).state is PaymentState.NOT_FOUND
