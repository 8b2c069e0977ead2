"""How WeChat Pay is spoken: what it refuses in which words, and how its answers are signed."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.sandbox.clients import WeChatMerchant
from tests.sandbox.running import Running

SCHEME = "WECHATPAY2-SHA256-RSA2048"
FORMAT = "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"


def path(wechat: WeChatMerchant, order_no: str = "NONE") -> str:
    return f"/v3/pay/transactions/out-trade-no/{order_no}?mchid={wechat.config['mch_id']}"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"timestamp": str(int(time.time()) - 400)}, "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"),
        ({"timestamp": str(int(time.time()) + 3600)}, "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"),
        ({"signature": "AAAA"}, "签名错误，请检查后再试"),
        ({"serial_no": "00" * 20}, "商户证书序列号有误。请使用签名私钥匹配的证书序列号"),
        ({"nonce_str": "n" * 33}, "签名信息错误，验签失败"),
        ({"mchid": "1600000000"}, "商户号不存在，请检查mchid"),
    ],
)
def test_refuses_unsigned_with_401(wechat: WeChatMerchant, changed: dict[str, str], message: str) -> None:
    answer = wechat.send("GET", path(wechat), **changed)
    assert answer.status == 401
    assert answer.json == {"code": "SIGN_ERROR", "message": message}
    assert "wechatpay-signature" not in answer.headers


@pytest.mark.parametrize("header", ["", "Bearer x", f'{SCHEME} mchid="1"', f"{SCHEME} x"])
def test_a_malformed_authorization_has_two_texts_by_interface(
    sandbox: Running, wechat: WeChatMerchant, header: str
) -> None:
    headers = {"Accept": "application/json", "User-Agent": "t", "Authorization": header}
    assert sandbox.request("GET", path(wechat), headers=headers).json["message"] == "签名信息错误，验签失败"
    assert sandbox.request("GET", "/v3/certificates", headers=headers).json["message"] == FORMAT


def test_pairs_may_be_in_any_order_but_not_spaced(sandbox: Running, wechat: WeChatMerchant) -> None:
    headers = wechat.headers("GET", path(wechat), b"")
    scheme, _, pairs = headers["Authorization"].partition(" ")
    turned = ",".join(reversed(pairs.split(",")))
    assert sandbox.request("GET", path(wechat), headers=headers | {"Authorization": f"{scheme} {turned}"}).status == 404
    spaced = pairs.replace(",", ", ")
    assert sandbox.request("GET", path(wechat), headers=headers | {"Authorization": f"{scheme} {spaced}"}).status == 401


def test_a_user_agent_is_needed(sandbox: Running, wechat: WeChatMerchant) -> None:
    headers = wechat.headers("GET", path(wechat), b"")
    del headers["User-Agent"]
    answer = sandbox.request("GET", path(wechat), headers=headers)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_REQUEST")


def test_the_signature_is_over_the_path_and_body_as_sent(sandbox: Running, wechat: WeChatMerchant) -> None:
    raw = path(wechat, "A%7CB%7C00001")
    assert wechat.send("GET", raw).status == 404
    signed_decoded = wechat.headers("GET", path(wechat, "A|B|00001"), b"")
    assert sandbox.request("GET", raw, headers=signed_decoded).status == 401
    body = json.dumps(wechat.order("W00001"), indent=3).encode()
    headers = wechat.headers("POST", "/v3/pay/transactions/native", body)
    assert sandbox.request("POST", "/v3/pay/transactions/native", body + b" ", headers).status == 401
    assert sandbox.request("POST", "/v3/pay/transactions/native", body, headers).status == 200


def test_only_successes_are_signed_and_204_over_an_empty_body(wechat: WeChatMerchant) -> None:
    created = wechat.native("W00001")
    assert wechat.verifies(created.headers, created.body)
    assert not wechat.verifies(created.headers, created.body + b" ")
    closed = wechat.close("W00001")
    assert (closed.status, closed.body) == (204, b"")
    assert wechat.verifies(closed.headers, b"")
    missing = wechat.query("NONE-1")
    assert (missing.status, missing.json["code"]) == (404, "ORDER_NOT_EXIST")
    assert "wechatpay-signature" not in missing.headers


def test_a_public_key_merchant_has_no_certificates(sandbox: Running, contracts: dict[str, dict[str, str]]) -> None:
    wechat = WeChatMerchant(sandbox, contracts["wechat_public"])
    answer = wechat.send("GET", "/v3/certificates")
    assert (answer.status, answer.json["code"]) == (404, "RESOURCE_NOT_EXISTS")
    created = wechat.native("W00001")
    assert created.headers["wechatpay-serial"] == contracts["wechat_public"]["wechatpay_public_key_id"]


def test_a_merchant_in_a_switch_sees_both_signers_and_may_ask_for_one(
    sandbox: Running, contracts: dict[str, dict[str, str]]
) -> None:
    wechat = WeChatMerchant(sandbox, contracts["wechat_switching"])
    for _ in range(40):
        answer = wechat.send("GET", "/v3/certificates")
        if not answer.headers["wechatpay-serial"].startswith("PUB"):
            break
    (item,) = answer.json["data"]
    wechat.keys[item["serial_no"]] = wechat.open(item["encrypt_certificate"]).decode()
    wechat.native("W00001")
    serials = {wechat.query("W00001").headers["wechatpay-serial"] for _ in range(40)}
    assert serials == set(wechat.keys)
    for serial in serials:
        headers = wechat.headers("GET", path(wechat, "W00001"), b"") | {"Wechatpay-Serial": serial}
        answer = sandbox.request("GET", path(wechat, "W00001"), headers=headers)
        assert answer.headers["wechatpay-serial"] == serial
    headers = wechat.headers("GET", path(wechat, "W00001"), b"") | {"Wechatpay-Serial": "PUB_KEY_ID_0"}
    assert sandbox.request("GET", path(wechat, "W00001"), headers=headers).status == 400


def test_web_authorisation_gives_a_code_that_works_once(sandbox: Running, wechat: WeChatMerchant) -> None:
    app_id, secret = wechat.config["app_id"], wechat.config["app_secret"]
    query = urlencode({"appid": app_id, "redirect_uri": "http://127.0.0.1:9/back", "response_type": "code",
                       "scope": "snsapi_base", "state": "S1"})  # fmt: skip
    answer = sandbox.request("GET", f"/connect/oauth2/authorize?{query}")
    fields = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (answer.status, fields["state"]) == (302, ["S1"])

    def token(code: str, with_secret: str) -> dict[str, object]:
        query = {"appid": app_id, "secret": with_secret, "code": code, "grant_type": "authorization_code"}
        got = sandbox.request("GET", f"/sns/oauth2/access_token?{urlencode(query)}")
        assert got.status == 200
        return dict(got.json)

    code = fields["code"][0]
    assert token(code, "0" * 32)["errcode"] == 40125
    assert token("nonsense", secret)["errcode"] == 40029
    assert str(token(code, secret)["openid"]).startswith("o")
    assert token(code, secret)["errcode"] == 40163
