"""Real threads against the real database: one decision, one call, and never more than was paid."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from channels.base import RefundResult, RefundState
from merchants.api.errors import RefundExceeds
from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from paycenter.money import Money
from refunds.approvals import refund_approve, refund_reject
from refunds.confirm import refund_confirm
from refunds.external import external_refund_record
from refunds.inbound import REFUND_SIDE
from refunds.models import Approval, Refund, RefundPolicy
from refunds.sending import refund_query, refund_send
from refunds.services import RefundRequest, refund_cancel, refund_request_by_app
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.paying import due_now, paid_trade, sweep
from trades.models import Trade

Threads = Callable[..., list[Any]]
ASKERS = 200


@pytest.fixture
def world(committed_world: World) -> World:
    RefundPolicy.objects.create(
        app=committed_world.app, merchant=committed_world.merchant, automatic_up_to=1000, one_approval_up_to=5000
    )
    return committed_world


def ask(world: World, trade: Trade, amount: int, number: str) -> Refund:
    request = RefundRequest(
        merchant_no=world.merchant.merchant_no, trade_no=trade.trade_no, amount=amount, reason="x", app_refund_no=number
    )
    return refund_request_by_app(app=world.app, request=request)


def people(count: int) -> list[User]:
    return [
        User.objects.create_user(f"clerk{i}", password="x", role="finance", is_staff=True) for i in range(count)
    ]


def outcomes(answers: list[Any]) -> tuple[int, list[str]]:
    """How many went through, and the refusals of the others."""
    refused = [type(a).__name__ for a in answers if isinstance(a, Exception)]
    return len(answers) - len(refused), refused


@pytest.mark.timeout(300)
def test_200_refunds_of_one_trade_at_once(world: World, in_threads: Threads) -> None:
    trade = paid_trade(world, 10_000)
    started = time.monotonic()

    answers = in_threads(lambda i: ask(world, trade, 100 + i % 7, f"R{i}"), ASKERS)

    seconds = time.monotonic() - started
    accepted = [a for a in answers if isinstance(a, Refund)]
    assert {type(a) for a in answers} == {Refund, RefundExceeds}
    reserved = sum(r.amount for r in accepted)
    assert fresh(trade).refunding_amount == reserved <= 10_000
    assert 10_000 - reserved < 107, "nothing that still fits was refused"
    sweep(2)
    number = trade.settled_attempt.attempt_no
    assert world.book.refunded(number) == fresh(trade).refunded_amount == reserved
    print(f"\n{ASKERS} at once: {len(accepted)} accepted, {reserved} of 10000 minor units out, {seconds:.1f} s")


def test_the_same_number_from_many_threads_is_one_refund(world: World, in_threads: Threads) -> None:
    trade = paid_trade(world, 10_000)
    answers = in_threads(lambda _i: ask(world, trade, 500, "R-1"), 16)
    assert len({a.refund_no for a in answers}) == 1
    assert fresh(trade).refunding_amount == 500


def test_the_same_number_for_two_trades_at_once_is_one_refund(world: World, in_threads: Threads) -> None:
    trades = [paid_trade(world, 1000), paid_trade(world, 1000)]
    answers = in_threads(lambda i: ask(world, trades[i % 2], 500, "R-1"), 8)
    assert {type(a).__name__ for a in answers} == {"Refund", "ContentDiffers"}
    assert sorted(fresh(t).refunding_amount for t in trades) == [0, 500]


def test_two_approvers_at_the_same_instant_make_one_decision(world: World, in_threads: Threads) -> None:
    refund, clerks = ask(world, paid_trade(world, 10_000), 2000, "R-1"), people(8)
    answers = in_threads(lambda i: refund_approve(refund=refund, user=clerks[i], comment="ok"), 8)
    done, refused = outcomes(answers)
    assert (done, refused) == (1, ["TransitionRefused"] * 7)
    assert Approval.objects.count() == 1
    assert Event.objects.filter(type="refund.approved").count() == 1
    sweep(2)
    assert world.book.calls["refund"] == 1


def test_a_double_click_approves_once(world: World, in_threads: Threads) -> None:
    refund, (clerk,) = ask(world, paid_trade(world, 10_000), 6000, "R-1"), people(1)
    done, _refused = outcomes(
        in_threads(lambda _i: refund_approve(refund=refund, user=clerk, comment="ok"), 6)
    )
    assert done == 1
    assert (fresh(refund).state, Approval.objects.count()) == ("pending_approval", 1)


def test_approve_against_reject_against_cancel(world: World, in_threads: Threads) -> None:
    trade = paid_trade(world, 10_000)
    clerks = people(2)
    for number in range(5):
        refund = ask(world, trade, 1001, f"R-{number}")
        acts: list[Callable[[], Any]] = [
            lambda r=refund: refund_approve(refund=r, user=clerks[0], comment="ok"),
            lambda r=refund: refund_reject(refund=r, user=clerks[1], comment="no"),
            lambda r=refund: refund_cancel(refund=r, actor="app"),
        ]
        answers = in_threads(lambda i, todo=acts: todo[i](), 3)
        assert outcomes(answers)[0] == 1
        state = fresh(refund).state
        assert state in ("approved", "rejected", "cancelled")
        told = Event.objects.filter(
            refund_no=refund.refund_no, type__in=["refund.approved", "refund.rejected", "refund.cancelled"]
        )
        assert [e.to_state for e in told] == [state]
    sweep()
    approved = Refund.objects.filter(state="succeeded").count()
    assert world.book.calls["refund"] == approved
    assert fresh(trade).refunded_amount == 1001 * approved
    assert fresh(trade).refunding_amount == 0


def test_many_senders_make_one_call(world: World, in_threads: Threads) -> None:
    refund = ask(world, paid_trade(world, 10_000), 900, "R-1")
    world.book.hooks["refund"] = lambda _order: time.sleep(0.2)
    in_threads(lambda _i: refund_send(refund_id=refund.pk), 8)
    assert world.book.calls["refund"] == 1
    assert fresh(refund).state == "succeeded"


def test_answer_notice_and_query_at_once_count_once(world: World, in_threads: Threads) -> None:
    trade = paid_trade(world, 10_000)
    world.book.refunds_wait = True
    refund = ask(world, trade, 900, "R-1")
    due_now()
    refund_send(refund_id=refund.pk)
    world.book.end_refund(refund.refund_no)
    word = RefundResult(state=RefundState.SUCCEEDED, refund_no=refund.refund_no, amount=refund.money)
    acts: list[Callable[[], Any]] = [
        lambda: refund_confirm(refund_id=refund.pk, word=word, actor="channel:fakepay"),
        lambda: refund_query(refund_id=refund.pk),
    ]
    in_threads(lambda i: acts[i % 2](), 8)
    assert fresh(trade).refunded_amount == 900
    assert Event.objects.filter(type="refund.succeeded").count() == 1


def test_a_console_refund_told_many_times_at_once_counts_once(world: World, in_threads: Threads) -> None:
    trade = paid_trade(world, 10_000)
    attempt = trade.settled_attempt
    in_threads(
        lambda _i: external_refund_record(
            attempt=attempt, channel_request_no="BANK-1", amount=Money(700, "CNY"), actor="bill"
        ),
        8,
    )
    assert fresh(trade).external_refunded == 700
    assert Refund.objects.filter(source="external").count() == 1


def test_sums_heard_at_the_same_moment_count_once(world: World, in_threads: Threads) -> None:
    """Each query tells how much went back in all; the second answer is of a moment later."""
    trade = paid_trade(world, 10_000)
    attempt = trade.settled_attempt

    def hear(index: int) -> None:
        REFUND_SIDE.sum_heard(attempt, Money(900 if index % 2 else 700, "CNY"), "channel:fakepay")

    in_threads(hear, 8)
    assert fresh(trade).external_refunded == 900


def test_the_daily_ceiling_holds_across_trades(world: World, in_threads: Threads) -> None:
    RefundPolicy.objects.update(daily_ceiling=2000)
    trades = [paid_trade(world, 1000) for _ in range(8)]
    answers = in_threads(lambda i: ask(world, trades[i], 500, f"R{i}"), 8)
    assert sorted(a.state for a in answers) == ["approved"] * 4 + ["pending_approval"] * 4


def test_refused_transitions_are_what_people_see(world: World) -> None:
    refund, clerks = ask(world, paid_trade(world, 10_000), 2000, "R-1"), people(2)
    refund_approve(refund=refund, user=clerks[0], comment="ok")
    with pytest.raises(TransitionRefused) as refused:
        refund_reject(refund=refund, user=clerks[1], comment="no")
    assert refused.value.state == "approved"
    assert factories.fresh(refund).state == "approved"
