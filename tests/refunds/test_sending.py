"""Sending: the channel is asked first, a refund is sent once under one number, the unknown is queried."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from channels.base import PaymentState, RefundResult, RefundState
from notifications.models import Alert, Notification
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import seconds_left
from paycenter.models import Event, Exchange
from paycenter.money import Money
from refunds.models import Refund, RefundPolicy
from refunds.sending import CALL_SECONDS, IN_FLIGHT_SECONDS, refund_query
from refunds.sweeps import query_due, send_due
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.paying import due_now, sweep
from trades.models import Trade

Ask = Callable[..., Refund]
pytestmark = pytest.mark.usefixtures("policy")


def test_the_payment_is_asked_about_before_anything_is_sent(world: World, trade: Trade, ask: Ask) -> None:
    refund = ask(trade, 100)
    world.book.fault("query", UnknownOutcome("silent"))
    due_now()
    send_due()
    waiting = fresh(refund)
    assert (waiting.state, world.book.calls["refund"]) == ("approved", 0)
    assert waiting.next_send_at > timezone.now(), "tried again later"
    sweep()
    assert fresh(refund).state == "succeeded"


@pytest.mark.parametrize("state", [PaymentState.CLOSED, PaymentState.UNPAID, PaymentState.NOT_FOUND])
def test_a_channel_that_knows_no_such_money_puts_it_on_hold(
    world: World, trade: Trade, ask: Ask, state: PaymentState
) -> None:
    refund = ask(trade, 100)
    world.book.payments[refund.attempt.attempt_no].state = state
    sweep()
    held = fresh(refund)
    assert (held.state, world.book.calls["refund"]) == ("on_hold", 0)
    assert "the center says paid" in held.held_because
    assert fresh(trade).state == "paid", "a closing word never undoes a payment"
    assert fresh(trade).refunding_amount == 100, "what is on hold stays reserved"


def test_one_that_another_process_is_sending_is_not_sent_beside_it(world: World, trade: Trade, ask: Ask) -> None:
    """Staff, a hint or a notice have the channel asked before the request has arrived there."""
    refund = ask(trade, 100)
    world.book.hooks["refund"] = lambda _order: refund_query(refund_id=refund.pk)
    send_due()
    assert (world.book.calls["query_refund"], world.book.calls["refund"]) == (1, 1)
    assert (fresh(refund).state, fresh(refund).sends) == ("succeeded", 1)


def test_looking_before_and_after_takes_no_longer_than_one_call(world: World, trade: Trade, ask: Ask) -> None:
    left = []
    world.book.hooks["refund"] = lambda _order: left.append(seconds_left())
    ask(trade, 100)
    send_due()
    assert 0 < left[0] <= CALL_SECONDS
    assert 2 * CALL_SECONDS <= IN_FLIGHT_SECONDS


def test_a_difference_in_what_is_refundable_is_shown(world: World, trade: Trade, ask: Ask) -> None:
    world.book.tells_sums = True
    number = trade.settled_attempt.attempt_no
    world.book.give_back(number, "CONSOLE-1", Money(9_500, "CNY"))
    refund = ask(trade, 1000)
    sweep()
    held = fresh(refund)
    assert held.state == "on_hold"
    assert world.book.refunded(number) == 9_500
    assert fresh(trade).external_refunded == 9_500, "what the console gave back is recorded beside it"


@pytest.mark.parametrize("fault", ["lost", NotSent("no connection"), UnknownOutcome("timeout")])
def test_an_unknown_outcome_is_asked_for_under_the_same_number(
    world: World, trade: Trade, ask: Ask, fault: Exception | str
) -> None:
    refund = ask(trade, 300)
    world.book.fault("refund", fault)
    due_now()
    send_due()
    lost = fresh(refund)
    assert (lost.state, lost.sends) == ("processing", 1)
    assert lost.next_query_at is not None

    sweep(2)

    done = fresh(refund)
    assert done.state == "succeeded"
    assert list(world.book.refunds) == [refund.refund_no]
    assert world.book.refunded(trade.settled_attempt.attempt_no) == 300
    assert done.sends == (1 if fault == "lost" else 2), "sent again only when the channel has no such refund"


def test_one_that_waits_at_the_channel_is_asked_about_until_it_ends(world: World, trade: Trade, ask: Ask) -> None:
    world.book.refunds_wait = True
    refund = ask(trade, 300)
    sweep(3)
    assert fresh(refund).state == "processing"
    assert fresh(trade).refunding_amount == 300
    world.book.end_refund(refund.refund_no)
    sweep()
    assert fresh(refund).state == "succeeded"
    assert world.book.calls["refund"] == 1


def test_a_refusal_fails_it_and_frees_the_sum(world: World, trade: Trade, ask: Ask) -> None:
    refund = ask(trade, 300)
    world.book.fault(
        "refund",
        RefundResult(state=RefundState.FAILED, refund_no="", code="NOT_ENOUGH", message="no money", resendable=True),
    )
    sweep()
    failed = fresh(refund)
    assert (failed.state, failed.error_code, failed.resendable) == ("failed", "NOT_ENOUGH", True)
    assert fresh(trade).refundable_amount == 10_000
    assert Notification.objects.get(type="refund.failed").refund_no == refund.refund_no
    assert Alert.objects.filter(key__startswith=f"refund-failed:{refund.refund_no}").exists()


def test_a_stuck_one_needs_a_person_and_may_still_succeed(world: World, trade: Trade, ask: Ask) -> None:
    world.book.refunds_wait = True
    refund = ask(trade, 300)
    due_now()
    send_due()
    world.book.end_refund(refund.refund_no, RefundState.ATTENTION)
    sweep(2)
    stuck = fresh(refund)
    assert (stuck.state, stuck.needs_attention) == ("processing", True)
    assert Alert.objects.filter(key=f"refund-stuck:{refund.refund_no}").count() == 1
    world.book.end_refund(refund.refund_no)
    sweep()
    assert (fresh(refund).state, fresh(refund).needs_attention) == ("succeeded", False)


def test_another_amount_in_the_answer_is_refused_and_alerted(world: World, trade: Trade, ask: Ask) -> None:
    refund = ask(trade, 300)
    world.book.fault("refund", RefundResult(state=RefundState.SUCCEEDED, refund_no="", amount=Money(301, "CNY")))
    due_now()
    send_due()
    assert fresh(refund).state == "processing"
    assert Alert.objects.filter(kind="anomaly", key=f"refund-contradiction:{refund.refund_no}").exists()
    assert fresh(trade).refunded_amount == 0


def test_no_such_refund_says_nothing_while_the_channel_settles(
    world: World, trade: Trade, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fakes.fakepay import FakeProvider

    monkeypatch.setattr(FakeProvider, "refund_settling_seconds", 10)
    refund = ask(trade, 300)
    world.book.fault("refund", UnknownOutcome("timeout"))
    send_due()
    for _ in range(2):
        Refund.objects.update(next_query_at=timezone.now())
        query_due()
    assert fresh(refund).sends == 1
    Refund.objects.update(last_sent_at=timezone.now() - timedelta(seconds=11))
    sweep()
    assert (fresh(refund).state, fresh(refund).sends) == ("succeeded", 2)


def test_partial_refunds_keep_the_policys_distance(world: World, trade: Trade, ask: Ask) -> None:
    RefundPolicy.objects.update(spacing_seconds=60)
    first, second = ask(trade, 100), ask(trade, 200)
    sweep()
    states = {fresh(first).state, fresh(second).state}
    assert states == {"succeeded", "approved"}
    waiting = Refund.objects.get(state="approved")
    assert waiting.next_send_at > timezone.now()
    Refund.objects.filter(sent_at__isnull=False).update(sent_at=timezone.now() - timedelta(seconds=61))
    sweep()
    assert Refund.objects.filter(state="succeeded").count() == 2


def test_a_full_refund_says_so_and_a_second_part_does_not(world: World, trade: Trade, ask: Ask) -> None:
    RefundPolicy.objects.update(automatic_up_to=10_000, one_approval_up_to=10_000)
    ask(trade, 4000)
    sweep()
    ask(trade, 6000)
    sweep()
    assert list(Refund.objects.order_by("id").values_list("type", "whole")) == [("partial", False), ("partial", False)]
    assert fresh(trade).refundable_amount == 0


def test_what_was_said_to_the_channel_is_in_the_exchange_log(trade: Trade, ask: Ask) -> None:
    ask(trade, 300)
    sweep()
    operations = Exchange.objects.filter(trade_no=trade.trade_no, direction="out").values_list("operation", flat=True)
    assert {"query", "refund"} <= set(operations)


def test_sweeping_again_does_nothing_again(world: World, trade: Trade, ask: Ask) -> None:
    ask(trade, 300)
    sweep(3)
    query_due()
    send_due()
    assert world.book.calls["refund"] == 1
    assert Event.objects.filter(type="refund.succeeded").count() == 1
    assert not Refund.objects.exclude(next_send_at=None, next_query_at=None, next_expiry_at=None).exists()
