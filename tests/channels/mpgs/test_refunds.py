"""Refunds as MPGS' words have them: what is sent through either door, what each word means, which words count."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import InboundRequest, NoticeKind, PaymentState, RefundOrder, RefundState
from channels.base.config import clean_config
from channels.base.reading import Unreadable, read_json
from channels.mpgs.provider import MpgsProvider
from channels.mpgs.reading import payment_id
from channels.mpgs.refunds import UNDECIDED_CODES, refund_state
from paycenter.errors import ChannelConfigInvalid, NotSent, UnknownOutcome
from paycenter.money import Money
from tests.channels.mpgs.conftest import NOW, new_order
from tests.channels.mpgs.wire import INVALID_TOKEN, MERCHANT, ORDER_NO, WEBHOOK_SECRET, error, order_json

NUMBER = "R20261121000000000001"
UNABLE = error("INVALID_REQUEST", f"Unable to find transaction {NUMBER} of order {ORDER_NO} for merchant {MERCHANT}")


def new_refund(amount: Money | None = None, **changes: Any) -> RefundOrder:
    """Of the payment's own day, in the time zone of China, an hour after it was started."""
    amount = amount or Money(2340)
    order = new_order(channel_trade_no=ORDER_NO, amount=Money(12345, amount.currency))
    fields: dict[str, Any] = {
        "order": order, "refund_no": NUMBER, "amount": amount, "sent_at": NOW + timedelta(hours=1),
        "reason": "多收", "notify_url": f"https://center.example.com/refund/{NUMBER}",
    }  # fmt: skip
    return RefundOrder(**(fields | changes))


@pytest.fixture
def refund() -> RefundOrder:
    return new_refund()


@pytest.fixture
def whole() -> RefundOrder:
    return new_refund(Money(12345), full=True)


def entry_json(**changes: Any) -> dict[str, Any]:
    """A transaction as REFUND and Retrieve Transaction answer it; `transaction` changes the inner one."""
    inner = {"id": NUMBER, "type": "REFUND", "amount": 23.4, "currency": "CNY", "receipt": "632506000123"}
    data = {
        "merchant": MERCHANT, "result": "SUCCESS", "timeOfRecord": "2026-11-21T07:20:01.156Z", "version": "72",
        "order": {"id": ORDER_NO, "status": "PARTIALLY_REFUNDED", "amount": 123.45, "currency": "CNY"},
        "response": {"gatewayCode": "APPROVED", "acquirerMessage": "Approved"},
    }  # fmt: skip
    made = data | changes | {"transaction": inner | changes.get("transaction", {})}
    return {k: v for k, v in made.items() if v is not None}


# -- sending


def test_the_proxy_is_asked_under_our_number(provider, refund, platform):
    platform.says(200, entry_json())
    found = provider.refund(refund)
    assert (found.state, found.refund_no, found.amount) == (RefundState.SUCCEEDED, NUMBER, Money(2340))
    assert (found.channel_refund_no, found.code, found.message) == ("632506000123", "APPROVED", "Approved")
    assert found.finished_at == datetime(2026, 11, 21, 7, 20, 1, 156000, tzinfo=UTC)
    (asked,) = platform.calls
    assert (asked.method, asked.path) == ("PUT", f"/payments/{ORDER_NO}/refunds/{NUMBER}")
    assert asked.headers["idempotency-key"] == NUMBER
    details = {"amount": "23.40", "currency": "CNY", "reference": NUMBER}
    assert asked.json == {"apiOperation": "REFUND", "transaction": details}


def test_mpgs_itself_has_another_address(direct, refund, platform):
    platform.says(200, entry_json())
    platform.says(200, entry_json())
    assert direct.refund(refund).state is direct.query_refund(refund).state is RefundState.SUCCEEDED
    path = f"/api/rest/version/72/merchant/{MERCHANT}/order/{ORDER_NO}/transaction/{NUMBER}"
    assert [(a.method, a.path) for a in platform.calls] == [("PUT", path), ("GET", path)]
    assert "idempotency-key" not in platform.calls[0].headers


@pytest.mark.parametrize(
    ("amount", "written", "answered"),
    [
        (Money(2340), "23.40", b"23.4"), (Money(500, "JPY"), "500", b"500"), (Money(1234, "KWD"), "1.234", b"1.234"),
        (Money(29, "USD"), "0.29", b"0.29"), (Money(10**11, "USD"), "1000000000.00", b"1000000000"),
        (Money(100, "JPY"), "100", b"1E+2"), (Money(2340), "23.40", b'"23.40"'),
    ],
    ids=str,
)  # fmt: skip
def test_amounts_are_decimals_of_their_currency(amount, written, answered, provider, platform):
    body = json.dumps(entry_json(transaction={"amount": 7777, "currency": amount.currency})).encode()
    platform.says(200, body.replace(b"7777", answered))
    assert provider.refund(new_refund(amount)).amount == amount
    assert platform.calls[0].json["transaction"]["amount"] == written


@pytest.mark.parametrize(
    ("result", "code", "state"),
    [
        ("SUCCESS", "APPROVED", RefundState.SUCCEEDED),
        ("SUCCESS", "APPROVED_PENDING_SETTLEMENT", RefundState.SUCCEEDED),
        ("PENDING", "TIMED_OUT", RefundState.PROCESSING), ("PENDING", None, RefundState.PROCESSING),
        ("FAILURE", "DECLINED", RefundState.FAILED), ("FAILURE", "INSUFFICIENT_FUNDS", RefundState.FAILED),
        ("FAILURE", None, RefundState.FAILED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", ["refund", "query_refund"])
def test_results(call, result, code, state, provider, refund, platform):
    platform.says(200, entry_json(result=result, response={"gatewayCode": code}))
    found = getattr(provider, call)(refund)
    assert (found.state, found.code, found.resendable) == (state, code or "", False)
    assert (found.finished_at is None) == (state is not RefundState.SUCCEEDED)


OPEN = [{"result": "FAILURE", "response": {"gatewayCode": code}} for code in sorted(UNDECIDED_CODES)]
OTHER = [
    {"result": "UNKNOWN"}, {"result": "ERROR"}, {"result": "success"}, {"result": None}, {"result": ["SUCCESS"]},
    {"merchant": "20230212"}, {"merchant": None}, {"order": {"id": "20261121A0000000000000000002"}}, {"order": None},
    {"order": "x"}, {"transaction": {"id": "R2"}}, {"transaction": {"id": None}}, {"transaction": {"type": "PAYMENT"}},
    {"transaction": {"type": "CAPTURE"}}, {"transaction": {"type": None}}, {"transaction": {"amount": 23.41}},
    {"transaction": {"amount": None}}, {"transaction": {"amount": True}}, {"transaction": {"currency": "USD"}},
    {"transaction": {"currency": None}},
]  # fmt: skip


@pytest.mark.parametrize("changes", [*OPEN, *OTHER], ids=str)
@pytest.mark.parametrize("call", ["refund", "query_refund"])
def test_words_that_are_not_clearly_about_this_refund_are_unknown(call, changes, provider, refund, platform):
    platform.says(200, entry_json(**changes))
    with pytest.raises(UnknownOutcome):
        getattr(provider, call)(refund)


@pytest.mark.parametrize("cause", ["INVALID_REQUEST", "REQUEST_REJECTED"])
def test_a_refusal_counts_where_there_is_no_such_transaction(cause, provider, refund, platform):
    platform.says(400, error(cause, "Requested refund exceeds what is left"))
    platform.says(400, UNABLE)
    found = provider.refund(refund)
    assert (found.state, found.code, found.resendable) == (RefundState.FAILED, cause, False)
    assert "exceeds" in found.message
    assert [asked.method for asked in platform.calls] == ["PUT", "GET"]


@pytest.mark.parametrize(
    ("result", "state"),
    [("SUCCESS", RefundState.SUCCEEDED), ("PENDING", RefundState.PROCESSING), ("FAILURE", RefundState.FAILED)],
)
def test_a_repeat_called_known_already_is_the_first_one(result, state, provider, refund, platform):
    platform.says(400, error("INVALID_REQUEST", f"Transaction {NUMBER} exists already"))
    platform.says(200, entry_json(result=result))
    assert provider.refund(refund).state is state


@pytest.mark.parametrize(("status", "body"), [(500, b""), (400, error("SERVER_BUSY")), (200, b"x"), (401, b"")])
def test_a_refusal_that_cannot_be_checked_is_unknown(status, body, provider, refund, platform):
    platform.says(400, error("REQUEST_REJECTED", "no"))
    platform.says(status, body)
    with pytest.raises(UnknownOutcome):
        provider.refund(refund)


def test_a_refusal_after_which_nobody_answers_is_not_unsent(provider, refund, platform, monkeypatch):
    def gone(*_args: Any) -> None:
        raise NotSent("no connection")

    platform.says(400, error("REQUEST_REJECTED", "no"))
    monkeypatch.setattr(provider.gateway, "retrieve_refund", gone)
    with pytest.raises(UnknownOutcome):
        provider.refund(refund)


UNCLEAR = [
    (400, error("SERVER_BUSY", "later")), (400, error("SERVER_FAILED", "broken")),
    (403, {"error": "insufficient_scope"}), (400, {"error": "invalid_request"}), (401, b""), (404, b"<html>"),
    (408, UNABLE), (429, UNABLE), (400, b""),
    (500, entry_json()), (202, entry_json()), (302, entry_json()), (200, b"x"), (204, b""),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), UNCLEAR)
def test_everything_else_leaves_it_open(status, body, provider, refund, platform):
    for call in (provider.refund, provider.query_refund):
        platform.says(status, body)
        with pytest.raises(UnknownOutcome):
            call(refund)


def test_a_broken_connection_leaves_it_open(provider, refund, platform):
    for call in (provider.refund, provider.query_refund):
        platform.says(200, entry_json(), drop=True)
        with pytest.raises(UnknownOutcome):
            call(refund)


def test_an_invalid_token_is_changed_once_and_the_refund_is_the_same(provider, refund, platform):
    platform.says(401, {"error": "invalid_token"}, headers=INVALID_TOKEN)
    platform.says(200, entry_json())
    assert provider.refund(refund).state is RefundState.SUCCEEDED
    first, again = platform.calls
    assert (first.path, first.body) == (again.path, again.body)


# -- asking


def test_never_heard_of_it(provider, refund, platform):
    platform.says(400, UNABLE)
    found = provider.query_refund(refund)
    assert (found.state, found.resendable, found.amount) == (RefundState.NOT_FOUND, True, None)
    (asked,) = platform.calls
    assert (asked.method, asked.path, asked.body) == ("GET", f"/payments/{ORDER_NO}/refunds/{NUMBER}", b"")


def test_without_the_order_there_is_no_refund_of_it(provider, refund, platform):
    platform.says(400, error("INVALID_REQUEST", f"Unable to find order {ORDER_NO} for merchant {MERCHANT}"))
    assert provider.query_refund(refund).state is RefundState.NOT_FOUND


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, UNABLE), (400, error("INVALID_REQUEST", f"Unable to find transaction {NUMBER}9 of order {ORDER_NO}")),
        (400, error("INVALID_REQUEST", "Unable to find transaction")), (400, error("SERVER_BUSY", "Unable to find")),
        (400, error("INVALID_REQUEST", "Unable to find order A1 for merchant M")),
        (400, error("INVALID_REQUEST", f"Missing parameter {NUMBER}")),
        (400, error("REQUEST_REJECTED", UNABLE["error"]["explanation"])),
    ],
)  # fmt: skip
def test_only_no_such_transaction_means_so(status, body, provider, refund, platform):
    platform.says(status, body)
    with pytest.raises(UnknownOutcome):
        provider.query_refund(refund)


# -- voids


def voids(make: Any, **changes: Any) -> MpgsProvider:
    return make(full_refund_before_settlement="void", **changes)


def paid_json() -> dict[str, Any]:
    """The second try was paid."""
    return order_json(transaction=[
        {"result": "FAILURE", "transaction": {"type": "PAYMENT", "id": "1"}},
        {"result": "SUCCESS", "transaction": {"type": "PAYMENT", "id": "2"}},
    ])  # fmt: skip


def void_json(**changes: Any) -> dict[str, Any]:
    return entry_json(transaction={"type": "VOID_PAYMENT", "amount": 123.45}, **changes)


def test_the_whole_payment_of_today_is_voided_where_the_account_says_so(make, whole, platform):
    for _ in range(2):
        platform.says(200, paid_json())
        platform.says(200, void_json())
        found = voids(make).refund(whole)
        assert (found.state, found.amount) == (RefundState.SUCCEEDED, Money(12345))
    order, first, _order, again = platform.calls
    assert (order.method, order.path) == ("GET", f"/payments/{ORDER_NO}")
    assert first.json == {"apiOperation": "VOID", "transaction": {"targetTransactionId": "2", "reference": NUMBER}}
    assert (first.method, first.path, first.body) == (again.method, again.path, again.body)
    assert first.path == f"/payments/{ORDER_NO}/refunds/{NUMBER}"


@pytest.mark.parametrize(
    ("zone", "changes"),
    [
        ("+0800", {"full": False}), ("+0800", {"sent_at": NOW + timedelta(days=1)}),
        ("+0800", {"sent_at": datetime(2026, 11, 21, 16, 0, tzinfo=UTC)}),
        ("-0700", {"sent_at": datetime(2026, 11, 21, 7, 1, tzinfo=UTC)}),
    ],
)  # fmt: skip
def test_a_part_or_another_day_is_refunded(zone, changes, make, whole, platform):
    platform.says(200, entry_json(transaction={"amount": 123.45}))
    assert voids(make, acquirer_time_zone=zone).refund(replace(whole, **changes)).state is RefundState.SUCCEEDED
    assert [asked.json["apiOperation"] for asked in platform.calls] == ["REFUND"]


def test_the_day_does_not_depend_on_when_it_is_sent_again(make, whole, platform, clock):
    clock.forward(3 * 86400)
    platform.says(200, paid_json())
    platform.says(200, void_json())
    voids(make).refund(whole)
    assert platform.calls[1].json["apiOperation"] == "VOID"


def test_without_the_words_it_is_a_refund(provider, whole, platform):
    platform.says(200, entry_json(transaction={"amount": 123.45}))
    provider.refund(whole)
    assert platform.calls[0].json["apiOperation"] == "REFUND"


@pytest.mark.parametrize("call", ["query_refund", "refund"])
def test_a_void_is_recognised_whatever_the_account_says_now(call, provider, whole, platform):
    platform.says(200, void_json())
    assert getattr(provider, call)(whole).state is RefundState.SUCCEEDED


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, order_json(transaction=[])), (200, order_json(id="A2")), (200, order_json(merchant="M2")), (500, b""),
     (400, error("INVALID_REQUEST", f"Unable to find order {ORDER_NO} for merchant {MERCHANT}"))],
)  # fmt: skip
def test_without_a_payment_to_name_nothing_is_voided(status, body, make, whole, platform):
    platform.says(status, body)
    with pytest.raises(UnknownOutcome):
        voids(make).refund(whole)
    assert [asked.method for asked in platform.calls] == ["GET"]


def test_a_voided_payment_was_paid_and_given_back(provider, order, platform):
    void = {"type": "VOID_PAYMENT", "amount": 123.45, "currency": "CNY"}
    entries = [*paid_json()["transaction"], {"result": "SUCCESS", "transaction": void}]
    platform.says(200, order_json(status="CANCELLED", totalCapturedAmount=0, transaction=entries))
    found = provider.query(order)
    assert (found.state, found.amount, found.refunded) == (PaymentState.PAID, Money(12345), Money(12345))
    assert (found.channel_state, found.channel_trade_no) == ("CANCELLED", ORDER_NO)
    entries[-1]["result"] = "FAILURE"
    platform.says(200, order_json(status="CANCELLED", transaction=entries))
    assert provider.query(order).state is PaymentState.CLOSED


def test_the_accounts_form(raw_config):
    config = clean_config(MpgsProvider, raw_config, NOW)
    assert config["full_refund_before_settlement"] == "refund"
    assert "acquirer_time_zone" not in config
    voiding = {**raw_config, "full_refund_before_settlement": "void"}
    assert clean_config(MpgsProvider, voiding, NOW)["acquirer_time_zone"] == "+0800"
    for zone in ("Asia/Shanghai", "+8", "+1500", "+0860", "0800"):
        with pytest.raises(ChannelConfigInvalid):
            clean_config(MpgsProvider, {**voiding, "acquirer_time_zone": zone}, NOW)


def test_an_account_stored_before_there_was_the_choice_refunds(raw_config, http, clock, whole, platform):
    config = clean_config(MpgsProvider, raw_config, NOW)
    del config["full_refund_before_settlement"]
    platform.says(200, entry_json(transaction={"amount": 123.45}))
    MpgsProvider(config, http=http, clock=clock).refund(whole)
    assert platform.calls[0].json["apiOperation"] == "REFUND"


# -- webhooks, and a recorded transaction


def webhook(provider: MpgsProvider, data: Any) -> Any:
    headers = {"x-notification-secret": WEBHOOK_SECRET}
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return provider.parse_notify(InboundRequest(method="POST", path="/n", headers=headers, body=body))


@pytest.mark.parametrize("kind", ["REFUND", "VOID_PAYMENT"])
def test_a_webhook_about_a_refund_is_a_hint_that_names_it(kind, provider):
    found = webhook(provider, entry_json(transaction={"type": kind}))
    assert (found.kind, found.order_no, found.refund_no) == (NoticeKind.HINT, ORDER_NO, NUMBER)
    assert (found.refund_state, found.amount) == (None, None), "nothing it says counts"


@pytest.mark.parametrize("changes", [{"transaction": {"type": "PAYMENT"}}, {"transaction": {"type": ["REFUND"]}},
                                     {"transaction": {"id": 7}}], ids=str)  # fmt: skip
def test_other_webhooks_name_no_refund(changes, provider):
    assert webhook(provider, entry_json(**changes)).refund_no is None


@pytest.mark.skipif(not os.environ.get("PAYCENTER_VECTORS"), reason="PAYCENTER_VECTORS names no folder of samples")
def test_a_recorded_transaction_is_read_where_it_gives_back_and_refused_where_it_takes():
    """A payment's: the shape of every transaction. As a refund's, only its type and its numbers would differ."""
    body = (Path(os.environ["PAYCENTER_VECTORS"]) / "mpgs" / "pay-api.json").read_bytes()
    data = read_json(body)
    order = new_order(order_no="OrdID_118", amount=Money(100, "SAR"))
    refund = new_refund(Money(100, "SAR"), order=order, refund_no="1")
    with pytest.raises(Unreadable, match="gives nothing back"):
        refund_state(data, refund, merchant_id="<Merchant ID>")
    given_back = data | {"transaction": data["transaction"] | {"type": "REFUND"}}
    found = refund_state(given_back, refund, merchant_id="<Merchant ID>")
    assert (found.state, found.amount, found.code) == (RefundState.SUCCEEDED, Money(100, "SAR"), "APPROVED")
    assert (found.channel_refund_no, found.message) == ("104214137174", "Approved")
    assert found.finished_at == datetime(2021, 2, 11, 14, 13, 55, 156000, tzinfo=UTC)
    assert payment_id({"transaction": [data]}) == "1"
