"""Alipay's deduction agreements on the wire: what is sent, and which words mean what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.alipay.alipay_deduct import AlipayDeduct
from channels.alipay.provider import AlipayProvider
from channels.base import (
    ContractAnswer,
    ContractRef,
    ContractWord,
    InboundRequest,
    Initiated,
    NoAction,
    PayOrder,
    Redirect,
    Refused,
    SignOrder,
)
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound, UnknownOutcome
from tests.channels.alipay.conftest import make_provider
from tests.channels.alipay.wire import APP_ID, GatewayServer, request_is_signed_by, signed_form

SCENE = AlipayDeduct()
NUMBER, THEIRS = "C2026112100000000000AAAAAAA", "20195926584211349886"
NEW, KNOWN = ContractRef(contract_no=NUMBER), ContractRef(contract_no=NUMBER, channel_contract_no=THEIRS)
NOTICE = {
    "notify_type": "dut_user_sign", "status": "NORMAL", "agreement_no": THEIRS, "external_agreement_no": NUMBER,
    "app_id": APP_ID, "auth_app_id": APP_ID, "charset": "utf-8", "version": "1.0", "sign_time": "2026-11-21 02:30:05",
    "alipay_user_id": "2088123412341234", "sign_scene": "INDUSTRY|PROPERTY",
}  # fmt: skip


@pytest.fixture
def deducting(raw_config: dict[str, Any]) -> AlipayProvider:
    return make_provider({**raw_config, "deduct_sign_scene": "INDUSTRY|PROPERTY"})


@pytest.fixture
def deduction(order: PayOrder) -> PayOrder:
    return replace(order, contract_no=THEIRS)


def posted(body: str) -> InboundRequest:
    return InboundRequest(method="POST", path="/notify", body=body.encode())


def test_only_an_account_with_a_scene_can_deduct(provider: AlipayProvider, deducting: AlipayProvider) -> None:
    assert not SCENE.accepts(provider)
    assert SCENE.accepts(deducting)


def test_the_payer_is_sent_to_a_signed_page(deducting: AlipayProvider, app_key: RSAPrivateKey) -> None:
    notify, back = "https://pay.example.com/notify/x", "https://app.example.com/back"
    order = SignOrder(contract_no=NUMBER, notify_url=notify, return_url=back, display_name="HOUSE-502")
    result = SCENE.sign(deducting, order)
    assert isinstance(result, Initiated)
    assert isinstance(result.instruction, Redirect)
    sent = dict(parse_qsl(urlsplit(result.instruction.url).query))
    assert request_is_signed_by(app_key.public_key(), sent)
    assert (sent["method"], sent["notify_url"], sent["return_url"]) == ("alipay.user.agreement.page.sign", notify, back)
    for part in (NUMBER, "GENERAL_WITHHOLDING_P", "INDUSTRY|PROPERTY"):
        assert part in sent["biz_content"]


@pytest.mark.parametrize(
    ("ref", "values", "state"),
    [
        (NEW, {"code": "10000", "status": "NORMAL"}, ContractWord.ACTIVE),
        (KNOWN, {"code": "10000", "status": "NORMAL"}, ContractWord.ACTIVE),
        (KNOWN, {"code": "10000", "status": "STOP"}, ContractWord.TERMINATED),
        (NEW, {"code": "10000", "status": "TEMP"}, ContractWord.UNSIGNED),
        (NEW, {"code": "40004", "sub_code": "USER_AGREEMENT_NOT_EXIST"}, ContractWord.NOT_FOUND),
        (KNOWN, {"code": "40004", "sub_code": "USER_AGREEMENT_NOT_EXIST"}, ContractWord.TERMINATED),
    ],
)
def test_words_of_a_query(
    deducting: AlipayProvider, gateway: GatewayServer, answering: Callable[..., None], ref: ContractRef,
    values: dict[str, str], state: ContractWord,
) -> None:  # fmt: skip
    answering(agreement_no=THEIRS, external_agreement_no=NUMBER, principal_id="2088123412341234", **values)
    assert SCENE.query_contract(deducting, ref).state is state
    named = {"agreement_no": THEIRS} if ref is KNOWN else {"external_agreement_no": NUMBER}
    assert named.items() <= gateway.content().items()


@pytest.mark.parametrize(
    "values",
    [
        {"status": "WHO_KNOWS"}, {"status": "NORMAL", "external_agreement_no": "C-OTHER"},
        {"status": "NORMAL", "agreement_no": "ANOTHER"}, {"code": "20000"},
        {"code": "40004", "sub_code": "SYSTEM_ERROR"},
        {"code": "40004", "sub_code": "USER_AGREEMENT_NOT_EXIST", "signed": False},
    ],
)  # fmt: skip
def test_what_decides_nothing(
    deducting: AlipayProvider, answering: Callable[..., None], values: dict[str, Any]
) -> None:
    answering(**{"code": "10000", "agreement_no": THEIRS, "external_agreement_no": NUMBER, **values})
    with pytest.raises(UnknownOutcome):
        SCENE.query_contract(deducting, KNOWN)


def test_ending_one_that_is_gone_is_done(deducting: AlipayProvider, answering: Callable[..., None]) -> None:
    for values in ({"code": "10000"}, {"code": "40004", "sub_code": "USER_AGREEMENT_NOT_EXIST"}):
        answering(**values)
        ended = SCENE.terminate_contract(deducting, KNOWN)
        assert isinstance(ended, ContractAnswer)
        assert ended.state is ContractWord.TERMINATED
    answering(code="40002", sub_code="isv.invalid-parameter")
    assert isinstance(SCENE.terminate_contract(deducting, KNOWN), Refused)
    answering(code="20000", sub_code="aop.ACQ.SYSTEM_ERROR")
    with pytest.raises(UnknownOutcome):
        SCENE.terminate_contract(deducting, KNOWN)


def test_a_deduction_names_the_agreement(
    deducting: AlipayProvider, gateway: GatewayServer, answering: Callable[..., None], deduction: PayOrder
) -> None:
    answering(code="10000", out_trade_no=deduction.order_no, trade_no="T1")
    assert SCENE.pay(deducting, deduction) == Initiated(instruction=NoAction(), channel_trade_no="T1")
    assert gateway.received[-1]["method"] == "alipay.trade.pay"
    assert gateway.content()["agreement_params"] == {"agreement_no": THEIRS}
    assert gateway.content()["product_code"] == "GENERAL_WITHHOLDING"


@pytest.mark.parametrize("word", ["ACQ.AGREEMENT_INVALID", "ACQ.BUYER_BALANCE_NOT_ENOUGH", "ACQ.SELLER_BEEN_BLOCKED"])
def test_a_refused_deduction_is_final_for_the_trade(
    deducting: AlipayProvider, answering: Callable[..., None], deduction: PayOrder, word: str
) -> None:
    answering(code="40004", sub_code=word, sub_msg="no")
    assert SCENE.pay(deducting, deduction) == Refused(code=word, message="no", final_for_trade=True)


@pytest.mark.parametrize(
    "values",
    [
        {"code": "10003"}, {"code": "20000"}, {"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"},
        {"code": "40004", "sub_code": "ACQ.TRADE_HAS_SUCCESS"}, {"code": "10000", "out_trade_no": "ANOTHER"},
        {"code": "40004", "sub_code": "ACQ.SOMETHING_NEW"},
    ],
)  # fmt: skip
def test_a_deduction_that_may_have_happened_is_unknown(
    deducting: AlipayProvider, answering: Callable[..., None], deduction: PayOrder, values: dict[str, str]
) -> None:
    answering(**{"out_trade_no": deduction.order_no, "trade_no": "T1", **values})
    with pytest.raises(UnknownOutcome):
        SCENE.pay(deducting, deduction)


@pytest.mark.parametrize(
    ("status", "state"),
    [("NORMAL", ContractWord.ACTIVE), ("UNSIGN", ContractWord.TERMINATED), ("SOMETHING_NEW", None)],
)
def test_words_of_a_notice(
    deducting: AlipayProvider, alipay_key: RSAPrivateKey, status: str, state: ContractWord | None
) -> None:
    word = SCENE.parse_contract_notify(deducting, posted(signed_form({**NOTICE, "status": status}, alipay_key)))
    assert (word.state, word.contract_no, word.channel_contract_no) == (state, NUMBER, THEIRS)
    assert word.payer_id == "2088123412341234"
    assert word.signed_at is not None
    assert word.signed_at.isoformat() == "2026-11-21T02:30:05+08:00"


def test_false_notices(
    deducting: AlipayProvider, alipay_key: RSAPrivateKey, other_key: RSAPrivateKey, gateway: GatewayServer
) -> None:
    with pytest.raises(BadSignature):
        SCENE.parse_contract_notify(deducting, posted(signed_form(NOTICE, other_key)))
    another = {**NOTICE, "app_id": "2021000000000009"}
    with pytest.raises(IdentityMismatch):
        SCENE.parse_contract_notify(deducting, posted(signed_form(another, alipay_key)))
    for missing in ("agreement_no", "external_agreement_no"):
        with pytest.raises(MalformedInbound):
            SCENE.parse_contract_notify(deducting, posted(signed_form({**NOTICE, missing: ""}, alipay_key)))
    with pytest.raises(MalformedInbound):
        SCENE.parse_contract_notify(deducting, InboundRequest(method="GET", path="/notify"))
    assert gateway.received == [], "an unverified notice leads to no call"
