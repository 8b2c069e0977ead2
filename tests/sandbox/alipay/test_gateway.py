"""What the gateway lets in, in Alipay's order and words, and how its answers are put together."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode

import pytest

from tests.sandbox.clients import BEIJING, AlipayMerchant, rsa_sign, rsa_verifies
from tests.sandbox.running import Running

QUERY = "alipay.trade.query"
BIZ = {"out_trade_no": "NONE"}


def stamp(**delta: float) -> str:
    return (datetime.now(BEIJING) + timedelta(**delta)).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("changed", "sub_code"),
    [
        ({"app_id": "2021000000000000"}, "isv.invalid-app-id"),
        ({"charset": "latin-9"}, "isv.invalid-charset"),
        ({"sign_type": "RSA"}, "isv.invalid-signature-type"),
        ({"version": "2.0"}, "isv.invalid-version"),
        ({"timestamp": stamp(hours=-8)}, "isv.invalid-timestamp"),
        ({"timestamp": stamp(hours=1)}, "isv.invalid-timestamp"),
        ({"timestamp": "now"}, "isv.invalid-timestamp"),
        ({"method": "alipay.trade.nonsense"}, "isv.invalid-method"),
        ({"sign": "AAAA"}, "isv.invalid-signature"),
        ({"sign": "not base64!"}, "isv.invalid-signature"),
        ({"method": ""}, "isv.missing-method"),
        ({"app_id": ""}, "isv.missing-app-id"),
        ({"sign": ""}, "isv.missing-signature"),
        ({"timestamp": ""}, "isv.missing-timestamp"),
    ],
)
def test_refuses_in_the_gateways_own_unsigned_words(
    alipay: AlipayMerchant, changed: dict[str, str], sub_code: str
) -> None:
    more = {name: value for name, value in changed.items() if name != "method"}
    answer = alipay.send(alipay.params(changed.get("method", QUERY), BIZ, **more))
    assert answer.status == 200
    assert set(answer.json) == {"error_response"}
    assert answer.json["error_response"]["sub_code"] == sub_code
    assert answer.json["error_response"]["code"] == ("40001" if "missing" in sub_code else "40002")


@pytest.mark.parametrize("name", ["biz_content", "notify_url", "timestamp", "method"])
def test_any_altered_parameter_breaks_the_signature(alipay: AlipayMerchant, name: str) -> None:
    params = alipay.params(QUERY, BIZ)
    altered = {"timestamp": stamp(seconds=2), "method": "alipay.trade.close"}.get(name, params[name] + " ")
    answer = alipay.send(params | {name: altered})
    assert answer.json["error_response"]["sub_code"] == "isv.invalid-signature"


def test_another_apps_key_does_not_sign_for_this_app(
    alipay: AlipayMerchant, contracts: dict[str, dict[str, str]]
) -> None:
    params = alipay.params(QUERY, BIZ)
    text = "&".join(f"{k}={v}" for k, v in sorted(params.items()) if k != "sign")
    answer = alipay.send(params | {"sign": rsa_sign(contracts["alipay_other"]["app_private_key"], text.encode())})
    assert answer.json["error_response"]["sub_code"] == "isv.invalid-signature"


def test_takes_everything_in_the_query_or_everything_in_the_body(alipay: AlipayMerchant, sandbox: Running) -> None:
    params = urlencode(alipay.params(QUERY, BIZ))
    by_get = sandbox.request("GET", f"/gateway.do?{params}")
    by_body = sandbox.request("POST", "/gateway.do", params, {"Content-Type": "application/x-www-form-urlencoded"})
    for answer in (by_get, by_body):
        assert answer.json["alipay_trade_query_response"]["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_gbk_requests_are_read_and_answered_in_gbk(alipay: AlipayMerchant, sandbox: Running) -> None:
    biz = {"out_trade_no": "GBK1", "total_amount": "1.00", "subject": "物业费"}
    params = alipay.params("alipay.trade.precreate", biz, charset="GBK", sign="")
    text = "&".join(f"{k}={v}" for k, v in sorted(params.items()) if k != "sign")
    params["sign"] = rsa_sign(alipay.config["app_private_key"], text.encode("gbk"))
    answer = sandbox.request("POST", "/gateway.do", urlencode(params, encoding="gbk"),
                             {"Content-Type": "application/x-www-form-urlencoded;charset=GBK"})  # fmt: skip
    assert json.loads(answer.body.decode("gbk"))["alipay_trade_precreate_response"]["code"] == "10000"
    assert sandbox.control("GET", "/payments/GBK1").json["state"] == "unpaid"
    assert "物业费" in sandbox.request("GET", "/wallet").text


def test_the_answer_is_escaped_text_whose_exact_bytes_are_signed(alipay: AlipayMerchant, sandbox: Running) -> None:
    answer = alipay.send(alipay.params("alipay.trade.precreate", {
        "out_trade_no": "E1", "total_amount": "1.00", "subject": 'brace } and "sign" {',
    }))  # fmt: skip
    inner, signature = alipay.split(answer.text)
    assert "http:\\/\\/127.0.0.1" in inner
    assert rsa_verifies(alipay.alipay_key, signature, inner.encode())
    redumped = json.dumps(json.loads(inner)).encode()
    assert not rsa_verifies(alipay.alipay_key, signature, redumped)
    assert answer.headers["content-type"] == "text/html;charset=utf-8"


def test_certificate_mode_wants_both_serial_numbers_and_names_its_own(
    sandbox: Running, contracts: dict[str, dict[str, str]]
) -> None:
    import hashlib

    from cryptography import x509

    def sn(cert: x509.Certificate) -> str:
        issuer = {a.rfc4514_attribute_name: a.value for a in cert.issuer}
        text = f"CN={issuer['CN']},OU={issuer['OU']},O={issuer['O']},C={issuer['C']}{cert.serial_number}"
        return hashlib.md5(text.encode()).hexdigest()

    config = contracts["alipay_cert"]
    merchant = AlipayMerchant(sandbox, config)
    (app_cert,) = x509.load_pem_x509_certificates(config["app_cert"].encode())
    roots = x509.load_pem_x509_certificates(config["alipay_root_cert"].encode())
    numbers = {"app_cert_sn": sn(app_cert), "alipay_root_cert_sn": "_".join(sn(r) for r in roots[1:])}
    answer = merchant.send(merchant.params(QUERY, BIZ, **numbers))
    leaf = x509.load_pem_x509_certificates(config["alipay_cert"].encode())[0]
    assert answer.json["alipay_cert_sn"] == sn(leaf)
    assert merchant.call(QUERY, BIZ, **numbers)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    missing = merchant.call(QUERY, BIZ, app_cert_sn=numbers["app_cert_sn"])
    assert missing["sub_code"] == "isv.missing-root-cert-sn"
    wrong = merchant.call(QUERY, BIZ, **(numbers | {"alipay_root_cert_sn": "_".join(sn(r) for r in roots)}))
    assert wrong["sub_code"] == "isv.invalid-root-cert-sn"


def test_authorisation_gives_a_code_that_works_once(alipay: AlipayMerchant, sandbox: Running) -> None:
    query = urlencode({"app_id": alipay.config["app_id"], "scope": "auth_base", "state": "S&1",
                       "redirect_uri": "http://127.0.0.1:9/back?x=1"})  # fmt: skip
    answer = sandbox.request("GET", f"/oauth2/publicAppAuthorize.htm?{query}")
    assert answer.status == 302
    back = answer.headers["location"]
    assert back.startswith("http://127.0.0.1:9/back?x=1&")
    fields = dict(parse_qsl(back.partition("?")[2]))
    assert (fields["state"], fields["app_id"]) == ("S&1", alipay.config["app_id"])
    exchange = {"grant_type": "authorization_code", "code": fields["auth_code"]}
    first = alipay.call("alipay.system.oauth.token", None, **exchange)
    assert first["user_id"].startswith("2088")
    assert "code" not in first
    assert alipay.call("alipay.system.oauth.token", None, **exchange)["sub_code"] == "isv.code-invalid"


def test_authorisation_refuses_a_stranger_and_a_script_address(alipay: AlipayMerchant, sandbox: Running) -> None:
    for changed in ({"app_id": "2021000000000000"}, {"redirect_uri": "javascript:alert(1)"}, {"scope": "all"}):
        fields = {"app_id": alipay.config["app_id"], "scope": "auth_base", "redirect_uri": "http://x/"} | changed
        assert sandbox.request("GET", f"/oauth2/publicAppAuthorize.htm?{urlencode(fields)}").status == 400
