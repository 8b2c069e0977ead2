"""WeChat Pay's deduction contracts on the wire: what is sent, and which words mean what."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from channels.base import ContractAnswer, ContractRef, ContractWord, Initiated, Redirect, Refused, SignOrder
from channels.wechat.provider import WeChatPay
from channels.wechat.wechat_deduct import WeChatDeduct
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound, UnknownOutcome
from tests.channels.wechat.standin import APP_ID, MCH_ID, Reply
from tests.channels.wechat.wire_v2 import (
    API_V2_KEY,
    CONTRACT_ID,
    CONTRACT_NO,
    OPENID,
    PLAN_ID,
    SUCCESS,
    answer,
    fields_of,
    message,
    posted,
    refusal,
    sign,
    xml,
)

SCENE = WeChatDeduct()
NEW = ContractRef(contract_no=CONTRACT_NO)
KNOWN = ContractRef(contract_no=CONTRACT_NO, channel_contract_no=CONTRACT_ID)
ORDER = SignOrder(
    contract_no=CONTRACT_NO, notify_url="https://pay.example.com/notify/wechat_deduct/contract/C1?",
    return_url="https://app.example.com/back", display_name="HOUSE-502 \U0001f600",
)  # fmt: skip
NOTICE = {
    **SUCCESS, "contract_code": CONTRACT_NO, "contract_id": CONTRACT_ID, "plan_id": PLAN_ID, "openid": OPENID,
    "change_type": "ADD", "operate_time": "2026-11-21 02:30:05", "request_serial": "1695",
}  # fmt: skip
ENDED_AT = {"contract_terminated_time": "2026-11-22 00:00:00", "contract_termination_mode": "2"}


@pytest.fixture
def deducting(make_provider: Any) -> WeChatPay:
    return make_provider(api_v2_key=API_V2_KEY, papay_plan_id=PLAN_ID)


def contract(**changes: Any) -> bytes:
    values = {
        "contract_id": CONTRACT_ID, "plan_id": PLAN_ID, "openid": OPENID, "contract_code": CONTRACT_NO,
        "contract_state": "0", "contract_signed_time": "2026-11-21 02:30:05", "err_code": "0",
    }  # fmt: skip
    return answer(**{**values, **changes})


def test_only_an_account_with_key_and_plan_can_deduct(make_provider, deducting):
    assert SCENE.accepts(deducting)
    for changes in ({}, {"api_v2_key": API_V2_KEY}, {"papay_plan_id": PLAN_ID}):
        assert not SCENE.accepts(make_provider(**changes))


def test_the_payer_is_sent_to_a_signed_page(deducting, channel):
    result = SCENE.sign(deducting, ORDER)
    assert isinstance(result, Initiated)
    assert isinstance(result.instruction, Redirect)
    parts = urlsplit(result.instruction.url)
    sent = dict(parse_qsl(parts.query, strict_parsing=True))
    assert (parts.path, len(result.instruction.url) <= 1024) == ("/papay/entrustweb", True)
    assert "notify_url=https%3A%2F%2Fpay.example.com%2F" in parts.query, "encoded once, in upper case"
    assert sent["sign"] == sign(sent)
    expected = {
        "appid": APP_ID, "mch_id": MCH_ID, "plan_id": PLAN_ID, "contract_code": CONTRACT_NO, "version": "1.0",
        "notify_url": ORDER.notify_url, "return_web": "1", "contract_display_account": "HOUSE-502",
    }  # fmt: skip
    assert expected.items() <= sent.items()
    assert len(sent["timestamp"]) == 10
    assert 10**8 < int(sent["request_serial"]) < 2**63
    again = dict(parse_qsl(urlsplit(SCENE.sign(deducting, ORDER).instruction.url).query))
    assert int(again["request_serial"]) > int(sent["request_serial"])
    assert channel.requests == []


@pytest.mark.parametrize(
    ("ref", "body", "state"),
    [
        (NEW, contract(), ContractWord.ACTIVE),
        (KNOWN, contract(), ContractWord.ACTIVE),
        (NEW, contract(contract_state="1"), ContractWord.UNSIGNED),
        (NEW, contract(contract_state="1", **ENDED_AT), ContractWord.TERMINATED),
        (KNOWN, contract(contract_state="1"), ContractWord.TERMINATED),
        (NEW, refusal("CONTRACT_NOT_EXIST"), ContractWord.NOT_FOUND),
        (KNOWN, refusal("CONTRACT_NOT_EXIST"), ContractWord.TERMINATED),
    ],
)
def test_words_of_a_query(deducting, channel, ref, body, state):
    channel.replies.append(Reply(200, body))
    found = SCENE.query_contract(deducting, ref)
    assert (found.state, found.contract_no) == (state, CONTRACT_NO)
    sent = fields_of(channel.requests[-1].body)
    named = {"contract_id": CONTRACT_ID} if ref is KNOWN else {"plan_id": PLAN_ID, "contract_code": CONTRACT_NO}
    assert (named | {"version": "1.0"}).items() <= sent.items()
    assert sent["sign"] == sign(sent)


def test_a_signed_contract_says_who_signed_and_when(deducting, channel):
    channel.replies.append(Reply(200, contract()))
    found = SCENE.query_contract(deducting, NEW)
    assert (found.channel_contract_no, found.payer_id) == (CONTRACT_ID, OPENID)
    assert found.signed_at is not None
    assert found.signed_at.isoformat() == "2026-11-21T02:30:05+08:00"


@pytest.mark.parametrize(
    "body",
    [
        contract(contract_state="9"), contract(contract_state=None), contract(contract_code="C-OTHER"),
        contract(contract_id="Wx-ANOTHER"), refusal("SYSTEMERROR"), refusal("SOMETHING_NEW"),
        xml({**SUCCESS, "contract_state": "1"}),
    ],
)  # fmt: skip
def test_what_decides_nothing(deducting, channel, body):
    channel.replies.append(Reply(200, body))
    with pytest.raises(UnknownOutcome):
        SCENE.query_contract(deducting, KNOWN)


@pytest.mark.parametrize("body", [answer(contract_id=CONTRACT_ID), refusal("CONTRACT_NOT_EXIST")])
def test_ending_one_that_is_gone_is_done(deducting, channel, body):
    channel.replies.append(Reply(200, body))
    ended = SCENE.terminate_contract(deducting, KNOWN)
    assert isinstance(ended, ContractAnswer)
    assert (ended.state, ended.channel_contract_no) == (ContractWord.TERMINATED, CONTRACT_ID)
    sent = fields_of(channel.requests[-1].body)
    assert (channel.requests[-1].target, sent["contract_id"]) == ("/papay/deletecontract", CONTRACT_ID)
    assert sent["contract_termination_remark"]


def test_ending_with_words_that_nobody_published_is_looked_up(deducting, channel):
    unclear = Reply(200, refusal("HAS_TERMINATED"))
    channel.replies += [unclear, Reply(200, contract(contract_state="1", **ENDED_AT))]
    ended = SCENE.terminate_contract(deducting, KNOWN)
    assert isinstance(ended, ContractAnswer)
    assert ended.state is ContractWord.TERMINATED
    channel.replies += [unclear, Reply(200, contract())]
    with pytest.raises(UnknownOutcome):
        SCENE.terminate_contract(deducting, KNOWN)


def test_an_end_that_is_refused_or_speaks_of_another_contract(deducting, channel):
    channel.replies.append(Reply(200, refusal("MERCHANT PERMISSION ERROR", "商户没有权限")))
    refused = SCENE.terminate_contract(deducting, KNOWN)
    assert refused == Refused(code="MERCHANT PERMISSION ERROR", message="商户没有权限")
    channel.replies.append(Reply(200, answer(contract_id="Wx-ANOTHER")))
    with pytest.raises(UnknownOutcome):
        SCENE.terminate_contract(deducting, KNOWN)


@pytest.mark.parametrize(
    ("change", "state"), [("ADD", ContractWord.ACTIVE), ("DELETE", ContractWord.TERMINATED), ("RENEW", None)]
)
def test_words_of_a_notice(deducting, change, state):
    word = SCENE.parse_contract_notify(deducting, posted(message({**NOTICE, "change_type": change})))
    assert (word.state, word.contract_no, word.channel_contract_no) == (state, CONTRACT_NO, CONTRACT_ID)
    assert word.payer_id == OPENID
    assert (word.signed_at is not None) == (change == "ADD")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (message(NOTICE, "0" * 32), BadSignature), (xml(NOTICE), BadSignature),
        (message({**NOTICE, "mch_id": "1900000000"}), IdentityMismatch),
        (message({**NOTICE, "appid": "wx0000000000000000"}), IdentityMismatch),
        (message({**NOTICE, "contract_id": None}), MalformedInbound),
        (message({**NOTICE, "contract_code": None}), MalformedInbound),
        (message({**NOTICE, "result_code": "FAIL"}), MalformedInbound), (b"", MalformedInbound),
    ],
)  # fmt: skip
def test_false_notices(deducting, channel, body, error):
    with pytest.raises(error):
        SCENE.parse_contract_notify(deducting, posted(body))
    assert channel.requests == [], "an unverified notice leads to no call"
