"""A channel that misbehaves is never taken at its word: the outcome is open, and asking again tells the truth."""

from __future__ import annotations

from typing import Any

import pytest

from channels.base import CloseOutcome, FieldKind, Initiated, PaymentState, Refused
from channels.base.discovery import provider_for
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import recording, time_limit
from sandbox.channel import channel_classes
from tests.contract.cases import Case, channels, scenes
from tests.contract.desk import HTTP, WAITING, WITHOUT_END, Desk
from trades.sending import instruction_data

SIGNATURES = ("bad_signature", "no_signature")
FAULTS = ("timeout", "reset", "http500", "garbage", "slow", "drip", "lost_reply", *SIGNATURES)


def limit(fault: str) -> float:
    """Seconds for the call: short where the fault is that nothing, or too little, comes."""
    return 0.25 if fault in WITHOUT_END else 5.0


def need_signature(desk: Desk, fault: str) -> None:
    if fault in SIGNATURES and not channel_classes()[desk.case.channel].signs_answers:
        pytest.skip(f"{desk.case.channel} signs no answers: TLS alone vouches for them")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", scenes(), ids=str)
def test_sending(desk: Desk, fault: str) -> None:
    need_signature(desk, fault)
    attempt_no, order = desk.order()
    desk.fault("pay", fault)

    with recording() as calls, time_limit(limit(fault)):
        try:
            result: Any = desk.pay(order)
        except UnknownOutcome:
            result = None
    met = desk.end_faults()

    if not calls:
        assert isinstance(result, Initiated), "a scene that asks nobody cannot be disturbed"
        assert met == 0
        return
    assert met == 1, "it is not asked twice by itself"
    assert result is None, f"{fault} was taken for an answer"
    assert desk.provider.query(order).state in WAITING
    again = desk.pay_again(order)
    assert again is None or isinstance(again, Initiated)
    if again is not None:
        paid = desk.paid(attempt_no, instruction_data(again.instruction))
        assert desk.provider.query(order).channel_trade_no == paid["channel_trade_no"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", channels(), ids=str)
def test_asking_about_a_paid_order(desk: Desk, fault: str) -> None:
    need_signature(desk, fault)
    attempt_no, order = desk.order()
    desk.paid(attempt_no, desk.started(order))
    desk.fault("query", fault)

    with time_limit(limit(fault)), pytest.raises(UnknownOutcome):
        desk.provider.query(order)

    assert desk.end_faults() == 1
    assert desk.provider.query(order).state is PaymentState.PAID


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", channels(), ids=str)
def test_asking_about_an_order_nobody_placed(desk: Desk, fault: str) -> None:
    need_signature(desk, fault)
    _name, order = desk.order()
    desk.fault("query", fault)

    with time_limit(limit(fault)):
        try:
            found = desk.provider.query(order)
        except UnknownOutcome:
            pass
        else:
            # A refusal needs no signature where the vendor signs none; even so it moves nothing.
            assert (fault in SIGNATURES, found.state) == (True, PaymentState.NOT_FOUND)

    assert desk.end_faults() == 1
    assert desk.provider.query(order).state is PaymentState.NOT_FOUND


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", channels(), ids=str)
def test_closing(desk: Desk, fault: str) -> None:
    need_signature(desk, fault)
    attempt_no, order = desk.order()
    desk.opens(attempt_no, desk.started(order))
    desk.fault("close", fault)

    if not desk.provider.can_close:
        assert desk.close(order) is CloseOutcome.UNSUPPORTED
        assert desk.end_faults() == 0, "a channel that cannot close is not asked to"
        return
    with time_limit(limit(fault)), pytest.raises(UnknownOutcome):
        desk.provider.close(order)

    assert desk.end_faults() == 1
    assert desk.provider.query(order).state in {*WAITING, PaymentState.CLOSED}
    assert desk.close(order) in {CloseOutcome.CLOSED, CloseOutcome.REFUSED, None}
    assert desk.provider.query(order).state is PaymentState.CLOSED


def nobody_there(case: Case, config: dict[str, Any]) -> dict[str, Any]:
    """The same contract with a channel that does not listen."""
    urls = [f.name for f in provider_for(case.channel).fields if f.kind is FieldKind.URL and f.name in config]
    assert urls, "an account says where its channel is"
    return {**config, **{name: "http://127.0.0.1:1/" + config[name].split("/", 3)[-1] for name in urls}}


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_a_channel_that_is_not_there_was_sent_nothing(desk: Desk) -> None:
    provider = desk.case.provider(nobody_there(desk.case, desk.config), http=HTTP)
    _name, order = desk.order()

    with recording() as calls:
        try:
            result: Any = provider.pay(desk.case.method, order)
        except NotSent:
            result = None
    assert (result is None) == bool(calls), "without a connection nothing was sent, and that is known"
    with pytest.raises(NotSent):
        provider.query(order)


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_a_refusal_is_a_result(desk: Desk) -> None:
    """The number of a paid order with other contents: explicitly refused or left open, never started anew."""
    attempt_no, order = desk.order()
    desk.paid(attempt_no, desk.started(order))
    _other, changed = desk.order(order_no=order.order_no, sent_at=order.sent_at, notify_url=order.notify_url)

    result = desk.pay_again(changed)

    assert result is None or isinstance(result, Refused | Initiated)
    if isinstance(result, Initiated):
        assert desk.payer_pays(attempt_no, instruction_data(result.instruction)).status in (400, 409)
    found = desk.provider.query(order)
    assert (found.state, found.amount) == (PaymentState.PAID, order.amount)
