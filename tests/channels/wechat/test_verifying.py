"""What we believe: signatures over raw bytes, by a key we know, made just now."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.base import InboundRequest, NoticeKind
from channels.wechat.gateway import UnverifiedAnswer
from paycenter.errors import BadSignature, InboundRefused, UnknownOutcome
from tests.channels.wechat.conftest import transaction
from tests.channels.wechat.standin import PUB_KEY_ID, Signer, new_certificate, pem

URL = {"code_url": "weixin://wxpay/bizpayurl?pr=1"}
several_examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def with_header(request, name, value):
    headers = {k: v for k, v in request.headers.items() if k != name}
    return replace(request, headers=headers if value is None else headers | {name: value})


def test_a_genuine_notification_with_unusual_spacing_and_chinese_is_believed(provider, notifies):
    assert b" ,\n" in notifies(transaction()).body
    assert provider.parse_notify(notifies(transaction())).kind is NoticeKind.PAYMENT


@several_examples
@given(st.data())
def test_no_changed_byte_of_a_body_verifies(provider, notifies, data):
    request = notifies(transaction())
    at = data.draw(st.integers(0, len(request.body) - 1))
    flip = data.draw(st.integers(1, 255))
    body = request.body[:at] + bytes([request.body[at] ^ flip]) + request.body[at + 1 :]
    with pytest.raises(InboundRefused):
        provider.parse_notify(replace(request, body=body))
    with pytest.raises(BadSignature):
        provider.gateway.verify(request.headers, body)


@several_examples
@given(
    name=st.sampled_from(["timestamp", "nonce", "signature", "serial", "signature-type"]),
    data=st.data(),
)
def test_no_changed_header_verifies(provider, notifies, name, data):
    request = notifies(transaction())
    name = f"wechatpay-{name}"
    value = request.headers[name]
    # The last digit of base64 has bits that mean nothing; changing those changes no signature.
    at = data.draw(st.integers(0, len(value.rstrip("=")) - 2))
    char = data.draw(st.characters().filter(lambda c: c != value[at]))
    changed = value[:at] + char + value[at + 1 :]
    with pytest.raises(BadSignature):
        provider.parse_notify(with_header(request, name, changed))


@several_examples
@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4))
def test_junk_is_refused_and_never_crashes(provider, body, headers):
    with pytest.raises(InboundRefused):
        provider.parse_notify(InboundRequest(method="POST", path="/", headers=headers, body=body))


def test_a_body_written_anew_does_not_verify_although_it_means_the_same(provider, notifies):
    request = notifies(transaction())
    again = json.dumps(json.loads(request.body)).encode()
    with pytest.raises(BadSignature):
        provider.parse_notify(replace(request, body=again))


@pytest.mark.parametrize("name", ["timestamp", "nonce", "signature", "serial"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_header_is_refused(name, value, provider, notifies):
    with pytest.raises(BadSignature):
        provider.parse_notify(with_header(notifies(transaction()), f"wechatpay-{name}", value))


def test_the_type_header_may_be_absent_but_not_another(provider, notifies):
    request = notifies(transaction())
    name = "wechatpay-signature-type"
    assert provider.parse_notify(with_header(request, name, None)).kind is NoticeKind.PAYMENT
    with pytest.raises(BadSignature):
        provider.parse_notify(with_header(request, name, "WECHATPAY2-SM2-WITH-SM3"))


@pytest.mark.parametrize(
    ("offset", "believed"), [(-301, False), (-299, True), (0, True), (299, True), (301, False)]
)
def test_a_timestamp_is_good_for_300_seconds_either_way(offset, believed, make_provider, notifies):
    now = int(time.time())
    provider = make_provider(clock=lambda: datetime.fromtimestamp(now, UTC))
    request = notifies(transaction(), at=now + offset)
    if believed:
        assert provider.parse_notify(request).kind is NoticeKind.PAYMENT
    else:
        with pytest.raises(BadSignature):
            provider.parse_notify(request)


@pytest.mark.parametrize("text", ["", "abc", "-5", "1e9", "١٧٠٠٠٠٠٠٠٠", "9" * 400, "1.5", "\ud800"])
def test_a_timestamp_that_is_no_number_is_refused(text, provider, notifies):
    with pytest.raises(BadSignature):
        provider.parse_notify(with_header(notifies(transaction()), "wechatpay-timestamp", text))


def test_a_deliberate_probe_signature_fails(provider, notifies):
    request = notifies(transaction())
    probe = "WECHATPAY/SIGNTEST/" + request.headers["wechatpay-signature"]
    with pytest.raises(BadSignature):
        provider.parse_notify(with_header(request, "wechatpay-signature", probe))


def test_a_probe_in_an_answer_leaves_it_unknown(provider, order, says):
    def probe(headers):
        headers["Wechatpay-Signature"] = "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]

    says(200, URL, change=probe)
    with pytest.raises(UnknownOutcome):
        provider.pay("wechat_native", order)


@pytest.mark.parametrize("serial", ["5DEA10EF55877E3CF6C33255C2E7DEFFF7E427EC", "PUB_KEY_ID_999", "", "../x"])
def test_an_unknown_serial_is_refused_without_any_outbound_call(
    serial, certificate_provider, notifies, wx_keys, channel
):
    """Otherwise anybody could make the center fetch certificates as often as they like."""
    for _ in range(3):
        with pytest.raises(BadSignature):
            certificate_provider.parse_notify(notifies(transaction(), sign=Signer(wx_keys.platform, serial)))
    assert channel.requests == []


def test_a_known_serial_does_not_vouch_for_another_key(provider, notifies, wx_keys):
    with pytest.raises(BadSignature):
        provider.parse_notify(notifies(transaction(), sign=Signer(wx_keys.stranger, PUB_KEY_ID)))


@pytest.mark.parametrize("mode", ["public_key", "platform_certificate"])
@pytest.mark.parametrize("signer", ["by_public_key", "by_certificate"])
def test_while_switching_either_may_sign(mode, signer, make_provider, notifies, wx_keys, order, says):
    provider = make_provider(
        verify_mode=mode, platform_certificates=pem(wx_keys.platform_certificate)
    )
    sign = getattr(wx_keys, signer)
    assert provider.parse_notify(notifies(transaction(), sign=sign)).kind is NoticeKind.PAYMENT
    says(200, transaction(), sign=sign)
    assert provider.query(order).order_no == order.order_no


def test_a_serial_in_lower_case_or_without_its_zero_is_the_same_certificate(
    make_provider, notifies, wx_keys
):
    certificate = new_certificate(wx_keys.platform, serial=0x0DEA10EF)
    provider = make_provider(verify_mode="platform_certificate", platform_certificates=pem(certificate))
    for serial in ("0DEA10EF", "dea10ef", "DEA10EF"):
        request = notifies(transaction(), sign=Signer(wx_keys.platform, serial))
        assert provider.parse_notify(request).kind is NoticeKind.PAYMENT


def test_an_expired_platform_certificate_no_longer_verifies(make_provider, notifies, wx_keys):
    expired = new_certificate(wx_keys.platform, days=30)
    provider = make_provider(
        verify_mode="platform_certificate", platform_certificates=pem(expired),
        clock=lambda: datetime.now(UTC) + timedelta(days=40),
    )  # fmt: skip
    signer = Signer(wx_keys.platform, f"{expired.serial_number:X}")
    with pytest.raises(BadSignature):
        provider.parse_notify(notifies(transaction(), sign=signer, at=time.time() + 40 * 86400))


@pytest.mark.parametrize("at", [-400, 400])
def test_a_stale_or_future_answer_is_unknown(at, provider, order, says):
    says(200, URL, at=time.time() + at)
    with pytest.raises(UnverifiedAnswer):
        provider.pay("wechat_native", order)


def test_an_answer_without_the_type_header_is_believed(provider, order, says):
    says(200, URL, change=lambda headers: headers.pop("Wechatpay-Signature-Type"))
    assert provider.pay("wechat_native", order).instruction.content == URL["code_url"]


def test_a_signed_answer_that_is_not_json_is_unknown(provider, order, says):
    says(200, b"<html/>")
    with pytest.raises(UnknownOutcome):
        provider.pay("wechat_native", order)


def test_errors_and_names_of_objects_hold_no_secret(provider, raw_config, notifies):
    with pytest.raises(BadSignature) as caught:
        provider.parse_notify(with_header(notifies(transaction()), "wechatpay-nonce", "x"))
    text = f"{caught.value!r} {provider!r} {provider.gateway!r}"
    assert raw_config["api_v3_key"] not in text
    assert "PRIVATE" not in text
