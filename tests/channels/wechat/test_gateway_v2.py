"""API v2's signatures, and answers that must not be believed."""

from __future__ import annotations

from typing import Any

import pytest

from channels.wechat.gateway_v2 import HMAC_SHA256, signature
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound, NotSent, UnknownOutcome
from tests.channels.wechat.standin import APP_ID, MCH_ID, Reply
from tests.channels.wechat.wire_v2 import API_V2_KEY, answer, fields_of, message, sign, xml

# The vendor's published example: https://pay.weixin.qq.com/doc/v2/merchant/4011985891
PUBLISHED = {
    "appid": "wxd930ea5d5a258f4f", "mch_id": "10000100", "device_info": "1000", "body": "test",
    "nonce_str": "ibuaiVcKdpRxkhJA",
}  # fmt: skip
PUBLISHED_KEY = "192006250b4c09247ec02edce69f6a2d"


@pytest.fixture
def gateway(make_provider: Any) -> Any:
    return make_provider(api_v2_key=API_V2_KEY).v2


def test_the_published_examples_signatures():
    assert signature(PUBLISHED, PUBLISHED_KEY) == "9A0A8659F005D6984697E2CA0A9CF3B7"
    hmac_sha256 = signature(PUBLISHED, PUBLISHED_KEY, HMAC_SHA256)
    assert hmac_sha256 == "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6"


def test_empty_values_and_the_signature_itself_are_not_signed():
    assert signature({**PUBLISHED, "attach": "", "sign": "X"}, PUBLISHED_KEY) == signature(PUBLISHED, PUBLISHED_KEY)


def test_a_call_is_signed_and_says_who_we_are(gateway, channel):
    channel.replies.append(Reply(200, answer(err_code="0")))
    found = gateway.call("/pay/orderquery", {"out_trade_no": "A1", "body": "甲&<乙>"}, operation="query")
    assert found.ok
    (request,) = channel.requests
    sent = fields_of(request.body)
    assert (request.method, request.target) == ("POST", "/pay/orderquery")
    assert (sent["appid"], sent["mch_id"], sent["body"]) == (APP_ID, MCH_ID, "甲&<乙>")
    assert sent["sign"] == sign(sent)
    assert len(sent["nonce_str"]) == 32


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, answer()), (502, b""), (200, b""), (200, b"<html/>"), (200, xml({"return_code": "SUCCESS"})),
        (200, message({"return_code": "SUCCESS", "result_code": "SUCCESS", "mch_id": MCH_ID}, "0" * 32)),
        (200, answer(return_code="FAIL", return_msg="签名错误")), (200, answer(mch_id="1900000000")),
        (200, answer(appid="wx0000000000000000")), (200, answer(sign_type="RSA")),
    ],
)  # fmt: skip
def test_what_is_not_a_genuine_answer_to_us_is_unknown(gateway, channel, status, body):
    channel.replies.append(Reply(status, body))
    with pytest.raises(UnknownOutcome):
        gateway.call("/pay/pappayapply", {"out_trade_no": "A1"}, operation="pay")


def test_without_a_key_nothing_is_sent_and_nothing_is_understood(provider, channel):
    with pytest.raises(NotSent):
        provider.v2.call("/pay/orderquery", {"out_trade_no": "A1"}, operation="query")
    with pytest.raises(NotSent):
        provider.v2.page_url("/papay/entrustweb", {"plan_id": "1"})
    with pytest.raises(MalformedInbound):
        provider.v2.verified(message({"return_code": "SUCCESS"}, ""))
    assert channel.requests == []


def test_a_message_may_be_signed_either_way(gateway):
    for kind in (None, "MD5", "HMAC-SHA256"):
        found = gateway.verified(message({"return_code": "SUCCESS", "sign_type": kind, "new": "field"}))
        assert found["new"] == "field"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (xml({"return_code": "SUCCESS", "mch_id": MCH_ID}), BadSignature),
        (message({"return_code": "SUCCESS"}, "1" * 32), BadSignature),
        (message({"return_code": "SUCCESS", "sign_type": "NONE"}), BadSignature),
        (message({"return_code": "FAIL"}), MalformedInbound), (b"<xml>", MalformedInbound), (b"{}", MalformedInbound),
        (xml({"return_code": "SUCCESS", "req_info": "T87GAHG17TGAHG1TGHAHAHA1Y1CIOA9UGJH1"}), MalformedInbound),
    ],
)  # fmt: skip
def test_a_false_message_is_told_apart(gateway, body, error):
    with pytest.raises(error):
        gateway.verified(body)


def test_a_message_for_another_merchant_or_app_is_not_ours(gateway):
    gateway.must_be_ours({"mch_id": MCH_ID})
    for found in ({"mch_id": "1900000000"}, {"mch_id": MCH_ID, "appid": "wx0000000000000000"}, {}):
        with pytest.raises(IdentityMismatch):
            gateway.must_be_ours(found)
