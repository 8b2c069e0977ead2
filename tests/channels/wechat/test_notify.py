from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from channels.base import InboundRequest, Notice, NoticeKind, PaymentState
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound
from paycenter.money import Money
from tests.channels.wechat.conftest import ORDER_NO, transaction
from tests.channels.wechat.standin import MCH_ID

REFUND = {
    "mchid": MCH_ID, "out_trade_no": ORDER_NO, "transaction_id": "4200001234202611210000000001",
    "out_refund_no": "R20261121000000001", "refund_id": "50000000382019052709732678859",
    "refund_status": "SUCCESS", "success_time": "2026-11-22T08:00:00+08:00",
    "user_received_account": "招商银行信用卡0403",
    "amount": {"total": 12345, "refund": 2345, "payer_total": 12345, "payer_refund": 2345},
}  # fmt: skip


def test_a_payment_is_read_in_full(provider, notifies):
    assert provider.parse_notify(notifies(transaction())) == Notice(
        kind=NoticeKind.PAYMENT, order_no=ORDER_NO, state=PaymentState.PAID, amount=Money(12345),
        channel_trade_no="4200001234202611210000000001",
        paid_at=datetime(2026, 11, 21, 2, 34, 56, tzinfo=UTC), payer_id="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        funding="CMB_DEBIT", channel_state="SUCCESS", notice_id="EV-2018022511223320873",
    )  # fmt: skip


def test_another_amount_is_handed_on_for_the_core_to_compare(provider, notifies):
    notice = provider.parse_notify(notifies(transaction(amount={"total": 1, "currency": "CNY"})))
    assert notice.amount == Money(1)


def test_the_order_named_inside_counts_not_the_address(provider, notifies):
    notice = provider.parse_notify(notifies(transaction(out_trade_no="ANOTHER-ORDER")))
    assert notice.order_no == "ANOTHER-ORDER"


@pytest.mark.parametrize(
    "changes", [{"mchid": "1900007292"}, {"mchid": None}, {"appid": "wx1"}, {"appid": None}]
)
def test_somebody_elses_genuine_notification_is_refused(changes, provider, notifies):
    with pytest.raises(IdentityMismatch):
        provider.parse_notify(notifies(transaction(**changes)))


def test_another_merchants_encrypted_notification_is_refused(certificate_provider, notifies, wx_keys):
    """Platform certificates sign for all merchants; the APIv3 key is what tells them apart."""
    request = notifies(transaction(), sign=wx_keys.by_certificate, key="Z" * 32)
    with pytest.raises(MalformedInbound, match="APIv3"):
        certificate_provider.parse_notify(request)


@pytest.mark.parametrize("changes", [{"mchid": "1900007292"}, {"appid": "wx0000000000000000"}])
def test_somebody_elses_refund_notice_is_refused(changes, provider, notifies):
    with pytest.raises(IdentityMismatch):
        provider.parse_notify(notifies(REFUND | changes, event="REFUND.SUCCESS"))


def test_an_event_of_no_interest_is_acknowledged_without_a_state(provider, notifies):
    notice = provider.parse_notify(notifies({"mchid": MCH_ID}, event="PROFITSHARING.FINISHED"))
    assert (notice.kind, notice.state) == (NoticeKind.IGNORED, None)


def test_an_unknown_state_only_makes_a_query_due(provider, notifies):
    notice = provider.parse_notify(notifies(transaction(trade_state="SOMETHING_NEW")))
    assert (notice.kind, notice.state, notice.order_no) == (NoticeKind.HINT, None, ORDER_NO)


@pytest.mark.parametrize(
    "changes",
    [
        {"out_trade_no": None},
        {"trade_state": None},
        {"amount": None},
        {"amount": {"total": 1.5}},
        {"amount": {"total": "12345"}},
        {"transaction_id": None},
    ],
)
def test_a_payment_that_lacks_what_makes_it_one_is_refused(changes, provider, notifies):
    with pytest.raises(MalformedInbound):
        provider.parse_notify(notifies(transaction(**changes)))


@pytest.mark.parametrize(
    "body",
    [
        b"<xml><return_code><![CDATA[SUCCESS]]></return_code></xml>",
        b"",
        b"\xff\xfe",
        b"[1]",
        b"null",
        b"[" * 200_000,
        b'{"a":' * 200_000,
    ],
)
def test_what_is_not_a_v3_notification_is_recorded_as_such(body, provider):
    with pytest.raises(MalformedInbound):
        provider.parse_notify(InboundRequest(method="POST", path="/notify", body=body))


def test_unsigned_json_is_refused_as_unsigned(provider):
    body = json.dumps({"event_type": "TRANSACTION.SUCCESS", "resource": {}}).encode()
    with pytest.raises(BadSignature):
        provider.parse_notify(InboundRequest(method="POST", path="/notify", body=body))


@pytest.mark.parametrize(
    "resource",
    [
        {"algorithm": "AEAD_AES_128_CBC"},
        {"ciphertext": "not base64!"},
        {"ciphertext": ""},
        {"ciphertext": None},
        {"nonce": ""},
        {"nonce": 12},
        {"nonce": "another12345"},
        {"associated_data": "refund"},
        {"associated_data": 5},
    ],
)
def test_a_resource_that_does_not_open_is_refused(resource, provider, notifies):
    with pytest.raises(MalformedInbound):
        provider.parse_notify(notifies(transaction(), resource=resource))


def test_a_resource_that_holds_something_else_is_refused(provider, notifies):
    with pytest.raises(MalformedInbound):
        provider.parse_notify(notifies(b"not json"))


def test_a_signed_envelope_without_a_resource_is_refused(provider, wx_keys):
    body = b'{"event_type": "TRANSACTION.SUCCESS"}'
    headers = {k.lower(): v for k, v in wx_keys.by_public_key.headers(body).items()}
    with pytest.raises(MalformedInbound):
        provider.parse_notify(InboundRequest(method="POST", path="/", headers=headers, body=body))


def test_the_channel_hears_what_it_expects(provider, notifies):
    reply = provider.ack(provider.parse_notify(notifies(transaction())))
    assert (reply.status, reply.body) == (204, b"")


def test_the_channel_is_made_to_send_again(provider):
    reply = provider.nack('暂时无法处理 "x"')
    assert reply.status == 500
    assert json.loads(reply.body) == {"code": "FAIL", "message": '暂时无法处理 "x"'}
    assert reply.content_type.startswith("application/json")


def test_no_notification_makes_us_call_anybody(provider, notifies, channel):
    provider.parse_notify(notifies(transaction()))
    provider.parse_notify(notifies(REFUND, event="REFUND.SUCCESS"))
    assert channel.requests == []
