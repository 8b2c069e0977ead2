"""Notifications, through the public address and the whole center: only the genuine one about this order counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from channels.base import InboundRequest, NoticeKind
from merchants.channels import provider_of
from notifications.models import Alert
from paycenter.errors import InboundRefused
from paycenter.models import Event
from sandbox.channel import channel_classes
from tests.contract.cases import contracts, every_case, scenes
from tests.contract.entrance import Heard
from tests.contract.office import Office
from trades.models import AbnormalPayment, Attempt
from trades.querying import attempt_query

FAKES = ("forged", "unsigned", "other_merchant", "other_order")


def kind_of(office: Office, heard: Heard) -> NoticeKind | None:
    """What the provider makes of it; None where it refuses."""
    try:
        return provider_of(office.account).parse_notify(heard.request).kind
    except InboundRefused:
        return None


def posted(path: str, body: bytes, content_type: str = "") -> InboundRequest:
    return InboundRequest(method="POST", path=path, headers={"content-type": content_type}, body=body)


def is_acknowledged(office: Office, heard: Heard) -> bool:
    """Whether the channel stops telling."""
    stand_in = office.desk.sandbox.context.channels[office.desk.case.channel]
    return stand_in.acknowledged(heard.status, heard.body)


def query_is_due(attempt: Attempt) -> bool:
    due = Attempt.objects.get(pk=attempt.pk).next_query_at
    return due is not None and due <= timezone.now() + timedelta(seconds=1)


@pytest.mark.parametrize("case", every_case(), ids=str)
def test_the_genuine_one_pays_and_is_acknowledged_for_good(office: Office) -> None:
    attempt = office.start()
    trade, started = office.fresh(attempt)
    assert (started.state, started.pay["type"]) == ("submitted", office.desk.case.scene.instruction)
    assert (trade.state, trade.paid_at) == ("paying", None), "started is not paid"

    paid = office.entrance.during(lambda: office.payer_pays(attempt, notify="normal"))
    office.entrance.until(lambda: office.entrance.about(attempt.attempt_no))

    first = office.entrance.about(attempt.attempt_no)[0]
    if kind_of(office, first) is NoticeKind.HINT:  # not signed: it only makes us ask
        assert office.fresh(attempt)[0].state == "paying"
        assert query_is_due(attempt)
        attempt_query(attempt_id=attempt.pk, actor="test")
    trade, settled = office.fresh(attempt)
    assert (trade.state, trade.settled_attempt_id, settled.state) == ("paid", attempt.pk, "succeeded")
    assert (settled.channel_trade_no, trade.paid_amount) == (paid["channel_trade_no"], trade.amount)
    assert is_acknowledged(office, first), "the channel would go on telling"
    assert not AbnormalPayment.objects.exists()


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_told_twice_it_pays_once(office: Office) -> None:
    attempt = office.start()
    office.payer_pays(attempt)

    office.told(attempt, "twice")
    attempt_query(attempt_id=attempt.pk, actor="test")
    office.told(attempt, "normal")

    assert office.fresh(attempt)[0].state == "paid"
    assert Event.objects.filter(type="trade.paid").count() == 1
    assert not AbnormalPayment.objects.exists()


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("case", scenes(), ids=str)
def test_a_false_one_changes_nothing(office: Office, fake: str) -> None:
    if fake == "other_order":  # genuine words about other money, the hardest to tell apart
        other = office.desk.order()
        office.desk.paid(other[0], office.desk.started(other[1]))
    attempt = office.start()

    heard = office.told(attempt, fake)

    trade, after = office.fresh(attempt)
    assert (trade.state, after.state, after.channel_trade_no) == ("paying", "submitted", attempt.channel_trade_no)
    if kind_of(office, heard) is NoticeKind.HINT and heard.status < 300:
        assert query_is_due(attempt)
    else:
        found = Alert.objects.get(kind="security")
        assert (found.severity, found.trade_no) == ("critical", trade.trade_no)
        assert not is_acknowledged(office, heard)
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert office.fresh(attempt)[0].state == "paying"
    assert not AbnormalPayment.objects.exists()


@pytest.mark.parametrize("fake", ["wrong_amount", "wrong_currency"])
@pytest.mark.parametrize("case", scenes(), ids=str)
def test_one_about_other_money_waits_for_the_channels_answer(office: Office, fake: str) -> None:
    if fake == "wrong_currency" and not channel_classes()[office.desk.case.channel].states_currency:
        pytest.skip(f"a notice of {office.desk.case.channel} states no currency")
    attempt = office.start()

    heard = office.told(attempt, fake)

    assert office.fresh(attempt)[0].state == "paying"
    if kind_of(office, heard) is NoticeKind.HINT:
        assert query_is_due(attempt)
    else:
        assert AbnormalPayment.objects.get().state == "unverified"
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert office.fresh(attempt)[0].state == "paying"
    assert set(AbnormalPayment.objects.values_list("state", flat=True)) <= {"void"}


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_a_notice_for_one_order_is_refused_at_anothers_address(office: Office) -> None:
    paid, other = office.start(), office.start()
    office.payer_pays(paid)
    heard = office.told(paid, "normal")
    moved = heard.request.path.replace(paid.attempt_no, other.attempt_no)
    trade, _attempt = office.fresh(other)

    office.entrance.request(replace(heard.request, path=moved))

    assert office.fresh(other)[0].state == trade.state == "paying"
    assert not AbnormalPayment.objects.exists()
    assert Alert.objects.filter(kind="security", trade_no=trade.trade_no).exists()


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_noise_at_the_address_is_turned_away(office: Office) -> None:
    attempt = office.start()
    path = f"/notify/{attempt.method}/{attempt.attempt_no}"
    noise = [b"", b"\x00\xff", b"a=1&a=2", b"{}", b"[]", b'{"x":' * 500, b"<xml>", b"sign=&sign_type=RSA2", b"null"]
    for body in noise:
        for content_type in ("application/json", "application/x-www-form-urlencoded", ""):
            answer = office.entrance.request(posted(path, body, content_type))
            assert not is_acknowledged(office, answer)
    office.entrance.request(replace(posted(path, b""), method="GET"))
    assert office.fresh(attempt)[0].state == "paying"


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_an_address_of_another_scene_or_order_is_unknown(office: Office) -> None:
    attempt = office.start()
    office.payer_pays(attempt)
    heard = office.told(attempt, "unsigned")

    for path in (f"/notify/no_such_scene/{attempt.attempt_no}", f"/notify/{attempt.method}/A0"):
        answer = office.entrance.request(posted(path, heard.request.body))
        assert answer.status == 404


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_a_refund_made_in_the_channels_console_leaves_the_trade_paid(office: Office) -> None:
    attempt = office.start()
    office.payer_pays(attempt)
    office.told(attempt, "normal")
    attempt_query(attempt_id=attempt.pk, actor="test")
    before = len(office.entrance.about(attempt.attempt_no))

    data = {"attempt_no": attempt.attempt_no, "amount": 1}
    answer = office.entrance.during(lambda: office.desk.sandbox.control("POST", "/refunds", data))
    assert answer.status == 200, answer.text
    if channel_classes()[office.desk.case.channel].tells_console_refunds:
        office.entrance.until(lambda: len(office.entrance.about(attempt.attempt_no)) > before)
        last = office.entrance.about(attempt.attempt_no)[-1]
        assert kind_of(office, last) in {NoticeKind.REFUND, NoticeKind.HINT}

    trade, after = office.fresh(attempt)
    assert (trade.state, after.state) == ("paid", "succeeded")
    assert not AbnormalPayment.objects.exists()
