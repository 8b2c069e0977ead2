"""Notices and returns: genuine words about this order of this day count, everything else moves nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.bank.provider import BankProvider
from channels.base import InboundRequest, NoticeKind, PaymentState, PayOrder
from paycenter.errors import BadSignature, IdentityMismatch, InboundRefused, MalformedInbound
from paycenter.money import Money
from tests.channels.bank.wire import SERIAL, form, notice_fields, signed


def posted(body: str | bytes) -> InboundRequest:
    raw = body if isinstance(body, bytes) else body.encode()
    return InboundRequest(method="POST", path="/notify/bank_pc/A0000000000000001", body=raw)


def returned(query: str) -> InboundRequest:
    return InboundRequest(method="GET", path="/return/bank_pc/A0000000000000001", query=query)


class TestGenuine:
    def test_everything_the_core_needs_is_there(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        notice = provider.parse_notify(posted(form(signed(notice_fields(), bank_key))))
        assert (notice.kind, notice.state) == (NoticeKind.PAYMENT, PaymentState.PAID)
        assert (notice.order_no, notice.order_day) == ("0000000001", "20261121")
        assert (notice.amount, notice.channel_trade_no) == (Money(1234), SERIAL)
        assert notice.paid_at == datetime(2026, 11, 20, 18, 31, 7, tzinfo=UTC)
        assert (notice.payer_id, notice.funding) == ("622588******1234", "CREDIT")
        assert (notice.notice_id, notice.refund_no) == ("n-1", None)

    def test_six_digits_keep_their_zeros(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        body = form(signed(notice_fields(BillNo="000001"), bank_key))
        assert provider.parse_notify(posted(body)).order_no == "000001"

    def test_the_same_number_on_two_days_is_two_orders(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        found = [
            provider.parse_notify(posted(form(signed(notice_fields(Date=day), bank_key))))
            for day in ("20261120", "20261121")
        ]
        assert [(n.order_no, n.order_day) for n in found] == [("0000000001", "20261120"), ("0000000001", "20261121")]

    def test_unknown_further_fields_count_as_signed(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        body = form(signed(notice_fields(Coupon="满减 1+1=2%"), bank_key))
        assert provider.parse_notify(posted(body)).state is PaymentState.PAID

    def test_a_refund_is_no_payment(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        fields = notice_fields(MsgType="notice.refund", RefundNo="R1", RefundAmount="1.00", RefundStatus="SUCCESS")
        notice = provider.parse_notify(posted(form(signed(fields, bank_key))))
        assert (notice.kind, notice.refund_no) == (NoticeKind.REFUND, "R1")

    def test_an_unknown_state_only_makes_a_query_due(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        body = form(signed(notice_fields(OrderStatus="HALFPAID"), bank_key))
        assert provider.parse_notify(posted(body)).kind is NoticeKind.HINT

    def test_replies(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        notice = provider.parse_notify(posted(form(signed(notice_fields(), bank_key))))
        assert (provider.ack(notice).status, provider.ack(notice).body) == (200, b"SUCCESS")
        assert provider.nack("busy").body != b"SUCCESS"


class TestRefused:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("Amount=12.34", "Amount=0.01"), ("BillNo=0000000001", "BillNo=0000000002"),
            ("Date=20261121", "Date=20261120"), ("Version=1.0&", ""), ("OrderStatus=PAID", "OrderStatus=UNPAID"),
            ("Signature=", "Signature=A"), ("SignType=RSA2", "SignType=rsa2"), ("&Signature=", "&Extra=1&Signature="),
        ],
    )  # fmt: skip
    def test_a_changed_field(
        self, provider: BankProvider, bank_key: RSAPrivateKey, before: str, after: str
    ) -> None:
        body = form(signed(notice_fields(), bank_key))
        assert body.count(before) == 1
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(body.replace(before, after)))

    def test_another_banks_key_and_our_own(
        self, provider: BankProvider, foreign_key: RSAPrivateKey, merchant_key: RSAPrivateKey
    ) -> None:
        for key in (foreign_key, merchant_key):
            with pytest.raises(BadSignature):
                provider.parse_notify(posted(form(signed(notice_fields(), key))))

    @pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.MD5(), hashes.SHA512()])
    def test_other_digests(self, provider: BankProvider, bank_key: RSAPrivateKey, algorithm: Any) -> None:
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(form(signed(notice_fields(), bank_key, algorithm))))

    def test_unsigned(self, provider: BankProvider) -> None:
        fields = {k: v for k, v in notice_fields(SignType="RSA2").items() if v is not None}
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(form(fields)))

    @pytest.mark.parametrize(
        "changes", [{"BranchID": "0756"}, {"CoNo": "000124"}, {"BranchID": None}, {"CoNo": "123"}], ids=str
    )
    def test_genuine_but_for_somebody_else(
        self, provider: BankProvider, bank_key: RSAPrivateKey, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(IdentityMismatch):
            provider.parse_notify(posted(form(signed(notice_fields(**changes), bank_key))))

    @pytest.mark.parametrize("kind", ["return", "query.answer", "pay", "close.answer", "notice", None])
    def test_signed_for_another_purpose(
        self, provider: BankProvider, bank_key: RSAPrivateKey, kind: str | None
    ) -> None:
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(form(signed(notice_fields(MsgType=kind), bank_key))))

    @pytest.mark.parametrize(
        "changes",
        [
            {"Amount": None}, {"Amount": "12.345"}, {"Amount": "1e2"}, {"Amount": "-1.00"}, {"BankSerialNo": None},
            {"BillNo": None}, {"Date": None}, {"Date": "2026-11-21"}, {"Date": "２０２６１１２１"}, {"Amount": ""},
            {"PayerAccount": "a\x00b"},
        ],
        ids=str,
    )  # fmt: skip
    def test_genuine_but_unusable(
        self, provider: BankProvider, bank_key: RSAPrivateKey, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(MalformedInbound):
            provider.parse_notify(posted(form(signed(notice_fields(**changes), bank_key))))

    def test_one_text_cannot_be_cut_into_other_fields(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        """`PaidTime=…&Amount…` hidden in a value would leave the signed text as it was."""
        fields = signed(notice_fields(), bank_key)
        hidden = dict(fields)
        hidden["CardType"] = f"{fields['CardType']}&CoNo={hidden.pop('CoNo')}"
        with pytest.raises(MalformedInbound):
            provider.parse_notify(posted(form(hidden)))
        named = {k: v for k, v in fields.items() if k not in ("BillNo", "BranchID")}
        named["BillNo=0000000001&BranchID"] = fields["BranchID"]
        body = "&".join(f"{k.replace('=', '%3D').replace('&', '%26')}={v}" for k, v in named.items())
        with pytest.raises(MalformedInbound):
            provider.parse_notify(posted(body))

    def test_a_field_that_comes_twice(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        body = form(signed(notice_fields(), bank_key))
        for extra in ("Amount=0.01", "Signature=AAAA", "CoNo=000123"):
            with pytest.raises(MalformedInbound):
                provider.parse_notify(posted(f"{body}&{extra}"))

    def test_only_posts_are_notices(self, provider: BankProvider, bank_key: RSAPrivateKey) -> None:
        body = form(signed(notice_fields(), bank_key))
        with pytest.raises(MalformedInbound):
            provider.parse_notify(InboundRequest(method="GET", path="/n", query=body, body=body.encode()))

    @given(st.binary(max_size=300))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_arbitrary_bytes_are_refused_in_words(self, provider: BankProvider, body: bytes) -> None:
        with pytest.raises(InboundRefused):
            provider.parse_notify(posted(body))


class TestReturn:
    FIELDS = {"MsgType": "return", "NoticeNo": None, "OrderStatus": None, "PaidTime": None, "CardType": None,
              "PayerAccount": None, "ReturnTime": "20261121023110"}  # fmt: skip

    def test_signed(self, provider: BankProvider, order: PayOrder, bank_key: RSAPrivateKey) -> None:
        found = provider.parse_return(returned(form(signed(notice_fields(**self.FIELDS), bank_key))), order)
        assert (found.verified, found.order_no) == (True, "0000000001")

    def test_a_payer_who_turned_back(self, provider: BankProvider, order: PayOrder) -> None:
        for query in ("", "x=1"):
            found = provider.parse_return(returned(query), order)
            assert (found.verified, found.order_no) == (False, None)

    def test_yesterdays_return_of_the_same_number(
        self, provider: BankProvider, order: PayOrder, bank_key: RSAPrivateKey
    ) -> None:
        query = form(signed(notice_fields(**self.FIELDS), bank_key))
        with pytest.raises(IdentityMismatch):
            provider.parse_return(returned(query), replace(order, sent_at=order.sent_at - timedelta(days=1)))

    @pytest.mark.parametrize("key", ["foreign_key", "merchant_key"])
    def test_forged(
        self, provider: BankProvider, order: PayOrder, key: str, request: pytest.FixtureRequest
    ) -> None:
        query = form(signed(notice_fields(**self.FIELDS), request.getfixturevalue(key)))
        with pytest.raises(BadSignature):
            provider.parse_return(returned(query), order)

    def test_a_notice_is_no_return(self, provider: BankProvider, order: PayOrder, bank_key: RSAPrivateKey) -> None:
        with pytest.raises(BadSignature):
            provider.parse_return(returned(form(signed(notice_fields(), bank_key))), order)

    def test_raw_chinese_in_the_query(self, provider: BankProvider, order: PayOrder) -> None:
        with pytest.raises(InboundRefused):
            provider.parse_return(returned("Signature=物业"), order)
