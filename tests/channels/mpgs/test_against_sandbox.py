"""The provider and the project's own stand-in, two readings of one protocol, over real sockets."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import (
    CloseOutcome,
    InboundRequest,
    Initiated,
    NoticeKind,
    PaymentState,
    PayOrder,
    Redirect,
    Refused,
    ReturnNotice,
)
from channels.base.config import clean_config
from channels.mpgs.provider import MpgsProvider
from paycenter.errors import BadSignature, IdentityMismatch, NotSent, UnknownOutcome
from paycenter.http import HttpClient, time_limit
from paycenter.money import Money
from sandbox.context import Settings
from sandbox.store import Store
from tests.sandbox.running import Merchant, Running, Told, sign_contract

MODES = ["oauth", "oauth_body", "oauth_short", "basic"]
AMOUNTS = [Money(12345), Money(29, "USD"), Money(500, "JPY"), Money(1234, "KWD"), Money(10**11, "USD")]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("mpgs-sandbox"), Settings(ladder_speed=1200.0))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def accounts(sandbox: Running, http: HttpClient) -> dict[str, MpgsProvider]:
    """One merchant of each mode, its form cleaned as the admin does it."""
    store, made = Store(sandbox._state), {}
    for mode in MODES:
        contract = sign_contract(store, "mpgs", mode=mode, base_url=sandbox.url)
        made[mode] = MpgsProvider(clean_config(MpgsProvider, contract.config, datetime.now(UTC)), http=http)
    store.close()
    return made


@pytest.fixture(params=MODES)
def mpgs(request: pytest.FixtureRequest, accounts: dict[str, MpgsProvider]) -> MpgsProvider:
    return accounts[request.param]


@pytest.fixture
def oauth(accounts: dict[str, MpgsProvider], sandbox: Running) -> Iterator[MpgsProvider]:
    yield accounts["oauth"]
    sandbox.control("DELETE", "/faults")


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    made = Merchant()
    yield made
    made.stop()


@pytest.fixture
def order(merchant: Merchant) -> PayOrder:
    return order_of(merchant)


def order_of(merchant: Merchant, amount: Money | None = None, **changes: Any) -> PayOrder:
    now, number = datetime.now(UTC), f"A{secrets.token_hex(10).upper()}"
    fields: dict[str, Any] = {
        "order_no": number, "amount": amount or Money(8801), "sent_at": now, "expire_at": now + timedelta(minutes=30),
        "subject": "物业费 2026/11 A&B=1", "notify_url": f"{merchant.url}/notify/{number}",
        "return_url": f"{merchant.url}/return/{number}?a=1",
    }  # fmt: skip
    return PayOrder(**(fields | changes))


def started(mpgs: MpgsProvider, order: PayOrder) -> tuple[PayOrder, dict[str, str]]:
    """The attempt as stored afterwards, and what gopay would answer as `pay`."""
    result = mpgs.pay("mpgs_checkout", order)
    assert isinstance(result, Initiated), result
    assert isinstance(result.instruction, Redirect)
    return replace(order, memo=result.memo), {"type": "redirect", "method": "GET", "url": result.instruction.url}


def control(sandbox: Running, path: str, **data: Any) -> Any:
    answer = sandbox.control("POST", path, data)
    assert answer.status == 200, answer.text
    return answer.json


def on_page(sandbox: Running, pay: dict[str, str], action: str) -> str:
    """What a payer does on the hosted page; where the browser is sent, if anywhere."""
    path = pay["url"].removeprefix(sandbox.url)
    assert sandbox.request("GET", path).status == 200
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return sandbox.request("POST", path, f"action={action}", headers).headers.get("location", "")


def came_back(mpgs: MpgsProvider, order: PayOrder, address: str) -> ReturnNotice:
    path, _, query = address.partition("?")
    return mpgs.parse_return(InboundRequest(method="GET", path=path, query=query), order)


def heard(mpgs: MpgsProvider, told: Told) -> Any:
    return mpgs.parse_notify(InboundRequest(method="POST", path=told.path, headers=told.headers, body=told.body))


def test_the_connection_check_is_content(mpgs: MpgsProvider) -> None:
    found = mpgs.check()
    assert found.ok, found


@pytest.mark.parametrize(("name", "value"), [("client_secret", "wrong"), ("client_auth", "body"), ("scope", "refunds")])
def test_the_check_tells_what_is_wrong(name: str, value: str, oauth: MpgsProvider, http: HttpClient) -> None:
    found = MpgsProvider({**oauth.config, name: value}, http=http).check()
    assert not found.ok
    assert ("scope" in found.message.en) == (name == "scope")


def test_the_check_of_mpgs_itself(accounts: dict[str, MpgsProvider], http: HttpClient) -> None:
    for change in ({"api_password": "wrong"}, {"merchant_id": "TEST00000000"}, {"api_version": 101}):
        assert not MpgsProvider({**accounts["basic"].config, **change}, http=http).check().ok
    assert MpgsProvider({**accounts["basic"].config, "api_version": 60}, http=http).check().ok


@pytest.mark.parametrize("amount", AMOUNTS, ids=str)
def test_paid_told_and_found_by_query(amount: Money, mpgs: MpgsProvider, merchant: Merchant, sandbox: Running) -> None:
    order, pay = started(mpgs, order_of(merchant, amount))
    assert mpgs.query(order).state is PaymentState.NOT_FOUND, "a session alone is no order"
    paid = control(sandbox, "/pay", attempt_no=order.order_no, pay=pay)
    assert paid["amount"] == amount.minor
    found = mpgs.query(order)
    assert (found.state, found.amount, found.refunded) == (PaymentState.PAID, amount, Money(0, amount.currency))
    assert (found.order_no, found.channel_trade_no) == (order.order_no, paid["channel_trade_no"])
    assert found.paid_at is not None
    assert abs((found.paid_at - datetime.now(UTC)).total_seconds()) < 60
    for told in merchant.wait(2):  # one after the authentication, one after the payment, in any order
        assert (heard(mpgs, told).kind, heard(mpgs, told).order_no) == (NoticeKind.HINT, order.order_no)
    assert came_back(mpgs, order, paid["return_url"]) == ReturnNotice(verified=True, order_no=order.order_no)


def test_older_versions_have_another_operation(
    accounts: dict[str, MpgsProvider], order: PayOrder, sandbox: Running, http: HttpClient
) -> None:
    mpgs = MpgsProvider({**accounts["basic"].config, "api_version": 62}, http=http)
    stored, pay = started(mpgs, order)
    control(sandbox, "/pay", attempt_no=order.order_no, pay=pay)
    assert mpgs.query(stored).state is PaymentState.PAID


@pytest.mark.parametrize(
    ("action", "verified"), [("pay", True), ("pay_wrong", False), ("pay_bare", False), ("pay_and_stay", None)]
)
def test_however_the_browser_comes_back_the_order_is_paid(
    action: str, verified: bool | None, mpgs: MpgsProvider, order: PayOrder, sandbox: Running
) -> None:
    order, pay = started(mpgs, order)
    location = on_page(sandbox, pay, action)
    assert bool(location) is (verified is not None)
    if location:
        assert came_back(mpgs, order, location).verified is verified
        assert came_back(mpgs, order, location).verified is verified, "again, later"
    assert mpgs.query(order).state is PaymentState.PAID


@pytest.mark.parametrize(("action", "word"), [("decline", "FAILED"), ("fail_3ds", "AUTHENTICATION_UNSUCCESSFUL")])
def test_after_a_failure_the_payer_may_try_again(
    action: str, word: str, mpgs: MpgsProvider, order: PayOrder, merchant: Merchant, sandbox: Running
) -> None:
    order, pay = started(mpgs, order)
    on_page(sandbox, pay, action)
    found = mpgs.query(order)
    assert (found.state, found.channel_state) == (PaymentState.UNPAID, word)
    assert heard(mpgs, merchant.wait(1)[0]).kind is NoticeKind.HINT
    back = came_back(mpgs, order, on_page(sandbox, pay, "give_up"))
    assert back == ReturnNotice(verified=False)
    on_page(sandbox, pay, "pay")
    assert mpgs.query(order).state is PaymentState.PAID


def test_abandoning_leaves_nothing(mpgs: MpgsProvider, order: PayOrder, sandbox: Running) -> None:
    order, pay = started(mpgs, order)
    location = on_page(sandbox, pay, "abandon")
    assert location == order.return_url
    assert came_back(mpgs, order, location) == ReturnNotice(verified=False)
    assert mpgs.query(order).state is PaymentState.NOT_FOUND
    assert mpgs.close(order).outcome is CloseOutcome.UNSUPPORTED


def test_the_same_order_again_is_another_session_of_the_one_order(
    mpgs: MpgsProvider, order: PayOrder, sandbox: Running
) -> None:
    started(mpgs, order)
    order, pay = started(mpgs, replace(order, expire_at=order.expire_at - timedelta(seconds=5)))
    control(sandbox, "/pay", attempt_no=order.order_no, pay=pay)
    refused = mpgs.pay("mpgs_checkout", replace(order, expire_at=order.expire_at - timedelta(seconds=9)))
    assert isinstance(refused, Refused)
    assert mpgs.query(order).state is PaymentState.PAID


def test_at_the_proxy_the_very_same_request_is_answered_the_same(oauth: MpgsProvider, order: PayOrder) -> None:
    fixed = MpgsProvider(oauth.config, http=oauth.http, clock=lambda: order.sent_at)
    assert fixed.pay("mpgs_checkout", order) == fixed.pay("mpgs_checkout", order)


@pytest.mark.parametrize(("paid", "word"), [(8000, "PARTIALLY_CAPTURED"), (9000, "CAPTURED")])
def test_another_amount_is_reported_as_captured(
    paid: int, word: str, mpgs: MpgsProvider, order: PayOrder, sandbox: Running
) -> None:
    order, pay = started(mpgs, order)
    control(sandbox, "/pay", attempt_no=order.order_no, pay=pay, amount=paid)
    found = mpgs.query(order)
    assert (found.state, found.amount, found.channel_state) == (PaymentState.PAID, Money(paid), word)


def test_a_refund_from_the_console_is_seen_and_told(
    mpgs: MpgsProvider, order: PayOrder, merchant: Merchant, sandbox: Running
) -> None:
    order, pay = started(mpgs, order)
    control(sandbox, "/pay", attempt_no=order.order_no, pay=pay, notify="none")
    control(sandbox, "/refunds", attempt_no=order.order_no, amount=1)
    found = mpgs.query(order)
    assert (found.state, found.refunded, found.channel_state) == (PaymentState.PAID, Money(1), "PARTIALLY_REFUNDED")
    assert heard(mpgs, merchant.wait(1)[0]).kind is NoticeKind.HINT
    control(sandbox, "/refunds", attempt_no=order.order_no, amount=8800)
    assert (mpgs.query(order).state, mpgs.query(order).channel_state) == (PaymentState.PAID, "REFUNDED")


# -- fakes


@pytest.mark.parametrize(
    ("kind", "error"),
    [("forged", BadSignature), ("unsigned", BadSignature), ("other_merchant", IdentityMismatch)],
)
def test_fakes_that_are_refused(
    kind: str, error: type[Exception], mpgs: MpgsProvider, order: PayOrder, merchant: Merchant, sandbox: Running
) -> None:
    started(mpgs, order)
    control(sandbox, "/notify", attempt_no=order.order_no, notify=kind)
    with pytest.raises(error):
        heard(mpgs, merchant.wait(1)[0])


def test_fakes_with_the_right_secret_are_no_more_than_hints(
    mpgs: MpgsProvider, order: PayOrder, merchant: Merchant, sandbox: Running
) -> None:
    order, _pay = started(mpgs, order)
    for kind in ("normal", "wrong_amount"):
        control(sandbox, "/notify", attempt_no=order.order_no, notify=kind)
    assert [heard(mpgs, t).kind for t in merchant.wait(2)] == [NoticeKind.HINT] * 2
    assert mpgs.query(order).state is PaymentState.NOT_FOUND, "nobody paid, whatever the webhooks said"
    control(sandbox, "/notify", attempt_no=order.order_no, notify="other_order")
    assert heard(mpgs, merchant.wait(3)[2]).order_no != order.order_no


def test_a_webhook_states_no_currency_to_be_wrong_about(mpgs: MpgsProvider, order: PayOrder, sandbox: Running) -> None:
    started(mpgs, order)
    for path in ("/notify", "/pay"):
        answer = sandbox.control("POST", path, {"attempt_no": order.order_no, "notify": "wrong_currency"})
        assert answer.status == 400


# -- tokens


def test_tokens_revoked_in_the_middle_of_their_lives(oauth: MpgsProvider, order: PayOrder, sandbox: Running) -> None:
    started(oauth, order)
    assert sandbox.control("DELETE", "/mpgs/tokens").json["revoked"] > 0
    assert oauth.query(order).state is PaymentState.NOT_FOUND
    assert sandbox.control("GET", f"/payments/{order.order_no}").json["calls"] == {"pay": 1, "query": 2}


@pytest.mark.parametrize("fault", ["http500", "reset", "garbage", "lost_reply", "timeout"])
def test_without_a_token_nothing_was_sent(
    fault: str, oauth: MpgsProvider, order: PayOrder, sandbox: Running, http: HttpClient
) -> None:
    fresh = MpgsProvider(oauth.config, http=http)
    control(sandbox, "/faults", channel="mpgs", operation="token", fault=fault, times=2, seconds=0.3)
    with time_limit(0.6), pytest.raises(NotSent):
        fresh.pay("mpgs_checkout", order)
    sandbox.control("DELETE", "/faults")
    assert sandbox.control("GET", f"/payments/{order.order_no}").status == 404
    assert isinstance(fresh.pay("mpgs_checkout", order), Initiated)


def test_a_slow_token_is_waited_for(oauth: MpgsProvider, order: PayOrder, sandbox: Running, http: HttpClient) -> None:
    control(sandbox, "/faults", channel="mpgs", operation="token", fault="slow", seconds=0.5)
    assert isinstance(MpgsProvider(oauth.config, http=http).pay("mpgs_checkout", order), Initiated)


# -- faults


@pytest.mark.parametrize("mode", ["oauth", "basic"])
@pytest.mark.parametrize("operation", ["pay", "query"])
@pytest.mark.parametrize(
    "fault", ["timeout", "http500", "reset", "bad_signature", "no_signature", "garbage", "lost_reply"]
)
def test_no_fault_is_ever_taken_for_an_answer(
    fault: str, operation: str, mode: str, accounts: dict[str, MpgsProvider], order: PayOrder, sandbox: Running
) -> None:
    mpgs = accounts[mode]
    if operation == "query":
        order, pay = started(mpgs, order)
        control(sandbox, "/pay", attempt_no=order.order_no, pay=pay, notify="none")
    control(sandbox, "/faults", channel="mpgs", operation=operation, fault=fault, seconds=0.2)
    try:
        with time_limit(1.0), pytest.raises(UnknownOutcome):
            mpgs.query(order) if operation == "query" else mpgs.pay("mpgs_checkout", order)
    finally:
        sandbox.control("DELETE", "/faults")
    if operation == "query":
        assert mpgs.query(order).state is PaymentState.PAID
    else:
        again, pay = started(mpgs, order)
        control(sandbox, "/pay", attempt_no=order.order_no, pay=pay)
        assert mpgs.query(again).state is PaymentState.PAID


def test_slow_is_an_answer_all_the_same(oauth: MpgsProvider, order: PayOrder, sandbox: Running) -> None:
    control(sandbox, "/faults", channel="mpgs", operation="pay", fault="slow", seconds=0.3)
    started(oauth, order)


@pytest.mark.parametrize("changes", [{"amount": Money(1, "EUR")}, {"order_no": "A" * 41}, {"return_url": "ftp://x"}])
def test_what_mpgs_refuses_is_a_refusal(changes: dict[str, Any], mpgs: MpgsProvider, merchant: Merchant) -> None:
    refused = mpgs.pay("mpgs_checkout", order_of(merchant, **changes))
    assert isinstance(refused, Refused)
    assert refused.code == "INVALID_REQUEST"
    assert ":" in refused.message, "the field is named"


def test_a_session_that_has_ended_takes_no_money(
    oauth: MpgsProvider, merchant: Merchant, tmp_path: Any, http: HttpClient
) -> None:
    shift = [0.0]
    running = Running(tmp_path / "later", Settings(), clock=lambda: datetime.now(UTC).timestamp() + shift[0])
    try:
        store = Store(tmp_path / "later")
        contract = sign_contract(store, "mpgs", mode="oauth", base_url=running.url)
        store.close()
        mpgs = MpgsProvider(clean_config(MpgsProvider, contract.config, datetime.now(UTC)), http=http)
        order, pay = started(mpgs, order_of(merchant))
        shift[0] = 1801
        answer = running.control("POST", "/pay", {"attempt_no": order.order_no, "pay": pay})
        assert answer.status == 409
        assert mpgs.query(order).state is PaymentState.NOT_FOUND
    finally:
        running.stop()
