"""Refunds as the bank's words have them: what is sent, what each word means, and which words count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.bank.provider import BankProvider
from channels.base import InboundRequest, NoticeKind, PayOrder, RefundOrder, RefundState
from paycenter.errors import BadSignature, MalformedInbound, UnknownOutcome
from paycenter.money import Money
from tests.channels.bank.conftest import NOW, make_provider
from tests.channels.bank.wire import SERIAL, BankServer, form, notice_fields, request_is_signed_by, signed

NUMBER, REFUND_SERIAL = "R20261121000000000001", "202611216600000000000001"
DONE = {"RefundSerialNo": REFUND_SERIAL, "RefundStatus": "SUCCESS", "Amount": "2.34", "RefundTime": "20261122090000"}
Says = Callable[..., None]


@pytest.fixture
def refund(order: PayOrder) -> RefundOrder:
    """Two days after the payment, whose day stays part of its name."""
    return RefundOrder(
        order=replace(order, channel_trade_no=SERIAL), refund_no=NUMBER, amount=Money(234),
        sent_at=NOW + timedelta(days=2), reason="多收\n水费 & 电费", notify_url=f"https://pay.example.com/refund/{NUMBER}",
    )  # fmt: skip


@pytest.fixture
def says(bank: BankServer, bank_key: RSAPrivateKey) -> Says:
    """The bank repeats what the question was about; None leaves a field out."""

    def prepare(code: str = "SUC0000", *, key: RSAPrivateKey | None = bank_key, **values: str | None) -> None:
        def reply(_path: str, asked: dict[str, str]) -> bytes:
            fields: dict[str, str | None] = {
                "MsgType": f"{asked['MsgType']}.answer", "BillNo": "0000000001", "Date": "20261121",
                "RefundNo": asked["RefundNo"], "RspCode": code, "RspMsg": "说明",
            } | values  # fmt: skip
            if key is None:
                return form({k: v for k, v in fields.items() if v is not None}).encode()
            return form(signed(fields, key)).encode()

        bank.reply = reply

    return prepare


def test_a_refund_names_payment_day_and_our_number(
    provider: BankProvider, bank: BankServer, merchant_key: RSAPrivateKey, refund: RefundOrder, says: Says
) -> None:
    says(**{**DONE, "RefundStatus": "PROCESSING", "RefundTime": None})
    found = provider.refund(refund)
    assert (found.state, found.refund_no, found.channel_refund_no) == (RefundState.PROCESSING, NUMBER, REFUND_SERIAL)
    path, sent = bank.received[0]
    assert path == "/netpay/refund"
    assert request_is_signed_by(merchant_key.public_key(), sent)
    wanted = {
        "MsgType": "refund", "BillNo": "0000000001", "Date": "20261121", "RefundNo": NUMBER, "Amount": "2.34",
        "NoticeUrl": refund.notify_url, "Reason": "多收 水费 ＆ 电费", "Timestamp": "20261121023005",
    }  # fmt: skip
    assert {name: sent[name] for name in wanted} == wanted


def test_the_same_refund_is_the_same_request_but_for_its_time(
    raw_config: dict[str, Any], bank: BankServer, refund: RefundOrder, says: Says
) -> None:
    says(**DONE)
    for now in (NOW, NOW + timedelta(days=2)):
        make_provider(raw_config, now).refund(replace(refund, reason=""))
    timed = ("Timestamp", "Signature")
    first, again = ({k: v for k, v in sent.items() if k not in timed} for _path, sent in bank.received)
    assert first == again
    assert "Reason" not in first, "an optional field without value is left out"


@pytest.mark.parametrize(
    ("word", "state"),
    [("PROCESSING", RefundState.PROCESSING), ("SUCCESS", RefundState.SUCCEEDED), ("FAILED", RefundState.FAILED)],
)
@pytest.mark.parametrize("call", ["refund", "query_refund"])
def test_states(
    provider: BankProvider, refund: RefundOrder, says: Says, call: str, word: str, state: RefundState
) -> None:
    says(**{**DONE, "RefundStatus": word})
    found = getattr(provider, call)(refund)
    assert (found.state, found.amount, found.channel_state, found.resendable) == (state, Money(234), word, False)
    assert found.finished_at == datetime(2026, 11, 22, 1, 0, tzinfo=UTC)


def test_asking_needs_the_number_only(
    provider: BankProvider, bank: BankServer, refund: RefundOrder, says: Says
) -> None:
    says(**DONE)
    provider.query_refund(refund)
    path, sent = bank.received[0]
    assert (path, sent["MsgType"], sent["RefundNo"]) == ("/netpay/refund/query", "refund_query", NUMBER)
    assert "BillNo" not in sent


@pytest.mark.parametrize("code", ["PAR0001", "ORD0001", "REF0001", "REF0004"])
def test_refused_in_words(provider: BankProvider, refund: RefundOrder, says: Says, code: str) -> None:
    says(code)
    found = provider.refund(refund)
    assert (found.state, found.code, found.message, found.resendable) == (RefundState.FAILED, code, "说明", False)


@pytest.mark.parametrize(
    "code", ["AUT0001", "AUT0002", "AUT0003", "ORD0003", "REF0002", "REF0003", "SYS9999", "XYZ", ""]
)
def test_every_other_word_leaves_it_open(provider: BankProvider, refund: RefundOrder, says: Says, code: str) -> None:
    """AUT… is about us and may answer a repeat, REF0002 is about another refund of this number."""
    says(code or None)
    with pytest.raises(UnknownOutcome):
        provider.refund(refund)


def test_never_heard_of_it(provider: BankProvider, refund: RefundOrder, says: Says) -> None:
    says("REF0003", BillNo=None, Date=None)
    found = provider.query_refund(refund)
    assert (found.state, found.resendable, found.amount) == (RefundState.NOT_FOUND, True, None)


@pytest.mark.parametrize("code", ["AUT0001", "AUT0002", "PAR0001", "ORD0001", "REF0001", "REF0004", "SYS9999"])
def test_only_no_such_refund_means_so(provider: BankProvider, refund: RefundOrder, says: Says, code: str) -> None:
    says(code)
    with pytest.raises(UnknownOutcome):
        provider.query_refund(refund)


@pytest.mark.parametrize("code", ["SUC0000", "REF0001", "REF0003", "REF0004"])
@pytest.mark.parametrize("key", ["foreign_key", "merchant_key", None])
def test_only_the_banks_signature_counts(
    provider: BankProvider, refund: RefundOrder, says: Says, code: str, key: str | None, request: pytest.FixtureRequest
) -> None:
    says(code, key=request.getfixturevalue(key) if key else None, **DONE)
    for call in (provider.refund, provider.query_refund):
        with pytest.raises(UnknownOutcome):
            call(refund)


@pytest.mark.parametrize(
    "changes",
    [
        {"RefundNo": "R2"}, {"RefundNo": None}, {"BillNo": "0000000002"}, {"BillNo": None}, {"Date": "20261120"},
        {"Amount": "2.35"}, {"Amount": None}, {"Amount": "2.340"}, {"RefundStatus": "DONE"}, {"RefundStatus": None},
        {"MsgType": "query.answer"}, {"CoNo": "000124"},
    ],
    ids=str,
)  # fmt: skip
def test_words_about_another_refund_are_unknown(
    provider: BankProvider, refund: RefundOrder, says: Says, changes: dict[str, str | None]
) -> None:
    says(**{**DONE, **changes})
    for call in (provider.refund, provider.query_refund):
        with pytest.raises(UnknownOutcome):
            call(refund)


@pytest.mark.parametrize("code", ["REF0001", "REF0003"])
def test_a_refusal_of_another_refund_is_unknown(
    provider: BankProvider, refund: RefundOrder, says: Says, code: str
) -> None:
    says(code, RefundNo="R2")
    for call in (provider.refund, provider.query_refund):
        with pytest.raises(UnknownOutcome):
            call(refund)


# -- notices


def told(key: RSAPrivateKey, **changes: str | None) -> InboundRequest:
    fields = notice_fields(**{
        "MsgType": "notice.refund", "RefundNo": NUMBER, "RefundSerialNo": REFUND_SERIAL, "RefundAmount": "2.34",
        "RefundStatus": "SUCCESS", **changes,
    })  # fmt: skip
    return InboundRequest(method="POST", path=f"/refund/{NUMBER}", body=form(signed(fields, key)).encode())


@pytest.mark.parametrize(
    ("word", "state"),
    [("SUCCESS", RefundState.SUCCEEDED), ("FAILED", RefundState.FAILED), ("PROCESSING", RefundState.PROCESSING),
     ("NEWWORD", None), (None, None)],
)  # fmt: skip
def test_a_notice_is_about_this_refund(
    provider: BankProvider, bank_key: RSAPrivateKey, word: str | None, state: RefundState | None
) -> None:
    found = provider.parse_notify(told(bank_key, RefundStatus=word))
    assert (found.kind, found.refund_state, found.state) == (NoticeKind.REFUND, state, None)
    assert (found.order_no, found.order_day, found.channel_trade_no) == ("0000000001", "20261121", SERIAL)
    assert (found.refund_no, found.channel_refund_no) == (NUMBER, REFUND_SERIAL)
    assert (found.amount, found.notice_id) == (Money(234), "n-1"), "not the payment's amount"


@pytest.mark.parametrize("name", ["RefundNo", "RefundAmount", "BillNo", "Date"])
def test_a_notice_that_does_not_say_of_what_is_malformed(
    provider: BankProvider, bank_key: RSAPrivateKey, name: str
) -> None:
    with pytest.raises(MalformedInbound):
        provider.parse_notify(told(bank_key, **{name: None}))


def test_a_forged_notice(provider: BankProvider, foreign_key: RSAPrivateKey) -> None:
    with pytest.raises(BadSignature):
        provider.parse_notify(told(foreign_key))


@pytest.mark.parametrize("kind", ["refund.answer", "refund_query.answer"])
def test_an_answer_is_no_notice(provider: BankProvider, bank_key: RSAPrivateKey, kind: str) -> None:
    with pytest.raises(BadSignature):
        provider.parse_notify(told(bank_key, MsgType=kind))
