"""Query, close, the connection check and the payer's authorisation, against a gateway that really answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.alipay.provider import AlipayProvider
from channels.alipay.reading import clean_text, main_funding
from channels.base import CloseOutcome, OrderRef, PaymentState, keys
from paycenter.errors import BadSignature, UnknownOutcome
from paycenter.http import recording
from paycenter.money import Money
from tests.channels.alipay.conftest import make_provider
from tests.channels.alipay.wire import APP_ID, GatewayServer, answer, request_is_signed_by

Answering = Callable[..., None]
NUMBER, TRADE_NO = "A0000000000000001", "2026112022001400000000000001"
PAID = {
    "code": "10000", "msg": "Success", "out_trade_no": NUMBER, "trade_no": TRADE_NO,
    "trade_status": "TRADE_SUCCESS", "total_amount": "12.34", "buyer_pay_amount": "10.00",
    "send_pay_date": "2026-11-21 02:31:00", "buyer_user_id": "2088123412341234",
    "fund_bill_list": [{"fund_channel": "COUPON", "amount": "2.34"}, {"fund_channel": "PCREDIT", "amount": "10"}],
}  # fmt: skip
NOT_EXIST = {"code": "40004", "msg": "Business Failed", "sub_code": "ACQ.TRADE_NOT_EXIST", "sub_msg": "交易不存在"}

UNKNOWN = [
    {"code": "20000", "msg": "Service Currently Unavailable", "sub_code": "isp.unknow-error"},
    {"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"},
    {"code": "40004", "sub_code": "AQC.SYSTEM_ERROR"},
    {"code": "40004", "sub_code": "ACQ.A_WORD_OF_TOMORROW"},
    {"code": "40004"},
    {"code": "10003"},
    {"code": "40002", "sub_code": "isv.invalid-signature"},
    {"code": "20000", "sub_code": "ACQ.TRADE_NOT_EXIST"},
    {"code": ""},
    {"msg": "Success"},
]


class TestQuery:
    def test_paid(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering, gateway: GatewayServer
    ) -> None:
        answering(**PAID)
        found = provider.query(order)
        assert found.state is PaymentState.PAID
        assert found.amount == Money(1234)
        assert (found.order_no, found.channel_trade_no) == (NUMBER, TRADE_NO)
        assert found.paid_at == datetime(2026, 11, 20, 18, 31, tzinfo=UTC)
        assert (found.payer_id, found.funding, found.channel_state) == (
            "2088123412341234", "PCREDIT", "TRADE_SUCCESS",
        )  # fmt: skip
        assert found.refunded is None
        assert gateway.content() == {"out_trade_no": NUMBER}

    @pytest.mark.parametrize(
        ("changes", "state"),
        [
            ({"trade_status": "TRADE_FINISHED"}, PaymentState.PAID),
            ({"trade_status": "WAIT_BUYER_PAY", "send_pay_date": None}, PaymentState.UNPAID),
            ({"trade_status": "TRADE_CLOSED", "send_pay_date": None}, PaymentState.CLOSED),
            ({"trade_status": "TRADE_CLOSED", "send_pay_date": ""}, PaymentState.CLOSED),
            ({"trade_status": "TRADE_CLOSED"}, PaymentState.PAID),
        ],
    )
    def test_states(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering,
        changes: dict[str, Any], state: PaymentState,
    ) -> None:  # fmt: skip
        answering(**{**PAID, **changes})
        assert provider.query(order).state is state

    def test_closed_after_payment_is_refunded_in_full(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering
    ) -> None:
        answering(**{**PAID, "trade_status": "TRADE_CLOSED"})
        assert provider.query(order).refunded == Money(1234)

    def test_order_that_alipay_has_not_seen(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering
    ) -> None:
        answering(**NOT_EXIST)
        found = provider.query(order)
        assert (found.state, found.message) == (PaymentState.NOT_FOUND, "交易不存在")

    @pytest.mark.parametrize("values", UNKNOWN, ids=str)
    def test_everything_inexplicit_is_unknown(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering, values: dict[str, str]
    ) -> None:
        answering(**values)
        with pytest.raises(UnknownOutcome):
            provider.query(order)

    @pytest.mark.parametrize(
        "changes",
        [
            {"out_trade_no": "A0000000000000002"}, {"out_trade_no": None}, {"out_trade_no": NUMBER + " "},
            {"trade_status": "TRADE_PENDING"}, {"trade_status": None}, {"total_amount": None},
            {"total_amount": "12.345"}, {"total_amount": "x"}, {"trade_no": ""},
        ],
        ids=str,
    )  # fmt: skip
    def test_genuine_answer_that_cannot_be_about_this_payment(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering, changes: dict[str, Any]
    ) -> None:
        answering(**{**PAID, **changes})
        with pytest.raises(UnknownOutcome):
            provider.query(order)

    def test_exchange_is_recorded_with_its_operation(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering
    ) -> None:
        answering(**PAID)
        with recording() as calls:
            provider.query(order)
        assert [(call.operation, call.status) for call in calls] == [("query", 200)]


class TestClose:
    def test_closed(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering, gateway: GatewayServer
    ) -> None:
        answering(code="10000", msg="Success", out_trade_no=NUMBER, trade_no=TRADE_NO)
        assert provider.close(order).outcome is CloseOutcome.CLOSED
        assert gateway.received[0]["method"] == "alipay.trade.close"
        assert gateway.content() == {"out_trade_no": NUMBER}

    @pytest.mark.parametrize(
        ("sub_code", "outcome"),
        [
            ("ACQ.TRADE_NOT_EXIST", CloseOutcome.NOT_FOUND),
            ("ACQ.TRADE_STATUS_ERROR", CloseOutcome.REFUSED),
            ("ACQ.REASON_TRADE_STATUS_INVALID", CloseOutcome.REFUSED),
            ("ACQ.REASON_ILLEGAL_STATUS", CloseOutcome.REFUSED),
            ("ACQ.TRADE_HAS_CLOSE", CloseOutcome.REFUSED),
        ],
    )
    def test_not_closed(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering,
        sub_code: str, outcome: CloseOutcome,
    ) -> None:  # fmt: skip
        answering(code="40004", sub_code=sub_code, sub_msg="…")
        found = provider.close(order)
        assert (found.outcome, found.code) == (outcome, sub_code)

    @pytest.mark.parametrize("values", [*UNKNOWN, {"code": "10000"}, {"code": "10000", "out_trade_no": "A2"}], ids=str)
    def test_everything_inexplicit_is_unknown(
        self, provider: AlipayProvider, order: OrderRef, answering: Answering, values: dict[str, str]
    ) -> None:
        answering(**values)
        with pytest.raises(UnknownOutcome):
            provider.close(order)


class TestCheck:
    def test_signed_no_such_trade_proves_the_connection(
        self, provider: AlipayProvider, answering: Answering, gateway: GatewayServer, app_key: RSAPrivateKey
    ) -> None:
        answering(**NOT_EXIST)
        assert provider.check().ok
        assert gateway.received[0]["method"] == "alipay.trade.query"
        assert request_is_signed_by(app_key.public_key(), gateway.received[0])

    def test_the_same_words_unsigned_prove_nothing(self, provider: AlipayProvider, answering: Answering) -> None:
        answering(**NOT_EXIST, signed=False)
        assert not provider.check().ok

    @pytest.mark.parametrize(
        ("sub_code", "zh", "en"),
        [
            ("isv.invalid-signature", "应用公钥", "public key"),
            ("isv.invalid-app-id", "APPID", "app id"),
            ("isv.insufficient-isv-permissions", "签约", "product"),
            ("isv.invalid-timestamp", "时钟", "clock"),
            ("isv.something-else", "isv.something-else", "isv.something-else"),
        ],
    )
    def test_refusals_are_explained(
        self, provider: AlipayProvider, answering: Answering, sub_code: str, zh: str, en: str
    ) -> None:
        answering(code="40002", msg="Invalid Arguments", sub_code=sub_code, signed=False)
        found = provider.check()
        assert not found.ok
        assert zh in found.message.zh
        assert en in found.message.en

    def test_wrong_alipay_key_is_explained(
        self, provider: AlipayProvider, gateway: GatewayServer, other_key: RSAPrivateKey
    ) -> None:
        gateway.reply = lambda p: answer(p["method"], json.dumps(NOT_EXIST), other_key)
        found = provider.check()
        assert not found.ok
        assert "支付宝公钥" in found.message.zh

    def test_unreachable_address_is_explained(self, raw_config: dict[str, Any]) -> None:
        found = make_provider({**raw_config, "gateway_url": "http://127.0.0.1:1/gateway.do"}).check()
        assert not found.ok
        assert "无法连接" in found.message.zh


class TestAuthorisation:
    def test_address(self, provider: AlipayProvider) -> None:
        url = provider.authorize_url(redirect_uri="https://pay.example.com/c/t/auth/alipay?a=1&b=2", state="s+/=")
        assert url.startswith("https://openauth.alipay.com/oauth2/publicAppAuthorize.htm?")
        assert parse_qs(urlsplit(url).query) == {
            "app_id": [APP_ID], "scope": ["auth_base"], "state": ["s+/="],
            "redirect_uri": ["https://pay.example.com/c/t/auth/alipay?a=1&b=2"],
        }  # fmt: skip

    @pytest.mark.parametrize("name", ["user_id", "open_id"])
    def test_payer(self, provider: AlipayProvider, answering: Answering, gateway: GatewayServer, name: str) -> None:
        answering(access_token="t", expires_in=3600, **{name: "2088123412341234"})
        assert provider.payer_from_code("the+code") == {"buyer_id": "2088123412341234"}
        sent = gateway.received[0]
        assert (sent["method"], sent["grant_type"]) == ("alipay.system.oauth.token", "authorization_code")
        assert "biz_content" not in sent
        assert gateway.bodies[0] == {"grant_type": "authorization_code", "code": "the+code"}

    def test_refused_code(self, provider: AlipayProvider, gateway: GatewayServer) -> None:
        gateway.reply = lambda _p: b'{"error_response":{"code":"40002","sub_code":"isv.code-invalid"}}'
        with pytest.raises(BadSignature):
            provider.payer_from_code("x")

    @pytest.mark.parametrize(
        "values",
        [{"user_id": "2088123412341234", "signed": False}, {"access_token": "t"}, {"user_id": ""},
         {"code": "20000", "user_id": "2088123412341234"}],
        ids=str,
    )  # fmt: skip
    def test_no_payer_without_a_signed_name(
        self, provider: AlipayProvider, answering: Answering, values: dict[str, Any]
    ) -> None:
        answering(**values)
        with pytest.raises(UnknownOutcome):
            provider.payer_from_code("x")


def test_answers_of_another_app_are_not_ours(
    raw_config: dict[str, Any], gateway: GatewayServer, order: OrderRef,
    alipay_key: RSAPrivateKey, other_key: RSAPrivateKey,
) -> None:  # fmt: skip
    raw = {**raw_config, "alipay_public_key": keys.public_key_pem(other_key.public_key())}
    gateway.reply = lambda p: answer(p["method"], json.dumps(PAID), alipay_key)
    with pytest.raises(UnknownOutcome):
        make_provider(raw).query(order)


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("物业费", 3, "物业费"), ("物业费", 2, "物业"), ("a\r\nb\x00c", 9, "a b c"), ("  x  ", 9, "x"), ("", 5, ""),
        ("🏠🏠", 3, "🏠"), ("🏠🏠", 4, "🏠🏠"), ("a\ud800b", 9, "ab"), ("a\u2028b", 9, "a b"),
    ],
)  # fmt: skip
def test_text_is_cleaned_and_cut_as_alipay_counts(text: str, length: int, expected: str) -> None:
    assert clean_text(text, length) == expected


def test_main_funding_is_the_largest() -> None:
    rows = [{"fund_channel": "A", "amount": "9.99"}, {"fund_channel": "B", "amount": "10.00"}]
    assert main_funding(rows, "fund_channel") == "B"
    assert main_funding(None, "fund_channel") is None
