"""JSAPI, mini program, H5 and app: what is sent, and what the payer's side is handed."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from channels.base import Device, PayerKey, Redirect, Refused, SdkParams
from channels.base.discovery import method_for, methods_of
from tests.channels.wechat.standin import APP_ID, MCH_ID

PREPAY_ID = "wx201410272009395522657a690389285100"
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"


def signed_by_us(wx_keys, signature: str, text: str) -> bool:
    key = wx_keys.merchant.public_key()
    key.verify(base64.b64decode(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return True


@pytest.mark.parametrize("code", ["wechat_jsapi", "wechat_mini"])
def test_the_bridge_gets_parameters_that_wechat_can_verify(
    code, provider, make_order, channel, says, wx_keys
):
    says(200, {"prepay_id": PREPAY_ID})
    order = make_order(payer={"openid": OPENID, "phone": "13800000000"})
    params = provider.pay(code, order).instruction.params
    assert channel.requests[0].target == "/v3/pay/transactions/jsapi"
    assert channel.requests[0].json["payer"] == {"openid": OPENID}
    assert set(params) == {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"}
    assert (params["appId"], params["signType"]) == (APP_ID, "RSA")
    assert params["package"] == f"prepay_id={PREPAY_ID}"
    text = f"{APP_ID}\n{params['timeStamp']}\n{params['nonceStr']}\nprepay_id={PREPAY_ID}\n"
    assert signed_by_us(wx_keys, params["paySign"], text)
    assert all(isinstance(value, str) for value in params.values())


def test_the_app_gets_its_own_spelling_and_signature(provider, order, channel, says, wx_keys):
    says(200, {"prepay_id": PREPAY_ID})
    result = provider.pay("wechat_app", order)
    assert isinstance(result.instruction, SdkParams)
    params = result.instruction.params
    assert channel.requests[0].target == "/v3/pay/transactions/app"
    assert set(params) == {"appid", "partnerid", "prepayid", "package", "noncestr", "timestamp", "sign"}
    assert (params["appid"], params["partnerid"]) == (APP_ID, MCH_ID)
    assert (params["prepayid"], params["package"]) == (PREPAY_ID, "Sign=WXPay")
    text = f"{APP_ID}\n{params['timestamp']}\n{params['noncestr']}\n{PREPAY_ID}\n"
    assert signed_by_us(wx_keys, params["sign"], text)


def test_h5_sends_the_payer_on_and_brings_them_back(provider, make_order, channel, says):
    h5_url = "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx2&package=3"
    says(200, {"h5_url": h5_url})
    order = make_order(client_ip="203.0.113.9")
    result = provider.pay("wechat_h5", order)
    assert channel.requests[0].json["scene_info"] == {
        "payer_client_ip": "203.0.113.9", "h5_info": {"type": "Wap"},
    }  # fmt: skip
    assert isinstance(result.instruction, Redirect)
    assert result.instruction.url.startswith(h5_url + "&redirect_url=https%3A%2F%2F")
    query = parse_qs(urlsplit(result.instruction.url).query)
    assert query["redirect_url"] == [order.return_url]
    assert set(query) == {"prepay_id", "package", "redirect_url"}


@pytest.mark.parametrize(
    ("code", "word"), [("wechat_h5", "client_ip"), ("wechat_jsapi", "openid"), ("wechat_mini", "openid")]
)
def test_what_a_scene_cannot_do_without_is_refused_before_anything_is_sent(
    code, word, provider, order, channel
):
    result = provider.pay(code, order)
    assert isinstance(result, Refused)
    assert word in result.message
    assert channel.requests == []


@pytest.mark.parametrize("code", ["wechat_native", "wechat_jsapi", "wechat_mini", "wechat_h5", "wechat_app"])
def test_every_scene_hands_a_refusal_on(code, provider, make_order, says):
    says(403, {"code": "NO_AUTH", "message": "商户号该产品权限未开通"})
    result = provider.pay(code, make_order(payer={"openid": OPENID}, client_ip="203.0.113.9"))
    assert result == Refused(code="NO_AUTH", message="商户号该产品权限未开通")


def test_scenes_are_offered_where_they_work():
    offered = {m.code: (m.instruction, m.devices, m.payer_key, m.own_cashier) for m in methods_of("wechat")}
    assert offered == {
        "wechat_native": ("qrcode", {Device.PC}, None, False),
        "wechat_jsapi": ("sdk", {Device.WECHAT}, PayerKey.OPENID, False),
        "wechat_mini": ("sdk", {Device.MINI}, PayerKey.OPENID, False),
        "wechat_h5": ("redirect", {Device.MOBILE}, None, True),
        "wechat_app": ("sdk", frozenset(), None, False),
        "wechat_deduct": ("none", frozenset(), None, False),
    }
    assert method_for("wechat_h5").needs_client_ip
