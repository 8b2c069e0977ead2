"""The wire: what is signed and how, answers that nobody encoded, and whose signature counts."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from channels.base import InboundRequest, NoticeKind, OrderRef, PaymentState, PayOrder, keys
from channels.unionpay.certificates import Chain, Untrusted
from channels.unionpay.gateway import decode_form, parse_answer, signing_digest, signing_text
from channels.unionpay.provider import UnionPayProvider
from paycenter.errors import BadSignature, MalformedInbound, UnknownOutcome
from paycenter.masking import mask_text
from paycenter.money import Money
from tests.channels.unionpay.conftest import HTTP, NOW, Answering, World, make_provider
from tests.channels.unionpay.wire import (
    REAL_NAME,
    GatewayServer,
    Party,
    form,
    notice,
    party,
    raw,
    request_is_signed_by,
    rsa_sign,
    signed,
)
from tests.channels.unionpay.wire import signing_text as their_text


def posted(body: bytes) -> InboundRequest:
    return InboundRequest(method="POST", path="/notify/unionpay_pc/A1", body=body)


# -- what we send


def test_requests_are_signed_twice_hashed_and_name_the_certificate_in_decimal(
    provider: UnionPayProvider, gateway: GatewayServer, parties: World, order: PayOrder, answering: Answering
) -> None:
    answering(respCode="34", respMsg="查无此交易[2600000]")
    provider.query(order)
    sent = gateway.received[0]
    assert request_is_signed_by(parties.merchant.key.public_key(), sent)
    assert sent["certId"] == str(parties.merchant.certificate.serial_number)
    assert (sent["version"], sent["signMethod"], sent["encoding"], sent["accessType"]) == (
        "5.1.0", "01", "UTF-8", "0",
    )  # fmt: skip


def test_empty_fields_are_neither_signed_nor_sent(provider: UnionPayProvider) -> None:
    fields = provider.gateway.signed({"orderId": "A1", "reqReserved": ""})
    assert "reqReserved" not in fields
    assert signing_digest({**fields, "reqReserved": ""}) == signing_digest(fields)


def test_names_are_sorted_by_their_bytes() -> None:
    text = b"B=2&a=1&b=3"
    assert signing_digest({"b": "3", "a": "1", "B": "2", "signature": "x"}) == (
        hashlib.sha256(text).hexdigest().encode()
    )


# -- answers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=&b=2", {"a": "", "b": "2"}),
        ("sign=ab+/c==&b=2", {"sign": "ab+/c==", "b": "2"}),
        ("r={a=1&b=2}&c=3", {"r": "{a=1&b=2}", "c": "3"}),
        ("r=[a=1&b=2]&c=3", {"r": "[a=1&b=2]", "c": "3"}),
        ("m=成功[0000000]&r={a=b&}x={&}&c=3", {"m": "成功[0000000]", "r": "{a=b&}x={&}", "c": "3"}),
        ("k=l1\r\nl2==\r\n-----&c=3", {"k": "l1\r\nl2==\r\n-----", "c": "3"}),
        ("p=100%25+1&c=3", {"p": "100%25+1", "c": "3"}),
        ("r={a=1]&b=2}&c=}", {"r": "{a=1]&b=2}", "c": "}"}),
    ],
)
def test_answers_are_taken_apart_without_decoding(text: str, found: dict[str, str]) -> None:
    assert parse_answer(text) == found


@pytest.mark.parametrize("text", ["", "x", "=1", "a=1&a=2", "a=1&&b=2", "a={b=1&c=2", "<html></html>"])
def test_what_is_no_answer_gives_no_fields(text: str) -> None:
    if text == "":
        assert parse_answer(text) == {}
        return
    with pytest.raises(ValueError, match="not fields"):
        parse_answer(text)


@pytest.mark.clock
def test_hostile_answers_cost_linear_time() -> None:
    started = time.monotonic()
    for text in ("a=" + "x" * 400_000 + "{", "a=" + "{}" * 200_000 + "{", "a=" + "[" * 400_000):
        with pytest.raises(ValueError, match="not fields"):
            parse_answer(text)
    assert time.monotonic() - started < 2


def test_an_answer_with_groups_and_a_certificate_of_many_lines_is_verified(
    provider: UnionPayProvider, order: PayOrder, answering: Answering, parties: World
) -> None:
    assert "\r\n" in parties.unionpay.crlf
    answering(respCode="34", respMsg="查无此交易[2600000]", reqReserved="{a=1&b=2}", empty="")
    assert provider.query(order).state is PaymentState.NOT_FOUND


@pytest.mark.parametrize("name", ["merId", "orderId", "txnTime"])
def test_answers_about_another_order_are_unknown(
    provider: UnionPayProvider, order: PayOrder, answering: Answering, name: str
) -> None:
    answering(respCode="34", **{name: "20261121023006"})
    with pytest.raises(UnknownOutcome, match=name):
        provider.query(order)


def _lf_only(fields: dict[str, str], _w: World) -> dict[str, str]:
    return {**fields, "signPubKeyCert": fields["signPubKeyCert"].replace("\r\n", "\n")}


def _without(name: str) -> Callable[[dict[str, str], World], dict[str, str]]:
    return lambda fields, _w: {k: v for k, v in fields.items() if k != name}


def _single_hash(fields: dict[str, str], w: World) -> dict[str, str]:
    return {**fields, "signature": rsa_sign(w.unionpay.key, their_text(fields), hashes.SHA256())}


def _binary_digest(fields: dict[str, str], w: World) -> dict[str, str]:
    digest = hashlib.sha256(their_text(fields)).digest()
    return {**fields, "signature": rsa_sign(w.unionpay.key, digest, hashes.SHA256())}


def _sha1(fields: dict[str, str], w: World) -> dict[str, str]:
    digest = hashlib.sha1(their_text(fields)).hexdigest().encode()
    return {**fields, "signature": rsa_sign(w.unionpay.key, digest, hashes.SHA1())}


def _old_version(fields: dict[str, str], w: World) -> dict[str, str]:
    return _sha1({**fields, "version": "5.0.0"}, w)


def _shared_key(fields: dict[str, str], _w: World) -> dict[str, str]:
    found = {**fields, "signMethod": "11"}
    text = their_text(found) + b"&" + hashlib.sha256(b"").hexdigest().encode()
    return {**found, "signature": hashlib.sha256(text).hexdigest()}


def _old_version_signed_well(fields: dict[str, str], w: World) -> dict[str, str]:
    return signed({**fields, "version": "5.0.0"}, w.unionpay)


def _merchants_own(fields: dict[str, str], w: World) -> dict[str, str]:
    return signed(fields, w.merchant)


def _altered(fields: dict[str, str], _w: World) -> dict[str, str]:
    return {**fields, "respMsg": "成功"}


def _added(fields: dict[str, str], _w: World) -> dict[str, str]:
    return {**fields, "newField": "1"}


def _not_base64(fields: dict[str, str], _w: World) -> dict[str, str]:
    return {**fields, "signature": "*" + fields["signature"]}


def _no_certificate(fields: dict[str, str], _w: World) -> dict[str, str]:
    return {**fields, "signPubKeyCert": "-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----"}


def _long_certificate(fields: dict[str, str], w: World) -> dict[str, str]:
    return signed(fields, w.unionpay, signPubKeyCert=w.unionpay.crlf + "\r\n" * 9000)


WRONG = [
    _lf_only, _without("signature"), _without("signPubKeyCert"), _single_hash, _binary_digest, _sha1,
    _old_version, _old_version_signed_well, _shared_key, _merchants_own, _altered, _added, _not_base64,
    _no_certificate, _long_certificate,
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_messages_signed_otherwise_are_refused(
    provider: UnionPayProvider, parties: World, order: PayOrder, gateway: GatewayServer, wrong: Any
) -> None:
    """As a notification, and as the answer to a query that would say "paid"."""
    good = signed(notice(), parties.unionpay)
    assert provider.parse_notify(posted(form(good))).state is PaymentState.PAID
    with pytest.raises(BadSignature):
        provider.parse_notify(posted(form(wrong(good, parties))))
    good = signed(notice(origRespCode="00"), parties.unionpay)
    gateway.reply = lambda _asked: raw(good)
    assert provider.query(order).state is PaymentState.PAID
    gateway.reply = lambda _asked: raw(wrong(good, parties))
    with pytest.raises(UnknownOutcome):
        provider.query(order)


# -- certificates


def impostors(parties: World) -> dict[str, Party]:
    other_root = party("Root CA", authority=True)
    return {
        "another chain": party(REAL_NAME, party("OCA1", other_root, authority=True)),
        "only claims its issuer": party(REAL_NAME, parties.middle, signer=other_root.key),
        "signed by the root itself": party(REAL_NAME, parties.root),
        "below a certificate that is no authority": party(REAL_NAME, parties.merchant),
        "self-signed": party(REAL_NAME),
        "expired": party(REAL_NAME, parties.middle, until=NOW - timedelta(seconds=1)),
        "not valid yet": party(REAL_NAME, parties.middle, since=NOW + timedelta(seconds=1)),
        "another company": party("041@8310@中国银联股份有限公司上海分公司@1", parties.middle),
        "name in another part": party("041@中国银联股份有限公司@8310@1", parties.middle),
        "name without parts": party("中国银联股份有限公司", parties.middle),
    }


def test_certificates_of_others_are_refused(provider: UnionPayProvider, parties: World) -> None:
    for impostor in impostors(parties).values():
        with pytest.raises(BadSignature):
            provider.parse_notify(posted(form(signed(notice(), impostor))))


def test_a_certificate_that_was_accepted_expires_all_the_same(
    raw_config: dict[str, Any], parties: World
) -> None:
    moment = [NOW]
    provider = UnionPayProvider(make_provider(raw_config).config, http=HTTP, clock=lambda: moment[0])
    body = form(signed(notice(), parties.unionpay))
    provider.parse_notify(posted(body))
    moment[0] = parties.unionpay.certificate.not_valid_after_utc
    with pytest.raises(BadSignature, match="expired"):
        provider.parse_notify(posted(body))


def test_an_expired_authority_ends_its_certificates(raw_config: dict[str, Any], parties: World) -> None:
    short = party("OCA1", parties.root, authority=True, until=NOW + timedelta(days=1))
    provider = make_provider({**raw_config, "middle_cert": short.pem}, NOW + timedelta(days=2))
    with pytest.raises(BadSignature, match="authority"):
        provider.parse_notify(posted(form(signed(notice(), party(REAL_NAME, short)))))


def test_old_and_new_authority_live_side_by_side(raw_config: dict[str, Any], parties: World) -> None:
    new = party("OCA31", parties.root, authority=True)
    provider = make_provider({**raw_config, "middle_cert": parties.middle.pem + new.pem})
    for signer in (parties.unionpay, party(REAL_NAME, new)):
        assert provider.parse_notify(posted(form(signed(notice(), signer)))).state is PaymentState.PAID


def test_the_test_environment_has_a_name_of_its_own(raw_config: dict[str, Any], parties: World) -> None:
    body = form(signed(notice(), party("041@Z2017-11-1@00040000:SIGN@00000001", parties.middle)))
    with pytest.raises(BadSignature, match="not UnionPay's own"):
        make_provider(raw_config).parse_notify(posted(body))
    lenient = make_provider({**raw_config, "check_cn": "false"})
    for signer in (body, form(signed(notice(), parties.unionpay))):
        assert lenient.parse_notify(posted(signer)).state is PaymentState.PAID
    with pytest.raises(BadSignature, match="not UnionPay's own"):
        lenient.parse_notify(posted(form(signed(notice(), parties.merchant))))


# -- notifications as forms


@pytest.mark.parametrize(
    "body", [b"", b"a=%ff", b"\xff\xfe", b"signature=1&signature=2", b"&".join(b"a%d=1" % i for i in range(101))]
)
def test_what_is_no_form_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedInbound):
        decode_form(body)


def test_forms_are_decoded_once() -> None:
    assert decode_form(b"a=1%2B1+%2525&b=") == {"a": "1+1 %25", "b": ""}


# -- logs


def test_what_is_logged_shows_no_card_and_no_signature(parties: World) -> None:
    fields = signed(notice(customerInfo="{phoneNo=18100000000}", tn="612345678901234567890"), parties.unionpay)
    for text in (raw(fields), form(fields)):
        shown = mask_text(text, keys=UnionPayProvider.masked_keys)
        for secret in ("accNo", "signature", "tn"):
            assert fields[secret] not in shown
            assert fields[secret][:24].replace("+", "%2B").replace("/", "%2F") not in shown
        assert "18100000000" not in shown
        assert "782611201830050674028" in shown


# -- recorded samples of UnionPay's test environment

VECTORS = os.environ.get("PAYCENTER_VECTORS")
recorded = pytest.mark.skipif(not VECTORS, reason="PAYCENTER_VECTORS names no directory of recorded samples")
SAMPLE_TIME = datetime(2022, 9, 11, tzinfo=UTC)
SAMPLE_MERCHANT = "777290058167151"


def sample(name: str) -> Any:
    return json.loads(sample_text(name))


def sample_text(name: str) -> str:
    return (Path(VECTORS or "") / "unionpay" / name).read_text(encoding="utf-8")


@pytest.fixture
def as_recorded(raw_config: dict[str, Any], parties: World) -> Callable[[datetime], UnionPayProvider]:
    """The sample's merchant, who trusts UnionPay's published test authorities."""

    def make(now: datetime) -> UnionPayProvider:
        found = {
            **raw_config, "mer_id": SAMPLE_MERCHANT, "root_cert": sample_text("acp_test_root.cer"),
            "middle_cert": sample_text("acp_test_middle.cer"),
        }  # fmt: skip
        return make_provider(found, now)

    return make


@recorded
def test_the_recorded_notice_is_genuine_in_its_time_and_not_today(as_recorded: Any) -> None:
    body = form(sample("yansongda.json")["notify"])
    found = as_recorded(SAMPLE_TIME).parse_notify(posted(body))
    assert (found.kind, found.state, found.amount) == (NoticeKind.PAYMENT, PaymentState.PAID, Money(1))
    assert found.order_no == "yansongda20220908132206"
    assert found.channel_trade_no == "782209081322060674028"
    with pytest.raises(BadSignature, match="expired"):
        as_recorded(NOW).parse_notify(posted(body))


@recorded
@pytest.mark.parametrize("name", ["txnAmt", "orderId", "respCode", "accNo"])
def test_the_recorded_notice_changed_is_refused(as_recorded: Any, name: str) -> None:
    fields = sample("yansongda.json")["notify"]
    with pytest.raises(BadSignature):
        as_recorded(SAMPLE_TIME).parse_notify(posted(form({**fields, name: "2"})))
    unix = {**fields, "signPubKeyCert": fields["signPubKeyCert"].replace("\r\n", "\n")}
    with pytest.raises(BadSignature):
        as_recorded(SAMPLE_TIME).parse_notify(posted(form(unix)))


@recorded
def test_the_recorded_query_answer_says_paid(as_recorded: Any, gateway: GatewayServer) -> None:
    fields = sample("yansongda.json")["query_response"]
    gateway.reply = lambda _asked: raw(fields)
    sent_at = datetime(2022, 9, 10, 20, 16, 47, tzinfo=UTC)
    order = OrderRef(
        order_no=fields["orderId"], amount=Money(1), sent_at=sent_at, expire_at=sent_at + timedelta(hours=1)
    )
    found = as_recorded(SAMPLE_TIME).query(order)
    assert (found.state, found.amount, found.channel_trade_no) == (
        PaymentState.PAID, Money(1), "512209110416475616528",
    )  # fmt: skip
    assert gateway.received[0]["txnTime"] == fields["txnTime"]


@recorded
@pytest.mark.parametrize("name", ["yansongda_unipayCertPublicKey.cer", "verify_test.cer", "acp_test_enc.cer"])
def test_the_published_test_certificates_form_a_chain(name: str) -> None:
    roots, middles = (keys.parse_certificates(sample_text(f"acp_test_{n}.cer")) for n in ("root", "middle"))
    assert middles[0].signature_hash_algorithm.name == "sha1"
    chain = Chain(roots, middles, check_name=False)
    valid = keys.parse_certificates(sample_text(name))[0].not_valid_before_utc
    chain.signer(sample_text(name), valid)
    with pytest.raises(Untrusted, match="expired"):
        chain.signer(sample_text(name), NOW)
    if name != "yansongda_unipayCertPublicKey.cer":
        with pytest.raises(Untrusted, match="not UnionPay's own"):
            Chain(roots, middles, check_name=True).signer(sample_text(name), valid)


@recorded
def test_the_recorded_shared_key_signature_is_over_the_same_text() -> None:
    """The samples' private keys are not at hand, but the shared-key method (11) hashes the same text."""
    found = sample("official_sdk_port.json")
    case = next(c for c in found["cases"] if c["signMethod"] == "11")
    text = signing_text({**found["params"], "signMethod": "11", "version": case["version"], "signature": "x"})
    key = hashlib.sha256(found["secure_key"].encode()).hexdigest()
    assert hashlib.sha256(f"{text}&{key}".encode()).hexdigest() == case["signature"]


@recorded
def test_the_recorded_answer_of_an_unknown_order_is_parsed() -> None:
    found = parse_answer(sample("official_sdk_port.json")["parse"]["raw"])
    assert (found["respCode"], found["respMsg"]) == ("34", "查无此交易[2600000]")
    assert len(found) == 13
