"""The wire: what leaves is signed over what is sent; what arrives counts only with Alipay's signature."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st

from channels.alipay.gateway import beijing, from_beijing, members_of
from channels.alipay.provider import AlipayProvider
from channels.base import OrderRef, PayOrder
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import time_limit
from tests.channels.alipay.conftest import make_provider
from tests.channels.alipay.wire import GatewayServer, answer, request_is_signed_by, rsa_sign

METHOD = "alipay.trade.query"
NOT_FOUND = '{"code":"40004","msg":"Business Failed","sub_code":"ACQ.TRADE_NOT_EXIST"}'


def ask(provider: AlipayProvider) -> Any:
    return provider.gateway.call(METHOD, {"out_trade_no": "A1"}, operation="query")


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Shanghai", "Pacific/Kiritimati"])
def process_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


class TestRequest:
    def test_alipay_can_verify_what_it_receives(
        self, provider: AlipayProvider, gateway: GatewayServer, app_key: RSAPrivateKey, order: PayOrder
    ) -> None:
        gateway.reply = lambda _p: (500, b"")
        with pytest.raises(UnknownOutcome):
            provider.pay("alipay_qr", order)
        assert request_is_signed_by(app_key.public_key(), gateway.received[0])

    def test_only_business_content_travels_in_the_body(self, provider: AlipayProvider, gateway: GatewayServer) -> None:
        with pytest.raises(UnknownOutcome):
            ask(provider)
        assert set(gateway.bodies[0]) == {"biz_content"}
        assert gateway.received[0]["charset"] == "utf-8"
        assert gateway.received[0]["sign_type"] == "RSA2"

    def test_nothing_empty_is_signed_or_sent(self, provider: AlipayProvider) -> None:
        parameters = provider.gateway.signed(METHOD, {"a": 1}, extra={"return_url": "", "notify_url": "x"})
        assert "return_url" not in parameters
        assert all(parameters.values())

    def test_key_mode_names_no_certificates(self, provider: AlipayProvider) -> None:
        assert not [name for name in provider.gateway.signed(METHOD, None) if name.endswith("_sn")]

    @pytest.mark.usefixtures("process_zone")
    def test_clock_is_beijing_whatever_the_process_runs_in(self, provider: AlipayProvider, order: PayOrder) -> None:
        assert provider.gateway.signed(METHOD, None)["timestamp"] == "2026-11-21 02:30:05"
        assert provider.content(order, "X")["time_expire"] == "2026-11-21 03:00:05"
        paid = from_beijing("2026-11-21 02:30:05")
        assert paid == datetime(2026, 11, 20, 18, 30, 5, tzinfo=UTC)
        assert paid is not None
        assert beijing(paid) == "2026-11-21 02:30:05"

    def test_address_with_its_own_query_keeps_it(self, raw_config: dict[str, Any], gateway: GatewayServer) -> None:
        provider = make_provider({**raw_config, "gateway_url": gateway.url + "?route=7"})
        with pytest.raises(UnknownOutcome):
            ask(provider)
        assert gateway.received[0]["route"] == "7"
        assert gateway.received[0]["method"] == METHOD
        assert provider.gateway.form_action == gateway.url + "?route=7&charset=utf-8"

    def test_address_with_a_port_is_called_at_that_port(
        self, provider: AlipayProvider, gateway: GatewayServer, answering: Callable[..., None]
    ) -> None:
        answering(code="10000", out_trade_no="A1")
        assert ask(provider).ok
        assert f"127.0.0.1:{gateway.url.split(':')[2].split('/')[0]}/" in provider.gateway.form_action


# Texts that break readers who count braces, search for "sign", or write the JSON anew before verifying.
GENUINE = {
    "plain": '{"code":"10000","out_trade_no":"A1"}',
    "brace in a string": '{"code":"10000","subject":"a}b{c}}","out_trade_no":"A1"}',
    "quote and brace": r'{"code":"10000","subject":"say \"}\" \\","out_trade_no":"A1"}',
    "sign inside": '{"code":"10000","sign":"not this one","out_trade_no":"A1"}',
    "sign text inside": r'{"code":"10000","body":"\",\"sign\":\"x\"}","out_trade_no":"A1"}',
    "escaped slashes": r'{"code":"10000","qr_code":"https:\/\/qr.alipay.com\/bax1","out_trade_no":"A1"}',
    "unicode escapes": r'{"code":"10000","subject":"\u7269\u4e1a","out_trade_no":"A1"}',
    "chinese as it is": '{"code":"10000","subject":"物业费","out_trade_no":"A1"}',
    "line ends between tokens": '{\r\n\t"code" : "10000",\r\n "out_trade_no":"A1" }',
    "order and spacing": '{"out_trade_no":  "A1","code":"10000"}',
    "nested": '{"code":"10000","fund_bill_list":[{"amount":"1.10","x":{"sign":"}"}}],"out_trade_no":"A1"}',
    "number forms": '{"code":"10000","n":1.10,"m":1e2,"out_trade_no":"A1"}',
}


class TestAnswer:
    @pytest.mark.parametrize("inner", GENUINE.values(), ids=GENUINE.keys())
    def test_genuine_text_is_accepted_byte_for_byte(
        self, provider: AlipayProvider, gateway: GatewayServer, alipay_key: RSAPrivateKey, inner: str
    ) -> None:
        gateway.reply = lambda p: answer(p["method"], inner, alipay_key)
        found = ask(provider)
        assert found.signed
        assert found.data == json.loads(inner, parse_float=Decimal)

    @pytest.mark.parametrize("inner", GENUINE.values(), ids=GENUINE.keys())
    def test_any_change_after_signing_is_refused(
        self, provider: AlipayProvider, gateway: GatewayServer, alipay_key: RSAPrivateKey, inner: str
    ) -> None:
        changed = answer(METHOD, inner, alipay_key).replace(b'"A1"', b'"A2"')
        assert changed != answer(METHOD, inner, alipay_key)
        gateway.reply = lambda _p: changed
        with pytest.raises(UnknownOutcome, match="signature"):
            ask(provider)

    def test_same_json_in_other_words_is_not_the_signed_text(
        self, provider: AlipayProvider, gateway: GatewayServer, alipay_key: RSAPrivateKey
    ) -> None:
        sent = GENUINE["escaped slashes"]
        written_anew = json.dumps(json.loads(sent), separators=(",", ":"))
        signature = rsa_sign(alipay_key, written_anew.encode())
        gateway.reply = lambda _p: answer(METHOD, sent, None, sign=signature)
        with pytest.raises(UnknownOutcome, match="signature"):
            ask(provider)

    def test_signature_may_come_first_with_space_around(
        self, provider: AlipayProvider, gateway: GatewayServer, alipay_key: RSAPrivateKey
    ) -> None:
        inner = GENUINE["line ends between tokens"]
        text = f'\r\n{{ "sign" : "{rsa_sign(alipay_key, inner.encode())}" ,\r\n' \
               f'"alipay_trade_query_response" :\r\n{inner}\r\n}}\r\n'  # fmt: skip
        gateway.reply = lambda _p: text.encode()
        assert ask(provider).ok

    @pytest.mark.parametrize("algorithm", [hashes.MD5(), hashes.SHA1(), hashes.SHA512()])
    def test_only_sha256_signatures_count(
        self, provider: AlipayProvider, gateway: GatewayServer, alipay_key: RSAPrivateKey,
        algorithm: hashes.HashAlgorithm,
    ) -> None:  # fmt: skip
        inner = GENUINE["plain"]
        signature = rsa_sign(alipay_key, inner.encode(), algorithm)
        gateway.reply = lambda _p: answer(METHOD, inner, None, sign=signature)
        with pytest.raises(UnknownOutcome, match="signature"):
            ask(provider)

    @pytest.mark.parametrize("signature", ["", "AAAA", "not base64 !", "签名"])
    def test_success_without_a_usable_signature_is_unknown(
        self, provider: AlipayProvider, gateway: GatewayServer, signature: str
    ) -> None:
        gateway.reply = lambda _p: answer(METHOD, GENUINE["plain"], None, sign=signature)
        with pytest.raises(UnknownOutcome):
            ask(provider)

    def test_success_without_any_sign_member_is_unknown(
        self, provider: AlipayProvider, answering: Callable[..., None]
    ) -> None:
        answering(code="10000", out_trade_no="A1", signed=False)
        with pytest.raises(UnknownOutcome, match="not signed"):
            ask(provider)

    @pytest.mark.parametrize("inner", [GENUINE["plain"], NOT_FOUND])
    def test_signature_by_another_key_is_refused_for_errors_too(
        self, provider: AlipayProvider, gateway: GatewayServer, other_key: RSAPrivateKey, inner: str
    ) -> None:
        gateway.reply = lambda _p: answer(METHOD, inner, other_key)
        with pytest.raises(UnknownOutcome, match="signature"):
            ask(provider)

    def test_gateway_errors_come_unsigned(self, provider: AlipayProvider, gateway: GatewayServer) -> None:
        gateway.reply = lambda _p: (
            b'{"error_response":{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-signature",'
            b'"sub_msg":"\xe9\xaa\x8c\xe7\xad\xbe\xe5\x87\xba\xe9\x94\x99"}}'
        )
        found = ask(provider)
        assert (found.code, found.sub_code, found.message) == ("40002", "isv.invalid-signature", "验签出错")
        assert not found.signed
        assert not found.ok

    @pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 404, 500, 502, 503])
    def test_every_other_status_is_unknown_even_with_a_genuine_body(
        self, provider: AlipayProvider, gateway: GatewayServer, alipay_key: RSAPrivateKey, status: int
    ) -> None:
        body = b"" if status == 204 else answer(METHOD, GENUINE["plain"], alipay_key)
        gateway.reply = lambda _p: (status, body)
        with pytest.raises(UnknownOutcome):
            ask(provider)

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"<html>502</html>", b"null", b"[]", b'"x"', b"{", b"{}", b'{"sign":"x"}', b'{"a":1,}',
            b'{"alipay_trade_query_response":', b'{"alipay_trade_query_response":"encrypted","sign":"x"}',
            b'{"alipay_trade_query_response":[],"sign":"x"}', b'{"alipay_trade_query_response":null}',
            b'{"alipay_trade_close_response":{"code":"40004"}}',
            b'{"alipay_trade_query_response":{"code":"40004"}} trailing',
            b'{"alipay_trade_query_response":{"code":"40004"},"alipay_trade_query_response":{"code":"40004"}}',
            b'{"alipay_trade_query_response":{"code":"\xff\xfe"}}', b"{" * 100_000, b"[" * 200_000,
            b'{"alipay_trade_query_response":' + b"[" * 200_000,
            b'{"alipay_trade_query_response":{"code":' + b"9" * 10_000 + b"}}",
        ],
    )  # fmt: skip
    def test_unreadable_answers_are_unknown(
        self, provider: AlipayProvider, gateway: GatewayServer, body: bytes
    ) -> None:
        gateway.reply = lambda _p: body
        with pytest.raises(UnknownOutcome):
            ask(provider)

    def test_silence_is_unknown(self, provider: AlipayProvider, gateway: GatewayServer) -> None:
        def slow(_parameters: dict[str, str]) -> bytes:
            time.sleep(0.6)
            return b""

        gateway.reply = slow
        with time_limit(0.2), pytest.raises(UnknownOutcome):
            ask(provider)

    def test_refused_connection_was_not_sent(self, raw_config: dict[str, Any], order: OrderRef) -> None:
        provider = make_provider({**raw_config, "gateway_url": "http://127.0.0.1:1/gateway.do"})
        with pytest.raises(NotSent):
            provider.query(order)

    def test_no_secret_in_what_is_raised_or_shown(
        self, provider: AlipayProvider, raw_config: dict[str, Any], gateway: GatewayServer
    ) -> None:
        gateway.reply = lambda _p: (500, b"")
        with pytest.raises(UnknownOutcome) as caught:
            ask(provider)
        secret = raw_config["app_private_key"].splitlines()[3]
        assert secret not in f"{caught.value!r}{provider!r}{provider.gateway!r}"


_names = st.text(min_size=1, max_size=8)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)
_space = st.sampled_from(["", " ", "\r\n", "\t "])


class TestMembersOf:
    @given(st.dictionaries(_names, _values, min_size=1, max_size=5), st.booleans(), _space)
    def test_gives_exactly_the_source_text_of_each_value(
        self, members: dict[str, Any], ascii_only: bool, space: str
    ) -> None:
        sources = {k: json.dumps(v, ensure_ascii=ascii_only) for k, v in members.items()}
        inside = f"{space},{space}".join(f"{json.dumps(k)}{space}:{space}{v}" for k, v in sources.items())
        found = members_of(f"{space}{{{space}{inside}{space}}}{space}")
        assert {k: source for k, (source, _value) in found.items()} == sources
        assert {k: value for k, (_source, value) in found.items()} == members

    @given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: base64.b64encode(b).decode()))
    def test_anything_else_is_a_value_error(self, text: str) -> None:
        with suppress(ValueError):
            assert isinstance(members_of(text), dict)
