"""Refunds while the channel misbehaves, and what is told of them: nothing but its true words counts, nothing leaks."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from channels.base import NoticeKind, RefundState
from paycenter.errors import InboundRefused, NotSent, UnknownOutcome
from paycenter.exchange import record_channel_calls
from paycenter.http import HttpCall, recording, time_limit
from paycenter.models import Exchange
from paycenter.money import Money
from tests.contract.cases import channels, contracts
from tests.contract.desk import HTTP, Desk
from tests.contract.secrets import identities, secrets_of, stored_text
from tests.contract.test_faults import FAULTS, limit, need_signature, nobody_there
from tests.contract.till import Till

FAKES = ("forged", "unsigned", "other_merchant")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", channels(), ids=str)
def test_sending(desk: Desk, fault: str) -> None:
    till = Till.open(desk)
    need_signature(desk, fault)
    refund = till.refund_of(3300)
    desk.fault("refund", fault)

    with time_limit(limit(fault)), pytest.raises(UnknownOutcome):
        desk.provider.refund(refund)

    assert desk.end_faults() == 1, "it is not asked twice by itself"
    if fault == "lost_reply":
        till.until(refund, {RefundState.SUCCEEDED}, None)
    else:
        assert till.ask(refund).state in {RefundState.NOT_FOUND, RefundState.PROCESSING, RefundState.SUCCEEDED}
    again = till.send(refund)
    assert again is None or again.state in {RefundState.PROCESSING, RefundState.SUCCEEDED}
    assert till.until(refund, {RefundState.SUCCEEDED}, again).amount == refund.amount
    assert till.moved() == 3300


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", channels(), ids=str)
def test_asking(desk: Desk, fault: str) -> None:
    till = Till.open(desk)
    need_signature(desk, fault)
    refund = till.refund_of(3300)
    done = till.given_back(refund)
    desk.fault("query_refund", fault)

    with time_limit(limit(fault)), pytest.raises(UnknownOutcome):
        till.ask(refund, done)

    assert desk.end_faults() == 1
    assert till.ask(refund, done).state is RefundState.SUCCEEDED


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_a_channel_that_is_not_there_was_sent_nothing(desk: Desk) -> None:
    till = Till.open(desk)
    gone = desk.case.provider(nobody_there(desk.case, desk.config), http=HTTP)
    refund = till.refund_of()

    for ask in (gone.refund, gone.query_refund):
        with pytest.raises(NotSent):
            ask(refund)

    assert till.moved() == 0


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_an_answer_about_other_money_is_no_answer(desk: Desk) -> None:
    """A number that was mixed up must not end somebody else's refund."""
    till = Till.open(desk)
    refund = till.refund_of(3300)
    till.given_back(refund)

    with pytest.raises(UnknownOutcome):
        till.ask(replace(refund, amount=Money(3301, refund.amount.currency)))


# -- notifications


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_what_is_told_names_the_refund(desk: Desk) -> None:
    till = Till.open(desk)
    refund = till.refund_of(3300)
    till.given_back(refund)

    heard = till.told_of(refund)

    for url in (refund.notify_url, till.address):  # which of the two it came to makes no difference
        notice = desk.provider.parse_notify(replace(heard, path=urlsplit(url).path))
        if notice.kind is NoticeKind.HINT:  # not signed: it only makes us ask
            assert (notice.refund_state, notice.state) == (None, None)
            continue
        assert (notice.kind, notice.refund_no) == (NoticeKind.REFUND, refund.refund_no)
        assert notice.order_no in ("", till.order.order_no)
        if notice.refund_state is None:  # a sum of several: the refund is asked about
            assert notice.amount is None
        else:
            assert (notice.refund_state, notice.amount) == (RefundState.SUCCEEDED, refund.amount)


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("case", contracts(), ids=str)
def test_what_others_tell_is_refused(desk: Desk, fake: str) -> None:
    till = Till.open(desk)
    refund = till.refund_of(3300)
    till.given_back(refund)
    till.told_of(refund)

    heard = till.falsely_told_of(refund, fake)

    try:
        notice = desk.provider.parse_notify(heard)
    except InboundRefused:
        return
    assert (notice.kind, notice.refund_state) == (NoticeKind.HINT, None)


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_what_was_changed_on_the_way_is_refused(desk: Desk) -> None:
    till = Till.open(desk)
    refund = till.refund_of(3300)
    till.given_back(refund)
    heard = till.told_of(refund)
    body = heard.body.replace(b"0", b"1", 1)
    assert body != heard.body

    try:
        notice = desk.provider.parse_notify(replace(heard, body=body))
    except InboundRefused:
        return
    assert notice.kind is NoticeKind.HINT


# -- leaks


def everything_goes_wrong(till: Till) -> tuple[list[HttpCall], str]:
    """Refunds, faults on every call, a refusal: the calls made, and every result and error as text."""
    said = []
    with recording() as calls:
        for fault in (None, "bad_signature", "garbage", "http500"):
            refund = till.refund_of(1)
            for operation, ask in (
                ("refund", till.desk.provider.refund), ("query_refund", till.desk.provider.query_refund),
            ):  # fmt: skip
                if fault is not None:
                    till.desk.fault(operation, fault)
                try:
                    said.append(repr(ask(refund)))
                except UnknownOutcome as exc:
                    logging.getLogger("test").exception("%s went wrong", operation)
                    said.append(repr(exc))
                till.desk.end_faults()
        said.append(repr(till.send(till.refund_of(till.order.amount.minor + 1))))
    return calls, "\n".join(said)


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_nothing_secret_is_left_anywhere(db: None, desk: Desk, log_text: io.StringIO) -> None:
    till = Till.open(desk)
    calls, said = everything_goes_wrong(till)
    record_channel_calls(calls, channel=desk.case.channel, masked_keys=desk.provider.masked_keys)

    assert Exchange.objects.count() == len(calls) > 8
    places = {"exchanges": stored_text()["Exchange"], "results": said, "logs": log_text.getvalue()}
    payers = identities(*desk.payer.values(), desk.provider.query(till.order).payer_id)
    for text in (*secrets_of(desk.case.provider, desk.config), *payers):
        for place, content in places.items():
            assert text not in content, f"a secret parameter, or who paid, stands in the {place}"
