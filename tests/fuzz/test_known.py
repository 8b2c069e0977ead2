"""What fuzzing found once, each as the shortest message that does it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from channels.alipay.gateway import members_of
from channels.base import Initiated, Notice, NoticeKind, PaymentState, QrCode, QueryResult
from channels.base.config import clean_config
from channels.base.discovery import provider_for
from channels.base.keys import KeyProblem, parse_certificates
from channels.base.reading import Unreadable, read_json
from channels.base.storable import storable
from channels.unionpay.certificates import Chain, Untrusted
from channels.wechat.gateway import Gateway
from merchants.api.body import parse_object
from merchants.api.errors import BadParameter
from notifications.receivers.base import RobotRefused, judge, post_json
from paycenter.errors import BillRefused, ChannelConfigInvalid, NotSent
from paycenter.http import HttpResponse
from paycenter.money import Money
from reconciliation.settlement.models import BankProfile
from reconciliation.settlement.receipts import statement_lines
from tests.conftest import World
from tests.fakes.fakepay import FakeProvider
from tests.fuzz.samples import Replay
from trades.models import Attempt
from trades.querying import attempt_query
from trades.services import trade_pay

NOTICE = Notice(kind=NoticeKind.PAYMENT, order_no="A1", state=PaymentState.PAID, amount=Money(1))
ORDINARY = replace(NOTICE, channel_trade_no="C1", paid_at=datetime(2026, 11, 20, tzinfo=UTC), funding="credit")


# ---- words of a channel that no record keeps ---------------------------------------------------------
def test_ordinary_words_are_taken_as_they_are() -> None:
    assert storable(ORDINARY) is ORDINARY
    started = Initiated(instruction=QrCode("weixin://x"), memo={"a": [1, "b"], "c": {"d": None}})
    assert storable(started) is started


@pytest.mark.parametrize(
    "changed",
    [{"channel_trade_no": "C" * 65}, {"order_no": "A\0"}, {"refund_no": "R\ud800"}, {"amount": Money(2**63)}],
    ids=str,
)
def test_numbers_and_sums_are_taken_whole_or_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        storable(replace(ORDINARY, **changed))


def test_money_is_not_lost_over_the_rest_of_the_words() -> None:
    first_day = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    found = storable(replace(ORDINARY, funding="cre\0dit", channel_state="\ud800K", paid_at=first_day))
    assert (found.funding, found.channel_state, found.paid_at) == ("credit", "?K", None)
    assert (found.amount, found.channel_trade_no) == (ORDINARY.amount, "C1")
    memo = storable(Initiated(instruction=QrCode("q\0"), memo={"a\0": ["\ud800"]}))
    assert (memo.instruction, memo.memo) == (QrCode("q"), {"a": ["?"]})


def test_such_an_answer_leaves_the_outcome_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    paid = QueryResult(
        state=PaymentState.PAID, order_no=attempt.channel_order_no, amount=attempt.money, channel_trade_no="C" * 65
    )
    monkeypatch.setattr(FakeProvider, "query", lambda self, order: paid)
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert Attempt.objects.select_related("trade").get(pk=attempt.pk).trade.state == "paying"

    monkeypatch.setattr(FakeProvider, "query", lambda self, order: replace(paid, channel_trade_no="C1", funding="\0x"))
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert Attempt.objects.select_related("trade").get(pk=attempt.pk).trade.state == "paid"


def test_a_return_that_trips_the_parser_is_refused(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")

    def trips(*_arguments: Any) -> Any:
        raise IndexError

    monkeypatch.setattr(FakeProvider, "parse_return", trips)
    assert client.get(f"/return/fake_qr/{attempt.attempt_no}").status_code == 400


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/"])
def test_a_cookie_with_the_character_that_no_database_keeps(db: None, path: str) -> None:
    assert Client().get(path, headers={"cookie": 'sessionid="\\000abcdefghijk"'}).status_code == 400


# ---- numbers, certificates ---------------------------------------------------------------------------
def test_an_exponent_that_no_number_has() -> None:
    text = '{"amount": 1E+99999999999999999999}'
    with pytest.raises(Unreadable):
        read_json(text)
    with pytest.raises(ValueError, match="out of all bounds"):
        members_of(text)


@pytest.fixture(scope="module")
def certificate() -> x509.Certificate:
    key, now = rsa.generate_private_key(public_exponent=65537, key_size=2048), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "NAMENAME")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    authority = x509.BasicConstraints(ca=True, path_length=None)
    return made.add_extension(authority, critical=True).sign(key, hashes.SHA256())


SPOILED = {
    "a name": (b"NAMENAME", b"\xff\xfeMENAME"),
    "the version": (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04"),
}


@pytest.mark.parametrize("part", sorted(SPOILED))
def test_a_certificate_with_a_part_that_cannot_be_read(certificate: x509.Certificate, part: str) -> None:
    der = certificate.public_bytes(serialization.Encoding.DER).replace(*SPOILED[part])
    with pytest.raises(KeyProblem):
        parse_certificates(der)
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"
    chain = Chain([certificate], [certificate], check_name=True)
    with pytest.raises(Untrusted):
        chain.signer(pem, datetime.now(UTC))


@pytest.mark.parametrize("channel", ["mpgs", "wechat", "alipay"])
def test_a_parameter_with_invisible_characters(channel: str) -> None:
    provider = provider_for(channel)
    text = next(f.name for f in provider.fields if f.identity)
    with pytest.raises(ChannelConfigInvalid) as refused:
        clean_config(provider, {text: "A\0B"}, datetime.now(UTC))
    assert "invisible" in refused.value.problems[text][0].en


# ---- robots, statements, calls -------------------------------------------------------------------------
def test_a_robot_that_answers_what_no_record_keeps() -> None:
    with pytest.raises(RobotRefused) as refused:
        judge(HttpResponse(200, {}, b""), 1, "b\0ad \ud800", {})
    assert str(refused.value) == "1: bad ?"
    replay = Replay()
    replay.load([HttpResponse(200, {}, b"[" * 200_000)])
    with pytest.raises(RobotRefused):
        post_json(replay, "https://robot.example/", {})  # type: ignore[arg-type]


def test_a_statement_with_a_character_that_no_text_has(tmp_path: Path) -> None:
    path = tmp_path / "statement.csv"
    path.write_bytes(b"day,amount,no\r\n2026-11-20,1.00,B\x001\r\n")
    profile = BankProfile(date_column="day", amount_column="amount", reference_column="no")
    with pytest.raises(BillRefused) as refused:
        list(statement_lines(profile, path))
    assert refused.value.line == 2


@pytest.mark.parametrize("body", [{"": 1}, {"": "\0"}])
def test_a_field_without_a_name_is_named(body: dict[str, Any]) -> None:
    from trades.api.close import Close

    with pytest.raises(BadParameter) as refused:
        Close.takes.read(parse_object(json.dumps(body).encode()))
    assert "" not in refused.value.data["errors"]
    assert refused.value.data["errors"]["_body"]


@pytest.mark.parametrize("url", ["https://[x/bill", "http://[::1"])
def test_an_address_of_a_bill_that_none_has(url: str, tmp_path: Path) -> None:
    with pytest.raises(NotSent, match="no usable address"):
        Gateway.__new__(Gateway).download(url, tmp_path / "bill")
