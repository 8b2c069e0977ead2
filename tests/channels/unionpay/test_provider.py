"""What the center gets from UnionPay's words: scenes, states, notices, returns, and the account's form."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from channels.base import (
    CloseOutcome,
    Form,
    InboundRequest,
    Initiated,
    NoticeKind,
    PaymentState,
    PayOrder,
    QrCode,
    Refused,
    SdkParams,
    keys,
)
from channels.base.config import clean_config
from channels.unionpay.provider import UnionPayProvider
from paycenter.errors import (
    BadSignature,
    ChannelConfigInvalid,
    IdentityMismatch,
    MalformedInbound,
    NotSent,
    UnknownOutcome,
)
from paycenter.money import Money
from tests.channels.unionpay.conftest import NOW, Answering, World, make_provider
from tests.channels.unionpay.wire import (
    GatewayServer,
    form,
    notice,
    party,
    raw,
    request_is_signed_by,
    signed,
)

FINAL = ["01", "10", "11", "13", "14", "30", "31", "32", "33", "36", "37", "38", "39", "40", "41", "60", "64", "77"]
OPEN = ["02", "03", "04", "05", "06", "12", "34", "35", "42", "43", "44", "45", "98", "99", "A5", "ZZ", "", None]
PAID = {
    "origRespCode": "00", "origRespMsg": "成功[0000000]", "txnType": "01", "txnAmt": "1234",
    "currencyCode": "156", "queryId": "782611201830050674028", "payCardType": "02",
}  # fmt: skip


# -- scenes


@pytest.mark.parametrize(("code", "channel_type"), [("unionpay_pc", "07"), ("unionpay_wap", "08")])
def test_pages_are_signed_forms_for_unionpays_cashier(
    provider: UnionPayProvider, gateway: GatewayServer, parties: World, order: PayOrder, code: str,
    channel_type: str,
) -> None:  # fmt: skip
    result = provider.pay(code, order)
    assert isinstance(result, Initiated)
    assert isinstance(result.instruction, Form)
    assert result.instruction.action == f"{gateway.url}/frontTransReq.do"
    fields = dict(result.instruction.fields)
    assert request_is_signed_by(parties.merchant.key.public_key(), fields)
    expected = {
        "txnType": "01", "txnSubType": "01", "bizType": "000201", "channelType": channel_type,
        "txnAmt": "1234", "currencyCode": "156", "orderId": order.order_no, "txnTime": "20261121023005",
        "payTimeout": "20261121030005", "frontUrl": order.return_url, "backUrl": order.notify_url,
        "riskRateInfo": "{commodityName=物业费  3栋 502 A+B}",
    }  # fmt: skip
    assert {name: fields.get(name) for name in expected} == expected
    assert gateway.received == []  # nothing exists at UnionPay before the payer acts


def test_a_subject_of_unfit_signs_only_names_no_goods(provider: UnionPayProvider, order: PayOrder) -> None:
    result = provider.pay("unionpay_pc", replace(order, subject="{&=}\n"))
    assert isinstance(result, Initiated)
    assert isinstance(result.instruction, Form)
    assert "riskRateInfo" not in result.instruction.fields


def test_the_app_gets_a_tn(
    provider: UnionPayProvider, gateway: GatewayServer, order: PayOrder, answering: Answering
) -> None:
    answering(respCode="00", tn="612345678901234567890")
    assert provider.pay("unionpay_app", order) == Initiated(
        instruction=SdkParams({"tn": "612345678901234567890"})
    )
    sent = gateway.received[0]
    assert gateway.paths == ["/gateway/api/appTransReq.do"]
    assert (sent["txnSubType"], sent["bizType"], sent["channelType"]) == ("01", "000201", "08")
    assert "frontUrl" not in sent


def test_the_qr_code_is_what_unionpay_answers(
    provider: UnionPayProvider, gateway: GatewayServer, order: PayOrder, answering: Answering
) -> None:
    content = "https://qr.95516.com/00010001/62203343506412524330099992411134"
    answering(respCode="00", qrCode=content)
    memo = {"bizType": "000000", "channelType": "08"}  # for a refund later
    assert provider.pay("unionpay_qr", order) == Initiated(instruction=QrCode(content), memo=memo)
    sent = gateway.received[0]
    assert gateway.paths == ["/gateway/api/backTransReq.do"]
    assert (sent["txnType"], sent["txnSubType"], sent["bizType"]) == ("01", "07", "000000")


@pytest.mark.parametrize("code", FINAL)
def test_plain_refusals_of_a_creation_are_final(
    provider: UnionPayProvider, order: PayOrder, answering: Answering, code: str
) -> None:
    answering(respCode=code, respMsg="不行")
    assert provider.pay("unionpay_qr", order) == Refused(code=code, message="不行")


@pytest.mark.parametrize("code", OPEN)
def test_every_other_word_leaves_a_creation_open(
    provider: UnionPayProvider, order: PayOrder, answering: Answering, code: str | None
) -> None:
    answering(respCode=code, tn="612345678901234567890")
    with pytest.raises(UnknownOutcome):
        provider.pay("unionpay_app", order)


def test_a_success_without_what_was_asked_for_is_open(
    provider: UnionPayProvider, order: PayOrder, answering: Answering
) -> None:
    answering(respCode="00", tn="")
    with pytest.raises(UnknownOutcome, match="no tn"):
        provider.pay("unionpay_app", order)


@pytest.mark.parametrize("reply", [(500, b"x"), (302, b""), (200, b""), (200, b"<html>"), (200, b"\xff")])
def test_no_answer_of_unionpays_is_open(
    provider: UnionPayProvider, order: PayOrder, gateway: GatewayServer, reply: Any
) -> None:
    gateway.reply = lambda _asked: reply
    for act in (lambda: provider.pay("unionpay_qr", order), lambda: provider.query(order)):
        with pytest.raises(UnknownOutcome):
            act()


def test_a_gateway_that_cannot_be_reached_was_not_sent_anything(
    raw_config: dict[str, Any], order: PayOrder
) -> None:
    with pytest.raises(NotSent):
        make_provider({**raw_config, "base_url": "http://127.0.0.1:1/gateway/api"}).pay("unionpay_qr", order)


# -- query


def test_a_query_names_number_and_time_of_the_first_send(
    provider: UnionPayProvider, gateway: GatewayServer, order: PayOrder, answering: Answering
) -> None:
    answering(respCode="00", **PAID)
    found = provider.query(replace(order, sent_at=NOW - timedelta(days=1)))
    assert (found.state, found.amount) == (PaymentState.PAID, Money(1234))
    assert (found.channel_trade_no, found.funding) == ("782611201830050674028", "02")
    sent = gateway.received[0]
    assert gateway.paths == ["/gateway/api/queryTrans.do"]
    assert (sent["orderId"], sent["txnTime"]) == (order.order_no, "20261120023005")
    assert (sent["txnType"], sent["txnSubType"], sent["bizType"]) == ("00", "00", "000000")


@pytest.mark.parametrize("word", ["00", "A6"])
def test_paid(provider: UnionPayProvider, order: PayOrder, answering: Answering, word: str) -> None:
    answering(respCode="00", **{**PAID, "origRespCode": word})
    assert provider.query(order).state is PaymentState.PAID


@pytest.mark.parametrize("name", ["txnAmt", "currencyCode", "queryId"])
def test_paid_without_its_essentials_is_unknown(
    provider: UnionPayProvider, order: PayOrder, answering: Answering, name: str
) -> None:
    answering(respCode="00", **{**PAID, name: None})
    with pytest.raises(UnknownOutcome):
        provider.query(order)


@pytest.mark.parametrize("amount", ["12.34", "-1", "1e3", "0x1", " 1", "１２", "1" * 13])
def test_amounts_are_whole_fen(
    provider: UnionPayProvider, order: PayOrder, answering: Answering, amount: str
) -> None:
    answering(respCode="00", **{**PAID, "txnAmt": amount})
    with pytest.raises(UnknownOutcome, match="amount"):
        provider.query(order)


def test_another_currency_shows(provider: UnionPayProvider, order: PayOrder, answering: Answering) -> None:
    answering(respCode="00", **{**PAID, "currencyCode": "840"})
    assert provider.query(order).amount == Money(1234, "USD")


def test_not_found(provider: UnionPayProvider, order: PayOrder, answering: Answering) -> None:
    answering(respCode="34", respMsg="查无此交易[2600000]")
    found = provider.query(order)
    assert (found.state, found.order_no, found.channel_state) == (PaymentState.NOT_FOUND, order.order_no, "34")


@pytest.mark.parametrize("code", [c for c in [*FINAL, *OPEN] if c != "34"])
def test_the_querys_own_code_says_nothing_of_the_payment(
    provider: UnionPayProvider, order: PayOrder, answering: Answering, code: str | None
) -> None:
    answering(respCode=code, **PAID)
    with pytest.raises(UnknownOutcome):
        provider.query(order)


@pytest.mark.parametrize("word", FINAL)
def test_a_declined_order_can_be_paid_otherwise_until_its_time_is_over(
    raw_config: dict[str, Any], order: PayOrder, answering: Answering, word: str
) -> None:
    answering(respCode="00", **{**PAID, "origRespCode": word})
    before = make_provider(raw_config, order.expire_at - timedelta(seconds=1))
    assert before.query(order).state is PaymentState.UNPAID
    assert make_provider(raw_config, order.expire_at).query(order).state is PaymentState.FAILED


@pytest.mark.parametrize("word", OPEN)
@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=1)])
def test_unclear_words_stay_unknown_at_any_time(
    raw_config: dict[str, Any], order: PayOrder, answering: Answering, word: str | None, late: timedelta
) -> None:
    answering(respCode="00", **{**PAID, "origRespCode": word})
    with pytest.raises(UnknownOutcome):
        make_provider(raw_config, NOW + late).query(order)


def test_a_refunds_state_is_not_the_payments(
    provider: UnionPayProvider, order: PayOrder, answering: Answering
) -> None:
    answering(respCode="00", **{**PAID, "txnType": "04"})
    with pytest.raises(UnknownOutcome):
        provider.query(order)


# -- close


def test_unionpay_cannot_close(provider: UnionPayProvider, gateway: GatewayServer, order: PayOrder) -> None:
    assert UnionPayProvider.can_close is False
    assert provider.close(order).outcome is CloseOutcome.UNSUPPORTED
    assert gateway.received == []


# -- notices


def told(parties: World, **changes: str | None) -> InboundRequest:
    body = form(signed(notice(**changes), parties.unionpay))
    return InboundRequest(method="POST", path="/notify/unionpay_pc/A1", body=body)


@pytest.mark.parametrize("word", ["00", "A6"])
def test_a_notice_of_a_payment(provider: UnionPayProvider, parties: World, word: str) -> None:
    found = provider.parse_notify(told(parties, respCode=word, payCardType="01"))
    assert (found.kind, found.state, found.amount) == (NoticeKind.PAYMENT, PaymentState.PAID, Money(1234))
    assert (found.order_no, found.channel_trade_no) == ("A0000000000000001", "782611201830050674028")
    assert (found.refund_no, found.funding) == (None, "01")


@pytest.mark.parametrize("word", ["01", "03", "05", "64", "99", "", None])
def test_a_notice_that_does_not_say_success_only_asks_for_a_query(
    provider: UnionPayProvider, parties: World, word: str | None
) -> None:
    found = provider.parse_notify(told(parties, respCode=word))
    assert (found.kind, found.state) == (NoticeKind.HINT, None)


@pytest.mark.parametrize("word", ["00", "05", "64"])
def test_a_querys_answer_does_not_pass_for_a_notice(
    provider: UnionPayProvider, parties: World, word: str
) -> None:
    """It is signed alike, and its `respCode` 00 only says that the query went well."""
    found = provider.parse_notify(told(parties, origRespCode=word))
    assert (found.kind, found.state) == (NoticeKind.HINT, None)


@pytest.mark.parametrize("kind", ["00", "02", "95", None])
def test_a_notice_of_anything_else_is_ignored(
    provider: UnionPayProvider, parties: World, kind: str | None
) -> None:
    assert provider.parse_notify(told(parties, txnType=kind)).kind is NoticeKind.IGNORED


@pytest.mark.parametrize("name", ["txnAmt", "currencyCode", "queryId", "orderId"])
def test_a_paid_notice_without_its_essentials_is_malformed(
    provider: UnionPayProvider, parties: World, name: str
) -> None:
    with pytest.raises(MalformedInbound):
        provider.parse_notify(told(parties, **{name: None}))


def test_other_money_shows_as_it_is(provider: UnionPayProvider, parties: World) -> None:
    assert provider.parse_notify(told(parties, currencyCode="978")).amount == Money(1234, "EUR")
    # What the payer paid after discounts is not the order's total.
    assert provider.parse_notify(told(parties, settleAmt="1000")).amount == Money(1234)


@pytest.mark.parametrize("merchant", ["777290058110098", None])
def test_a_notice_for_another_merchant_is_refused(
    provider: UnionPayProvider, parties: World, merchant: str | None
) -> None:
    with pytest.raises(IdentityMismatch):
        provider.parse_notify(told(parties, merId=merchant))


def test_a_notice_is_posted(provider: UnionPayProvider, parties: World) -> None:
    with pytest.raises(MalformedInbound):
        provider.parse_notify(replace(told(parties), method="GET"))


def test_replies(provider: UnionPayProvider, parties: World) -> None:
    assert provider.ack(provider.parse_notify(told(parties))).status == 200
    assert provider.nack("busy").status == 500  # neither 200 nor 302: it comes again


# -- returns


def test_the_browsers_post_is_verified_and_names_the_order(
    provider: UnionPayProvider, parties: World, order: PayOrder
) -> None:
    found = provider.parse_return(told(parties), order)
    assert (found.verified, found.order_no) == (True, order.order_no)


def test_a_forged_return_is_refused(provider: UnionPayProvider, parties: World, order: PayOrder) -> None:
    forged = replace(told(parties), body=told(parties).body.replace(b"txnAmt=1234", b"txnAmt=1"))
    with pytest.raises(BadSignature):
        provider.parse_return(forged, order)
    with pytest.raises(IdentityMismatch):
        provider.parse_return(told(parties, merId="777290058110098"), order)


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("POST", b""), ("POST", b"orderId=A1&respCode=00")])
def test_a_payer_who_turned_back_proves_nothing(
    provider: UnionPayProvider, order: PayOrder, method: str, body: bytes
) -> None:
    found = provider.parse_return(InboundRequest(method=method, path="/return", body=body), order)
    assert (found.verified, found.order_no) == (False, None)


# -- the connection check


def test_the_check_is_content_with_no_such_transaction(
    provider: UnionPayProvider, gateway: GatewayServer, answering: Answering
) -> None:
    answering(respCode="34", respMsg="查无此交易[2600000]")
    assert provider.check().ok
    assert gateway.received[0]["txnTime"] == "20261121023005"
    assert gateway.received[0]["orderId"].isalnum()


@pytest.mark.parametrize(("code", "words"), [("11", "签名"), ("31", "商户状态"), ("32", "权限"), ("99", "99")])
def test_the_check_says_what_is_wrong(
    provider: UnionPayProvider, answering: Answering, code: str, words: str
) -> None:
    answering(respCode=code, respMsg="x")
    found = provider.check()
    assert not found.ok
    assert words in found.message.zh


def test_the_check_distrusts_a_forged_no_such_transaction(
    provider: UnionPayProvider, answering: Answering, parties: World
) -> None:
    answering(respCode="34", by=parties.merchant)
    found = provider.check()
    assert not found.ok
    assert "证书" in found.message.zh


def test_the_check_without_a_connection(raw_config: dict[str, Any]) -> None:
    found = make_provider({**raw_config, "base_url": "http://127.0.0.1:1"}).check()
    assert not found.ok
    assert "无法连接" in found.message.zh


def test_an_unsigned_refusal_tells_the_clerk_its_words(
    provider: UnionPayProvider, gateway: GatewayServer
) -> None:
    gateway.reply = lambda _asked: raw({"respCode": "11", "respMsg": "验证签名失败[9100004]"})
    assert "验证签名失败" in provider.check().message.zh


# -- the account's form


def problems(raw_config: dict[str, Any], now: datetime = NOW, **changes: Any) -> dict[str, list[Any]]:
    with pytest.raises(ChannelConfigInvalid) as caught:
        clean_config(UnionPayProvider, {**raw_config, **changes}, now)
    return caught.value.problems


def test_the_name_is_checked_unless_someone_says_otherwise(raw_config: dict[str, Any]) -> None:
    found = clean_config(UnionPayProvider, {**raw_config, "base_url": ""}, NOW)
    assert found["check_cn"] is True
    assert found["base_url"] == "https://gateway.95516.com/gateway/api"


def test_certificates_that_do_not_belong_together(raw_config: dict[str, Any], parties: World) -> None:
    other_key = keys.private_key_pem(parties.unionpay.key)
    other_root = party("Root CA", authority=True).pem
    assert set(problems(raw_config, sign_private_key=other_key)) == {"sign_cert"}
    assert set(problems(raw_config, root_cert=other_root)) == {"middle_cert"}
    assert set(problems(raw_config, root_cert=parties.middle.pem)) == {"root_cert", "middle_cert"}
    assert set(problems(raw_config, middle_cert=parties.unionpay.pem)) == {"middle_cert"}
    assert set(problems(raw_config, sign_cert="x", mer_id="12")) == {"sign_cert", "mer_id"}


def test_expired_certificates_are_named(raw_config: dict[str, Any], parties: World) -> None:
    late = parties.middle.certificate.not_valid_after_utc
    assert "过期" in str(problems(raw_config, late)["sign_cert"][0].zh)
    old = party("OCA1", parties.root, authority=True, until=NOW - timedelta(days=1))
    assert "过期" in problems(raw_config, middle_cert=old.pem)["middle_cert"][0].zh
    clean_config(UnionPayProvider, {**raw_config, "middle_cert": old.pem + parties.middle.pem}, NOW)
