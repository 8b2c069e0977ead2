"""Refunds as UnionPay's words have them: what is sent, what each word means, and which words count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from channels.base import InboundRequest, NoticeKind, PayOrder, RefundOrder, RefundState
from channels.unionpay.provider import UnionPayProvider
from paycenter.errors import MalformedInbound, NotSent, UnknownOutcome
from paycenter.money import Money
from tests.channels.unionpay.conftest import NOW, World, make_provider
from tests.channels.unionpay.test_provider import FINAL, OPEN
from tests.channels.unionpay.wire import GatewayServer, Party, form, notice, raw, request_is_signed_by, signed

TRADE_NO, REFUND_NO = "782611201830050674028", "782611211900000674029"
NUMBER = "R0000000000000001"
REFUSALS = [*FINAL, "35", "45"]
UNCLEAR = [word for word in OPEN if word not in ("12", "34", "35", "45")]
DONE = {
    "origRespCode": "00", "origRespMsg": "成功[0000000]", "txnType": "04", "txnSubType": "00", "txnAmt": "234",
    "currencyCode": "156", "queryId": REFUND_NO,
}  # fmt: skip
Fields = dict[str, str | None]
Says = Callable[..., None]


@pytest.fixture
def refund(order: PayOrder) -> RefundOrder:
    return RefundOrder(
        order=replace(order, channel_trade_no=TRADE_NO), refund_no=NUMBER, amount=Money(234),
        sent_at=NOW + timedelta(hours=1), reason="多收", notify_url=f"https://pay.example.com/refund/{NUMBER}",
    )  # fmt: skip


@pytest.fixture
def says(gateway: GatewayServer, parties: World) -> Says:
    """What UnionPay answers to the refund (`sent`) and to the question for it (`asked`)."""

    def prepare(sent: Fields | None = None, asked: Fields | int | None = None, by: Party | None = None) -> None:
        def reply(received: dict[str, str]) -> bytes | tuple[int, bytes]:
            values = asked if received["txnType"] == "00" else sent
            if isinstance(values, int):
                return values, b""
            echoed = {n: received[n] for n in ("merId", "orderId", "txnTime", "version", "signMethod")}
            fields = {k: v for k, v in {**echoed, **(values or {})}.items() if v is not None}
            return raw(signed(fields, by or parties.unionpay))

        gateway.reply = reply

    return prepare


def kinds(gateway: GatewayServer) -> list[str]:
    return [fields["txnType"] for fields in gateway.received]


# -- sending


def test_a_refund_names_the_payment_by_its_query_id(
    provider: UnionPayProvider, gateway: GatewayServer, parties: World, refund: RefundOrder, says: Says
) -> None:
    says({"respCode": "00", "queryId": REFUND_NO})
    found = provider.refund(refund)
    assert (found.state, found.refund_no) == (RefundState.PROCESSING, NUMBER), "accepted is not given back"
    assert (found.channel_refund_no, found.channel_state) == (REFUND_NO, "00")
    assert gateway.paths == ["/gateway/api/backTransReq.do"]
    sent = gateway.received[0]
    assert request_is_signed_by(parties.merchant.key.public_key(), sent)
    wanted = {
        "txnType": "04", "txnSubType": "00", "bizType": "000201", "channelType": "07", "orderId": NUMBER,
        "txnTime": "20261121033005", "txnAmt": "234", "origQryId": TRADE_NO, "backUrl": refund.notify_url,
    }  # fmt: skip
    assert {name: sent[name] for name in wanted} == wanted


def test_the_same_refund_is_the_same_request_at_any_time(
    raw_config: dict[str, Any], gateway: GatewayServer, refund: RefundOrder, says: Says
) -> None:
    says({"respCode": "00"})
    for now in (NOW, NOW + timedelta(days=2)):
        make_provider(raw_config, now).refund(refund)
    assert gateway.received[0] == gateway.received[1]


def test_a_scanned_payment_is_given_back_as_one(
    provider: UnionPayProvider, gateway: GatewayServer, order: PayOrder, refund: RefundOrder, says: Says
) -> None:
    says({"respCode": "00", "qrCode": "https://qr.95516.com/1"})
    memo = provider.pay("unionpay_qr", order).memo  # type: ignore[union-attr]
    provider.refund(replace(refund, order=replace(refund.order, memo=memo)))
    pay, back = gateway.received
    assert (back["bizType"], back["channelType"]) == (pay["bizType"], pay["channelType"]) == ("000000", "08")


def test_without_a_query_id_nothing_is_sent(
    provider: UnionPayProvider, gateway: GatewayServer, refund: RefundOrder
) -> None:
    found = provider.refund(replace(refund, order=replace(refund.order, channel_trade_no=None)))
    assert (found.state, found.resendable) == (RefundState.FAILED, True)
    assert "queryId" in found.message
    assert gateway.received == []


@pytest.mark.parametrize("code", UNCLEAR)
def test_unclear_words_leave_it_open(
    provider: UnionPayProvider, gateway: GatewayServer, refund: RefundOrder, says: Says, code: str | None
) -> None:
    says({"respCode": code}, {"respCode": "34"})
    with pytest.raises(UnknownOutcome):
        provider.refund(refund)
    assert kinds(gateway) == ["04"]


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_counts_where_there_is_no_such_refund(
    provider: UnionPayProvider, gateway: GatewayServer, refund: RefundOrder, says: Says, code: str
) -> None:
    says({"respCode": code, "respMsg": "不行"}, {"respCode": "34"})
    found = provider.refund(refund)
    assert (found.state, found.code, found.message, found.resendable) == (RefundState.FAILED, code, "不行", False)
    assert kinds(gateway) == ["04", "00"]
    assert gateway.received[1]["orderId"] == NUMBER
    assert gateway.received[1]["txnTime"] == "20261121033005"


@pytest.mark.parametrize("code", ["12", "10", "36"])
@pytest.mark.parametrize(
    ("word", "state"), [("00", RefundState.SUCCEEDED), ("05", RefundState.PROCESSING), ("01", RefundState.FAILED)]
)
def test_a_repeat_that_is_refused_is_the_refund_that_came_through(
    provider: UnionPayProvider, refund: RefundOrder, says: Says, code: str, word: str, state: RefundState
) -> None:
    """A late one is called stale (10), another one leaves too little (36): the first one moved the money."""
    says({"respCode": code}, {"respCode": "00", **DONE, "origRespCode": word})
    assert provider.refund(refund).state is state


@pytest.mark.parametrize("asked", [{"respCode": "34"}, {"respCode": "05"}, 500])
def test_a_duplicate_that_is_not_found_is_unknown(
    provider: UnionPayProvider, refund: RefundOrder, says: Says, asked: Any
) -> None:
    says({"respCode": "12"}, asked)
    with pytest.raises(UnknownOutcome):
        provider.refund(refund)


@pytest.mark.parametrize("asked", [{"respCode": "99"}, 500])
def test_a_refusal_that_cannot_be_checked_is_unknown(
    provider: UnionPayProvider, refund: RefundOrder, says: Says, asked: Any
) -> None:
    says({"respCode": "36"}, asked)
    with pytest.raises(UnknownOutcome):
        provider.refund(refund)


def test_a_refusal_after_which_nobody_answers_is_not_unsent(
    provider: UnionPayProvider, refund: RefundOrder, says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_args: Any, **_more: Any) -> None:
        raise NotSent("no connection")

    says({"respCode": "36"})
    monkeypatch.setattr(provider.gateway, "retrieve", gone)
    with pytest.raises(UnknownOutcome):
        provider.refund(refund)


def test_only_unionpays_signature_counts(
    provider: UnionPayProvider, parties: World, refund: RefundOrder, says: Says
) -> None:
    says({"respCode": "00"}, {"respCode": "34"}, by=parties.merchant)
    for call in (provider.refund, provider.query_refund):
        with pytest.raises(UnknownOutcome):
            call(refund)


# -- asking


@pytest.mark.parametrize("word", ["00", "A6"])
def test_given_back(
    provider: UnionPayProvider, gateway: GatewayServer, refund: RefundOrder, says: Says, word: str
) -> None:
    says(asked={"respCode": "00", **DONE, "origRespCode": word})
    found = provider.query_refund(refund)
    assert (found.state, found.amount, found.channel_refund_no) == (RefundState.SUCCEEDED, Money(234), REFUND_NO)
    assert gateway.paths == ["/gateway/api/queryTrans.do"]
    assert (gateway.received[0]["orderId"], gateway.received[0]["txnTime"]) == (NUMBER, "20261121033005")


def test_an_answer_without_currency_or_type_is_read_as_the_request_was(
    provider: UnionPayProvider, refund: RefundOrder, says: Says
) -> None:
    says(asked={"respCode": "00", **DONE, "currencyCode": None, "txnType": None})
    assert provider.query_refund(refund).state is RefundState.SUCCEEDED


@pytest.mark.parametrize("word", REFUSALS)
def test_refused_in_the_end(provider: UnionPayProvider, refund: RefundOrder, says: Says, word: str) -> None:
    says(asked={"respCode": "00", **DONE, "origRespCode": word, "origRespMsg": "不行"})
    found = provider.query_refund(refund)
    assert (found.state, found.code, found.message) == (RefundState.FAILED, word, "不行")


def test_taken_in_and_not_ended(provider: UnionPayProvider, refund: RefundOrder, says: Says) -> None:
    says(asked={"respCode": "00", **DONE, "origRespCode": "05"})
    assert provider.query_refund(refund).state is RefundState.PROCESSING


@pytest.mark.parametrize("word", [w for w in [*UNCLEAR, "12", "34"] if w != "05"])
def test_unclear_words_about_it_stay_open(
    provider: UnionPayProvider, refund: RefundOrder, says: Says, word: str | None
) -> None:
    says(asked={"respCode": "00", **DONE, "origRespCode": word})
    with pytest.raises(UnknownOutcome):
        provider.query_refund(refund)


def test_never_heard_of_it(provider: UnionPayProvider, refund: RefundOrder, says: Says) -> None:
    says(asked={"respCode": "34", "respMsg": "查无此交易"})
    found = provider.query_refund(refund)
    assert (found.state, found.resendable, found.amount) == (RefundState.NOT_FOUND, True, None)


@pytest.mark.parametrize("code", [c for c in [*REFUSALS, *UNCLEAR, "12"] if c != "34"])
def test_the_questions_own_code_says_nothing_of_the_refund(
    provider: UnionPayProvider, refund: RefundOrder, says: Says, code: str | None
) -> None:
    says(asked={**DONE, "respCode": code})
    with pytest.raises(UnknownOutcome):
        provider.query_refund(refund)


@pytest.mark.parametrize(
    "changes",
    [
        {"txnAmt": "235"}, {"txnAmt": None}, {"txnAmt": "-234"}, {"currencyCode": "840"}, {"txnType": "01"},
        {"txnType": "31"}, {"origQryId": "9" * 21}, {"orderId": "R0000000000000002"}, {"txnTime": "20261121033006"},
        {"merId": "777290058110098"},
    ],
    ids=str,
)  # fmt: skip
def test_words_about_another_refund_are_unknown(
    provider: UnionPayProvider, refund: RefundOrder, says: Says, changes: Fields
) -> None:
    says(asked={"respCode": "00", **DONE, **changes})
    with pytest.raises(UnknownOutcome):
        provider.query_refund(refund)


# -- notices


def told(parties: World, **changes: str | None) -> InboundRequest:
    fields = {"orderId": NUMBER, "origQryId": TRADE_NO, "queryId": REFUND_NO, "txnType": "04", "txnAmt": "234",
              "txnTime": "20261121033005", **changes}  # fmt: skip
    body = form(signed(notice(**fields), parties.unionpay))
    return InboundRequest(method="POST", path=f"/refund/{NUMBER}", body=body)


@pytest.mark.parametrize("word", ["00", "A6"])
@pytest.mark.parametrize("kind", ["04", "31"])
def test_a_notice_names_the_refund_and_by_query_id_the_payment(
    provider: UnionPayProvider, parties: World, refund: RefundOrder, kind: str, word: str
) -> None:
    found = provider.parse_notify(told(parties, respCode=word, txnType=kind))
    assert (found.kind, found.refund_state, found.state) == (NoticeKind.REFUND, RefundState.SUCCEEDED, None)
    assert (found.refund_no, found.channel_refund_no, found.amount) == (NUMBER, REFUND_NO, Money(234))
    assert (found.order_no, found.channel_trade_no) == ("", TRADE_NO)
    assert found.refund_sent_at == refund.sent_at


@pytest.mark.parametrize(
    "changes", [{"respCode": "05"}, {"respCode": "01"}, {"respCode": None}, {"origRespCode": "00"}], ids=str
)
def test_a_notice_that_does_not_decide_asks_for_a_query(
    provider: UnionPayProvider, parties: World, changes: Fields
) -> None:
    """A query's answer is signed alike and says 00 of itself; only a success is told of at all."""
    found = provider.parse_notify(told(parties, **changes))
    assert (found.kind, found.refund_no, found.refund_state) == (NoticeKind.REFUND, NUMBER, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"txnAmt": None}, {"txnAmt": "x"}, {"currencyCode": "999"}, {"queryId": None}, {"txnTime": None},
        {"txnTime": "2026112103300"}, {"orderId": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_success_that_does_not_say_of_what_is_malformed(
    provider: UnionPayProvider, parties: World, changes: Fields
) -> None:
    with pytest.raises(MalformedInbound):
        provider.parse_notify(told(parties, **changes))
