"""Query, close and the connection check: only the bank's explicit, signed words about this very order count."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.bank.provider import BankProvider
from channels.bank.reading import parse_amount
from channels.base import CloseOutcome, OrderRef, PaymentState, PayOrder, keys
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import recording, time_limit
from paycenter.money import Money
from tests.channels.bank.conftest import NOW, TODAY, make_provider
from tests.channels.bank.wire import BRANCH, CO_NO, SERIAL, BankServer, form, request_is_signed_by, signed

Answering = Callable[..., None]
PAID = {
    "OrderStatus": "PAID", "Amount": "12.34", "BankSerialNo": SERIAL, "PaidTime": "20261121023107",
    "CardType": "CREDIT", "PayerAccount": "622588******1234",
}  # fmt: skip


class TestQuery:
    def test_what_is_asked(
        self, provider: BankProvider, order: PayOrder, bank: BankServer, answering: Answering,
        merchant_key: RSAPrivateKey,
    ) -> None:  # fmt: skip
        answering(OrderStatus="UNPAID", Amount="12.34")
        provider.query(order)
        path, sent = bank.received[0]
        assert path == "/netpay/query"
        assert request_is_signed_by(merchant_key.public_key(), sent)
        assert {k: v for k, v in sent.items() if k != "Signature"} == {
            "Version": "1.0", "MsgType": "query", "SignType": "RSA2", "BranchID": BRANCH, "CoNo": CO_NO,
            "BillNo": "0000000001", "Date": TODAY, "Timestamp": "20261121023005",
        }  # fmt: skip

    def test_the_day_asked_for_is_the_orders_not_todays(
        self, raw_config: dict[str, Any], order: PayOrder, bank: BankServer, answering: Answering
    ) -> None:
        answering(OrderStatus="UNPAID", Amount="12.34")
        late = make_provider(raw_config, NOW + timedelta(days=3))
        before_midnight = replace(order, sent_at=datetime(2026, 11, 20, 15, 59, 59, tzinfo=UTC))
        late.query(before_midnight)
        assert (bank.received[0][1]["Date"], bank.received[0][1]["Timestamp"][:8]) == ("20261120", "20261124")

    def test_paid(self, provider: BankProvider, order: PayOrder, answering: Answering) -> None:
        answering(**PAID)
        found = provider.query(order)
        assert (found.state, found.order_no, found.amount) == (PaymentState.PAID, order.order_no, Money(1234))
        assert found.channel_trade_no == SERIAL
        assert found.paid_at == datetime(2026, 11, 20, 18, 31, 7, tzinfo=UTC)
        assert (found.payer_id, found.funding, found.refunded) == ("622588******1234", "CREDIT", None)

    def test_paid_and_given_back(self, provider: BankProvider, order: PayOrder, answering: Answering) -> None:
        answering(**PAID, RefundedAmount="12.34")
        found = provider.query(order)
        assert (found.state, found.refunded) == (PaymentState.PAID, Money(1234))

    @pytest.mark.parametrize(
        ("word", "state"),
        [("UNPAID", PaymentState.UNPAID), ("CLOSED", PaymentState.CLOSED), ("EXPIRED", PaymentState.CLOSED)],
    )
    def test_not_paid(
        self, provider: BankProvider, order: PayOrder, answering: Answering, word: str, state: PaymentState
    ) -> None:
        answering(OrderStatus=word, Amount="12.34")
        found = provider.query(order)
        assert (found.state, found.channel_state, found.channel_trade_no) == (state, word, None)

    def test_not_found(self, provider: BankProvider, order: PayOrder, answering: Answering) -> None:
        answering("ORD0001")
        assert provider.query(order).state is PaymentState.NOT_FOUND

    @pytest.mark.parametrize(
        ("code", "values"),
        [
            ("SUC0000", {"OrderStatus": "PROCESSING", "Amount": "12.34"}),
            ("SUC0000", {"OrderStatus": "paid", "Amount": "12.34"}),
            ("SUC0000", {"Amount": "12.34"}),
            ("SUC0000", {**PAID, "Amount": None}),
            ("SUC0000", {**PAID, "Amount": "12.3"}),
            ("SUC0000", {**PAID, "Amount": "1,234.00"}),
            ("SUC0000", {**PAID, "BankSerialNo": None}),
            ("SUC0000", {**PAID, "BillNo": "0000000002"}),
            ("SUC0000", {**PAID, "Date": "20261120"}),  # the same number, yesterday
            ("SUC0000", {**PAID, "BillNo": None}),
            ("SUC0000", {**PAID, "Date": None}),
            ("SUC0000", {**PAID, "BranchID": "0756"}),
            ("SUC0000", {**PAID, "CoNo": "000124"}),
            ("SUC0000", {**PAID, "MsgType": "notice.payment"}),
            ("SUC0000", {**PAID, "MsgType": "close.answer"}),
            ("SUC0000", {**PAID, "SignType": "RSA"}),
            ("ORD0001", {"Date": "20261120"}),
            ("SYS9999", {}),
            ("AUT0002", {}),
            ("PAR0001", {}),
            ("ORD0009", {}),
            ("", PAID),
        ],
        ids=str,
    )  # fmt: skip
    def test_everything_else_is_unknown(
        self, provider: BankProvider, order: PayOrder, answering: Answering, code: str, values: dict[str, Any]
    ) -> None:
        answering(code or None, **values)
        with pytest.raises(UnknownOutcome):
            provider.query(order)

    @pytest.mark.parametrize("code", ["SUC0000", "ORD0001", "AUT0001"])
    def test_unsigned_words_decide_nothing(
        self, provider: BankProvider, order: PayOrder, answering: Answering, code: str
    ) -> None:
        answering(code, key=None, **PAID)
        with pytest.raises(UnknownOutcome):
            provider.query(order)

    def test_another_banks_signature(
        self, provider: BankProvider, order: PayOrder, answering: Answering,
        foreign_key: RSAPrivateKey, merchant_key: RSAPrivateKey,
    ) -> None:  # fmt: skip
        for key in (foreign_key, merchant_key):
            answering(key=key, **PAID)
            with pytest.raises(UnknownOutcome, match="signature"):
                provider.query(order)

    @pytest.mark.parametrize(
        "change",
        [
            lambda f: {**f, "Amount": "99.99"}, lambda f: {**f, "OrderStatus": "UNPAID"}, lambda f: {**f, "Extra": "1"},
            lambda f: {k: v for k, v in f.items() if k != "PaidTime"}, lambda f: {**f, "Signature": "AAAA"},
            lambda f: {**f, "Signature": f["Signature"][:-4] + "AAA="},
        ],
    )  # fmt: skip
    def test_a_changed_answer(
        self, provider: BankProvider, order: PayOrder, bank: BankServer, bank_key: RSAPrivateKey, change: Any
    ) -> None:
        named = {"MsgType": "query.answer", "BillNo": order.order_no, "Date": TODAY, "RspCode": "SUC0000"}
        bank.reply = lambda _path, _asked: form(change(signed({**named, **PAID}, bank_key))).encode()
        with pytest.raises(UnknownOutcome):
            provider.query(order)

    def test_sha1_is_no_signature(
        self, provider: BankProvider, order: PayOrder, bank: BankServer, bank_key: RSAPrivateKey
    ) -> None:
        named = {"MsgType": "query.answer", "BillNo": order.order_no, "Date": TODAY, "RspCode": "SUC0000"}
        bank.reply = lambda _path, _asked: form(signed({**named, **PAID}, bank_key, hashes.SHA1())).encode()
        with pytest.raises(UnknownOutcome):
            provider.query(order)

    @pytest.mark.parametrize(
        "reply",
        [b"", b"{}", b"<html></html>", b"\xff\xfe", b"a", b"RspCode=SUC0000&RspCode=SUC0000", b"A=%FF", b"A=",
         b"A=1%262", b"a&b=1", (500, b"RspCode=SUC0000"), (302, b""), (404, b"")],
        ids=str,
    )  # fmt: skip
    def test_no_readable_answer(self, provider: BankProvider, order: PayOrder, bank: BankServer, reply: Any) -> None:
        bank.reply = lambda _path, _asked: reply
        with pytest.raises(UnknownOutcome):
            provider.query(order)


class TestClose:
    @pytest.mark.parametrize(
        ("code", "values", "outcome"),
        [
            ("SUC0000", {"OrderStatus": "CLOSED"}, CloseOutcome.CLOSED),
            ("ORD0001", {}, CloseOutcome.NOT_FOUND),
            ("ORD0002", {}, CloseOutcome.REFUSED),
            ("ORD0003", {}, CloseOutcome.REFUSED),
        ],
    )
    def test_explicit_words(
        self, provider: BankProvider, order: PayOrder, bank: BankServer, answering: Answering,
        code: str, values: dict[str, str], outcome: CloseOutcome,
    ) -> None:  # fmt: skip
        answering(code, **values)
        assert provider.close(order).outcome is outcome
        assert bank.received[0][0] == "/netpay/close"
        assert bank.received[0][1]["MsgType"] == "close"
        assert bank.received[0][1]["Date"] == TODAY

    @pytest.mark.parametrize(
        ("code", "values"),
        [("SUC0000", {"OrderStatus": "UNPAID"}), ("SUC0000", {}), ("SYS9999", {}), ("ORD0002", {"Date": "20261120"}),
         ("SUC0000", {"OrderStatus": "CLOSED", "BillNo": "0000000002"})],
        ids=str,
    )  # fmt: skip
    def test_anything_else_is_unknown(
        self, provider: BankProvider, order: PayOrder, answering: Answering, code: str, values: dict[str, str]
    ) -> None:
        answering(code, **values)
        with pytest.raises(UnknownOutcome):
            provider.close(order)

    def test_an_unsigned_closed_is_not_believed(
        self, provider: BankProvider, order: PayOrder, answering: Answering
    ) -> None:
        answering(key=None, OrderStatus="CLOSED")
        with pytest.raises(UnknownOutcome):
            provider.close(order)


def test_a_slow_bank_is_unknown_and_an_absent_one_was_not_sent(
    provider: BankProvider, raw_config: dict[str, Any], order: OrderRef, bank: BankServer
) -> None:
    def slow(_path: str, _asked: dict[str, str]) -> bytes:
        time.sleep(1)
        return b""

    bank.reply = slow
    with time_limit(0.2), pytest.raises(UnknownOutcome):
        provider.query(order)
    with pytest.raises(NotSent):
        make_provider({**raw_config, "gateway_url": "http://127.0.0.1:1/netpay"}).query(order)


class TestConnectionCheck:
    @pytest.mark.parametrize("digits", ["6", "10"])
    def test_signed_no_such_order_proves_both_keys(
        self, raw_config: dict[str, Any], bank: BankServer, answering: Answering, digits: str
    ) -> None:
        answering("ORD0001")
        assert make_provider({**raw_config, "order_no_digits": digits}).check().ok
        asked = bank.received[0][1]
        assert asked["BillNo"] == "0" * int(digits)  # the center counts from 1: nobody's order
        assert asked["Date"] == TODAY

    def test_the_same_words_unsigned_prove_nothing(self, provider: BankProvider, answering: Answering) -> None:
        answering("ORD0001", key=None)
        assert not provider.check().ok

    @pytest.mark.parametrize(
        ("code", "zh", "en"),
        [("AUT0001", "商户号", "merchant number"), ("AUT0002", "签名", "signature"), ("AUT0003", "时钟", "clock"),
         ("PAR0001", "PAR0001", "PAR0001")],
    )  # fmt: skip
    def test_refusals_are_explained(
        self, provider: BankProvider, answering: Answering, code: str, zh: str, en: str
    ) -> None:
        answering(code)
        found = provider.check()
        assert not found.ok
        assert zh in found.message.zh
        assert en in found.message.en

    def test_an_unknown_merchant_is_told_without_a_signature(
        self, provider: BankProvider, bank: BankServer
    ) -> None:
        bank.reply = lambda _path, _asked: form({"RspCode": "AUT0001", "RspMsg": "商户不存在"}).encode()
        assert "does not know" in provider.check().message.en

    def test_wrong_bank_key(self, provider: BankProvider, answering: Answering, foreign_key: RSAPrivateKey) -> None:
        answering("ORD0001", key=foreign_key)
        found = provider.check()
        assert not found.ok
        assert "银行公钥" in found.message.zh

    def test_unreachable(self, raw_config: dict[str, Any]) -> None:
        found = make_provider({**raw_config, "gateway_url": "http://127.0.0.1:1/x"}).check()
        assert not found.ok
        assert "无法连接" in found.message.zh


def test_no_error_and_no_log_holds_a_key(
    raw_config: dict[str, Any], order: PayOrder, bank: BankServer, merchant_key: RSAPrivateKey
) -> None:
    provider = make_provider(raw_config)
    secret = keys.private_key_pem(merchant_key)[60:120]
    bank.reply = lambda _path, _asked: b"garbage"
    with recording() as calls, pytest.raises(UnknownOutcome) as caught:
        provider.query(order)
    assert secret not in repr(caught.value) + repr(provider) + repr(calls)


@pytest.mark.parametrize(
    ("text", "minor"),
    [("0.01", 1), ("0.00", 0), ("1234.50", 123450), ("1000000000.00", 10**11), ("01.00", None), ("1.0", None),
     ("1", None), ("-1.00", None), (" 1.00", None), ("1.00\n", None), ("١.00", None), ("1e2", None), ("", None),
     (".10", None), ("1.000", None)],
)  # fmt: skip
def test_amounts_have_exactly_two_decimals(text: str, minor: int | None) -> None:
    found = parse_amount(text)
    assert (found.minor if found else None) == minor
