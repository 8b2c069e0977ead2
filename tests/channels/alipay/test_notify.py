"""Notifications and returns: genuine words move money, everything else moves nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st

from channels.alipay.provider import AlipayProvider
from channels.base import InboundRequest, NoticeKind, OrderRef, PaymentState
from paycenter.errors import BadSignature, IdentityMismatch, InboundRefused, MalformedInbound
from paycenter.money import Money
from tests.channels.alipay.wire import APP_ID, SELLER_ID, GatewayServer, notice_fields, signed_form

OTHER_APP, OTHER_SELLER = "2021000000000002", "2088000000000002"


def posted(body: str | bytes) -> InboundRequest:
    raw = body if isinstance(body, bytes) else body.encode("ascii")
    return InboundRequest(
        method="POST", path="/notify/alipay_qr/A0000000000000001", body=raw,
        headers={"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
    )  # fmt: skip


class TestGenuine:
    def test_everything_the_core_needs_is_there(self, provider: AlipayProvider, alipay_key: RSAPrivateKey) -> None:
        notice = provider.parse_notify(posted(signed_form(notice_fields(), alipay_key)))
        assert notice.kind is NoticeKind.PAYMENT
        assert notice.state is PaymentState.PAID
        assert notice.order_no == "A0000000000000001"
        assert notice.amount == Money(1234)
        assert notice.channel_trade_no == "2026112022001400000000000001"
        assert notice.paid_at == datetime(2026, 11, 20, 2, 0, 7, tzinfo=UTC)
        assert notice.payer_id == "2088123412341234"
        assert notice.funding == "PCREDIT"
        assert notice.channel_state == "TRADE_SUCCESS"
        assert notice.notice_id == "2026112000222100008"
        assert notice.refund_no is None

    def test_order_total_counts_not_what_the_buyer_paid(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey
    ) -> None:
        fields = notice_fields(total_amount="88.00", buyer_pay_amount="1.00", receipt_amount="80.00")
        assert provider.parse_notify(posted(signed_form(fields, alipay_key))).amount == Money(8800)

    @pytest.mark.parametrize(
        "changes",
        [
            {"passback_params": "merchant%3D1%26x%3D2"},  # percent signs are content after one decoding
            {"subject": "1+1=2 & 50% off"},
            {"subject": "物业费+水费 / 🏠"},
            {"body": ""},
            {"a_field_of_tomorrow": "x", "another": ""},
            {"subject": " spaces at both ends "},
            {"subject": "line\r\nend"},
            {"charset": "UTF-8"},
            {"charset": None},
        ],
        ids=str,
    )
    def test_fields_count_as_received(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey, changes: dict[str, Any]
    ) -> None:
        form = signed_form(notice_fields(**changes), alipay_key)
        assert provider.parse_notify(posted(form)).state is PaymentState.PAID

    def test_percent_twenty_is_a_space_as_well_as_plus(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey
    ) -> None:
        form = signed_form(notice_fields(subject="a b+c"), alipay_key)
        assert "a+b%2Bc" in form
        assert provider.parse_notify(posted(form.replace("a+b%2Bc", "a%20b%2Bc"))).state is PaymentState.PAID

    @pytest.mark.parametrize("charset", ["GBK", "gb2312", "GB18030"])
    def test_body_is_decoded_with_its_own_charset(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey, charset: str
    ) -> None:
        fields = notice_fields(charset=charset, subject="物业费+1")
        form = signed_form(fields, alipay_key, codec="gbk")
        assert quote("物".encode("gbk")) in form
        assert provider.parse_notify(posted(form)).state is PaymentState.PAID

    def test_sign_type_may_be_absent_when_the_signature_is_sha256(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey
    ) -> None:
        form = signed_form(notice_fields(), alipay_key, sign_type=None)
        assert provider.parse_notify(posted(form)).state is PaymentState.PAID

    @given(
        st.dictionaries(
            st.from_regex(r"x_[a-z]{1,6}", fullmatch=True), st.text(st.characters(exclude_categories=("Cs",)))
        )
    )
    def test_any_further_fields_survive_the_way(self, more: dict[str, str]) -> None:
        provider, alipay_key = _fixed()
        form = signed_form(notice_fields(**more), alipay_key)
        assert provider.parse_notify(posted(form)).amount == Money(1234)


class TestRefused:
    @pytest.mark.parametrize(
        ("algorithm", "sign_type"),
        [
            (hashes.SHA1(), "RSA"), (hashes.SHA1(), "RSA2"), (hashes.SHA1(), None), (hashes.MD5(), "MD5"),
            (hashes.MD5(), "RSA2"), (hashes.MD5(), None), (hashes.SHA256(), "RSA"), (hashes.SHA256(), "MD5"),
            (hashes.SHA256(), ""), (hashes.SHA256(), "rsa2"), (hashes.SHA512(), "RSA2"),
        ],
    )  # fmt: skip
    def test_weak_or_unknown_signatures(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey, algorithm: Any, sign_type: str | None
    ) -> None:
        form = signed_form(notice_fields(), alipay_key, algorithm=algorithm, sign_type=sign_type)
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(form))

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("total_amount=12.34", "total_amount=0.01"),
            ("out_trade_no=A0000000000000001", "out_trade_no=A0000000000000002"),
            ("trade_status=TRADE_SUCCESS", "trade_status=TRADE_FINISHED"),
            ("&body=", ""),
            ("&body=", "&body=x"),
            ("point_amount=0.00", "point_amount=0.0"),
            ("%2B1+", "+1+"),
        ],
    )
    def test_a_changed_field(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey, before: str, after: str
    ) -> None:
        form = signed_form(notice_fields(), alipay_key)
        assert form.count(before) == 1
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(form.replace(before, after)))

    def test_an_added_field(self, provider: AlipayProvider, alipay_key: RSAPrivateKey) -> None:
        form = signed_form(notice_fields(), alipay_key)
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(form + "&extra=1"))

    def test_another_key_and_our_own(
        self, provider: AlipayProvider, other_key: RSAPrivateKey, app_key: RSAPrivateKey
    ) -> None:
        for key in (other_key, app_key):
            with pytest.raises(BadSignature):
                provider.parse_notify(posted(signed_form(notice_fields(), key)))

    @pytest.mark.parametrize("sign", ["", "AAAA", "%00", "not+base64"])
    def test_no_usable_signature(self, provider: AlipayProvider, sign: str) -> None:
        body = "&".join(f"{k}={quote(v)}" for k, v in notice_fields().items())
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(f"{body}&sign_type=RSA2&sign={sign}"))
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(body))

    @pytest.mark.parametrize(
        "changes",
        [
            {"app_id": OTHER_APP}, {"seller_id": OTHER_SELLER}, {"app_id": None}, {"seller_id": None},
            {"app_id": "", "seller_id": SELLER_ID}, {"app_id": APP_ID + " "},
        ],
        ids=str,
    )  # fmt: skip
    def test_genuine_but_for_somebody_else(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(IdentityMismatch):
            provider.parse_notify(posted(signed_form(notice_fields(**changes), alipay_key)))

    @pytest.mark.parametrize("amount", ["", None, "abc", "12.345", "-1.00", "1e2", "NaN", "12,34", "１２.00"])
    def test_paid_without_a_usable_amount(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey, amount: str | None
    ) -> None:
        form = signed_form(notice_fields(total_amount=amount), alipay_key)
        with pytest.raises(MalformedInbound):
            provider.parse_notify(posted(form))

    @pytest.mark.parametrize("missing", ["trade_no", "out_trade_no"])
    def test_paid_without_a_number(self, provider: AlipayProvider, alipay_key: RSAPrivateKey, missing: str) -> None:
        for value in (None, ""):
            form = signed_form(notice_fields(**{missing: value}), alipay_key)
            with pytest.raises(MalformedInbound):
                provider.parse_notify(posted(form))

    def test_a_field_that_comes_twice(self, provider: AlipayProvider, alipay_key: RSAPrivateKey) -> None:
        form = signed_form(notice_fields(), alipay_key)
        for extra in ("total_amount=0.01", "sign_type=RSA2", "charset=utf-8"):
            with pytest.raises(MalformedInbound):
                provider.parse_notify(posted(f"{form}&{extra}"))

    @pytest.mark.parametrize(
        "body",
        [b"\xe7\x89\xa9=1", b"charset=utf-16&a=1", b"charset=rot13&sign=AAAA", b"subject=%FF%FE&sign=AAAA",
         b"&".join(b"a%d=1" % n for n in range(500))],
    )  # fmt: skip
    def test_bytes_that_are_no_form(self, provider: AlipayProvider, body: bytes) -> None:
        with pytest.raises(MalformedInbound):
            provider.parse_notify(posted(body))

    def test_only_posts_are_notifications(self, provider: AlipayProvider, alipay_key: RSAPrivateKey) -> None:
        form = signed_form(notice_fields(), alipay_key)
        with pytest.raises(MalformedInbound):
            provider.parse_notify(InboundRequest(method="GET", path="/n", query=form, body=form.encode()))

    @given(st.binary(max_size=300))
    def test_arbitrary_bytes_are_refused_in_words(self, body: bytes) -> None:
        provider, _key = _fixed()
        with pytest.raises(InboundRefused):
            provider.parse_notify(posted(body))

    def test_none_of_it_calls_out(
        self, provider: AlipayProvider, other_key: RSAPrivateKey, gateway: GatewayServer
    ) -> None:
        form = signed_form(notice_fields(alipay_cert_sn="00ff"), other_key)
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(form))
        assert gateway.received == []


class TestMeaning:
    @pytest.mark.parametrize(
        ("changes", "kind", "state"),
        [
            ({"trade_status": "TRADE_SUCCESS"}, NoticeKind.PAYMENT, PaymentState.PAID),
            ({"trade_status": "TRADE_FINISHED"}, NoticeKind.PAYMENT, PaymentState.PAID),
            ({"trade_status": "WAIT_BUYER_PAY", "gmt_payment": ""}, NoticeKind.IGNORED, PaymentState.UNPAID),
            ({"trade_status": "TRADE_CLOSED", "gmt_payment": None}, NoticeKind.PAYMENT, PaymentState.CLOSED),
            ({"trade_status": "TRADE_CLOSED", "gmt_payment": ""}, NoticeKind.PAYMENT, PaymentState.CLOSED),
            ({"trade_status": "TRADE_CLOSED"}, NoticeKind.PAYMENT, PaymentState.PAID),
            ({"trade_status": "TRADE_PENDING"}, NoticeKind.HINT, None),
            ({"trade_status": "trade_success"}, NoticeKind.HINT, None),
            ({"trade_status": None}, NoticeKind.HINT, None),
            ({"refund_fee": "1.00"}, NoticeKind.REFUND, PaymentState.PAID),
            ({"gmt_refund": "2026-11-20 11:00:00.123"}, NoticeKind.REFUND, PaymentState.PAID),
            ({"out_biz_no": "R1"}, NoticeKind.REFUND, PaymentState.PAID),
            ({"trade_status": "TRADE_CLOSED", "refund_fee": "12.34"}, NoticeKind.REFUND, PaymentState.PAID),
            ({"refund_fee": "0.00", "out_biz_no": ""}, NoticeKind.PAYMENT, PaymentState.PAID),
        ],
        ids=str,
    )
    def test_kinds(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey, changes: dict[str, Any],
        kind: NoticeKind, state: PaymentState | None,
    ) -> None:  # fmt: skip
        notice = provider.parse_notify(posted(signed_form(notice_fields(**changes), alipay_key)))
        assert (notice.kind, notice.state) == (kind, state)

    def test_refund_names_its_number(self, provider: AlipayProvider, alipay_key: RSAPrivateKey) -> None:
        fields = notice_fields(refund_fee="3.00", gmt_refund="2026-11-20 11:00:00.1", out_biz_no="R20261120001")
        notice = provider.parse_notify(posted(signed_form(fields, alipay_key)))
        assert notice.refund_no == "R20261120001"

    @pytest.mark.parametrize("bills", ["", None, "[]", "{}", "no json", '[{"x":1}]', '[{"amount":"x"}]', "[[", "7"])
    def test_unreadable_fund_list_loses_no_payment(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey, bills: str | None
    ) -> None:
        notice = provider.parse_notify(posted(signed_form(notice_fields(fund_bill_list=bills), alipay_key)))
        assert notice.state is PaymentState.PAID
        assert notice.funding is None

    def test_buyer_open_id_of_newer_apps(self, provider: AlipayProvider, alipay_key: RSAPrivateKey) -> None:
        fields = notice_fields(buyer_id=None, buyer_open_id="074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5")
        notice = provider.parse_notify(posted(signed_form(fields, alipay_key)))
        assert notice.payer_id == "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"

    def test_answers(self, provider: AlipayProvider, alipay_key: RSAPrivateKey) -> None:
        notice = provider.parse_notify(posted(signed_form(notice_fields(), alipay_key)))
        assert (provider.ack(notice).status, provider.ack(notice).body) == (200, b"success")
        assert provider.nack("database is down").body != b"success"

    def test_personal_fields_are_named_for_masking(self) -> None:
        personal = {"buyer_id", "buyer_open_id", "buyer_logon_id", "seller_email", "sign", "buyer_user_id"}
        assert personal <= AlipayProvider.masked_keys


class TestReturn:
    FIELDS = {
        "charset": "utf-8", "out_trade_no": "A0000000000000001", "method": "alipay.trade.page.pay.return",
        "total_amount": "12.34", "trade_no": "2026112022001400000000000001", "auth_app_id": APP_ID,
        "version": "1.0", "app_id": APP_ID, "seller_id": SELLER_ID, "timestamp": "2026-11-20 10:00:09",
    }  # fmt: skip

    def returned(self, query: str) -> InboundRequest:
        return InboundRequest(method="GET", path="/return/alipay_page/A0000000000000001", query=query)

    def test_genuine(self, provider: AlipayProvider, alipay_key: RSAPrivateKey, order: OrderRef) -> None:
        found = provider.parse_return(self.returned(signed_form(self.FIELDS, alipay_key)), order)
        assert (found.verified, found.order_no) == (True, "A0000000000000001")

    def test_of_another_order_names_that_order(
        self, provider: AlipayProvider, alipay_key: RSAPrivateKey, order: OrderRef
    ) -> None:
        form = signed_form({**self.FIELDS, "out_trade_no": "A2"}, alipay_key)
        assert provider.parse_return(self.returned(form), order).order_no == "A2"

    @pytest.mark.parametrize("query", ["", "from=quit", "total_amount=0.01&out_trade_no=A1", "%FF"])
    def test_unsigned_proves_nothing(self, provider: AlipayProvider, order: OrderRef, query: str) -> None:
        found = provider.parse_return(self.returned(query), order)
        assert (found.verified, found.order_no) == (False, None)

    def test_forged(self, provider: AlipayProvider, other_key: RSAPrivateKey, order: OrderRef) -> None:
        with pytest.raises(BadSignature):
            provider.parse_return(self.returned(signed_form(self.FIELDS, other_key)), order)
        with pytest.raises(BadSignature):
            provider.parse_return(self.returned("out_trade_no=A1&sign=AAAA&sign_type=RSA2"), order)

    def test_changed(self, provider: AlipayProvider, alipay_key: RSAPrivateKey, order: OrderRef) -> None:
        form = signed_form(self.FIELDS, alipay_key).replace("12.34", "12.35")
        with pytest.raises(BadSignature):
            provider.parse_return(self.returned(form), order)

    def test_for_another_merchant(self, provider: AlipayProvider, alipay_key: RSAPrivateKey, order: OrderRef) -> None:
        form = signed_form({**self.FIELDS, "seller_id": OTHER_SELLER}, alipay_key)
        with pytest.raises(IdentityMismatch):
            provider.parse_return(self.returned(form), order)


_made: list[tuple[AlipayProvider, RSAPrivateKey]] = []


def _fixed() -> tuple[AlipayProvider, RSAPrivateKey]:
    """One provider for the generated cases, which may not use per-test fixtures."""
    assert _made, "the fixture below makes it"
    return _made[0]


@pytest.fixture(autouse=True)
def _make_once(provider: AlipayProvider, alipay_key: RSAPrivateKey) -> None:
    if not _made:
        _made.append((provider, alipay_key))
