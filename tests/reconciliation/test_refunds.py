"""Refunds in a bill: ours by the number sent, the channel's own handed to refunds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from channels.base import RefundState as Word
from reconciliation import sweeps
from reconciliation.models import Case, ReconciliationDay
from reconciliation.reconciling import day_match
from refunds.models import Refund, RefundPolicy
from refunds.sending import refund_send
from refunds.services import RefundRequest, refund_request_by_app
from refunds.states import RefundState
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes import bills
from tests.reconciliation.conftest import NOON, reconcile, row_of
from trades.models import Attempt


@pytest.fixture(autouse=True)
def _published(published: Any, world: World) -> None:
    """Every test here reads bills, and refunds need nobody."""
    RefundPolicy.objects.create(
        app=world.app, merchant=world.merchant, automatic_up_to=10**6, one_approval_up_to=10**6
    )


@pytest.fixture
def refunded(world: World) -> Callable[..., Refund]:
    """Give `amount` back; at noon of the day, as far as the channel finished it."""

    def make(attempt: Attempt, amount: int) -> Refund:
        request = RefundRequest(
            merchant_no=world.merchant.merchant_no, trade_no=attempt.trade.trade_no, amount=amount, reason="moved out",
            app_refund_no=factories.make_order(world.merchant).app_order_no,
        )  # fmt: skip
        refund = refund_request_by_app(app=world.app, request=request)
        refund_send(refund_id=refund.pk)
        Refund.objects.filter(pk=refund.pk, state="succeeded").update(finished_at=NOON)
        return Refund.objects.get(pk=refund.pk)

    return make


def back(refund: Refund, **changed: Any) -> dict[str, Any]:
    """The bill's row of a refund."""
    values = {
        "kind": "refund", "refund_no": refund.channel_request_no, "channel_refund_no": f"RF{refund.channel_request_no}",
        "order_no": refund.attempt.channel_order_no, "channel_trade_no": refund.attempt.channel_trade_no or "",
        "amount": refund.amount, "at": NOON.isoformat(),
    }  # fmt: skip
    return bills.line(**{**values, **changed})


def test_refunds_that_agree_are_no_cases(world: World, paid: Any, refunded: Any) -> None:
    attempt = paid(amount=1000)
    one, other = refunded(attempt, 300), refunded(attempt, 200)
    assert reconcile(world, [row_of(attempt), back(one), back(other)]) == 0
    sums = ReconciliationDay.objects.get().ours["CNY"]
    assert (sums["refunds"], sums["refunded"]) == (2, 500)


def test_differences_of_refunds_are_named(world: World, paid: Any, refunded: Any, settings: Any) -> None:
    settings.RECONCILIATION_CARRY_DAYS = 0
    attempt = paid(amount=1000)
    amount, missing, failed = refunded(attempt, 100), refunded(attempt, 200), refunded(attempt, 300)
    rows = [row_of(attempt), back(amount, amount=99), back(failed, state="failed")]
    assert reconcile(world, rows) == 3
    found = {case.key: case for case in Case.objects.all()}
    assert {key: case.kind for key, case in found.items()} == {
        amount.refund_no: "amount", missing.refund_no: "missing_at_channel", failed.refund_no: "status",
    }  # fmt: skip
    assert {case.subject for case in found.values()} == {"refund"}
    assert found[missing.refund_no].refund_no == missing.refund_no
    assert found[missing.refund_no].trade_no == attempt.trade.trade_no


def test_a_refund_that_was_still_under_way_is_finished_by_asking(world: World, paid: Any, refunded: Any) -> None:
    world.book.refunds_wait = True
    attempt = paid(amount=1000)
    refund = refunded(attempt, 400)
    assert refund.state == RefundState.PROCESSING
    assert reconcile(world, [row_of(attempt), back(refund)]) == 1
    assert Case.objects.get().kind == "status"
    world.book.end_refund(refund.channel_request_no, Word.SUCCEEDED)
    sweeps.cases_ask_due()
    assert fresh(refund).state == RefundState.SUCCEEDED
    assert (Case.objects.get().state, Case.objects.get().outcome) == ("settled", "asked")


def test_a_row_of_a_refund_that_has_not_ended_is_no_difference(world: World, paid: Any, refunded: Any) -> None:
    attempt = paid(amount=1000)
    refund = refunded(attempt, 400)
    assert reconcile(world, [row_of(attempt), back(refund, state="processing")]) == 0


def test_money_the_console_gave_back_is_handed_to_refunds(world: World, paid: Any) -> None:
    attempt = paid(amount=1000)
    console = bills.line(
        kind="refund", refund_no="CONSOLE-1", channel_refund_no="RF-1", order_no=attempt.channel_order_no,
        channel_trade_no=attempt.channel_trade_no, amount=250, at=NOON.isoformat(),
    )  # fmt: skip
    assert reconcile(world, [row_of(attempt), console]) == 0
    refund = Refund.objects.get()
    assert (refund.source, refund.state, refund.amount) == ("external", "succeeded", 250)
    assert fresh(attempt.trade).external_refunded == 250
    assert not Case.objects.exists()
    assert day_match(day_id=ReconciliationDay.objects.get().pk) == 0
    assert fresh(attempt.trade).external_refunded == 250


def test_money_given_back_of_a_payment_we_do_not_know_is_a_case(world: World, paid: Any) -> None:
    stranger = bills.line(kind="refund", refund_no="R-9", order_no="NOBODY", amount=5, at=NOON.isoformat())
    assert reconcile(world, [stranger]) == 1
    assert (Case.objects.get().kind, Case.objects.get().subject) == ("missing_here", "refund")
    assert not Refund.objects.exists()


def test_what_was_paid_out_by_hand_is_not_looked_for(world: World, paid: Any, refunded: Any) -> None:
    attempt = paid(amount=1000)
    refund = refunded(attempt, 300)
    Refund.objects.filter(pk=refund.pk).update(route="manual")
    assert reconcile(world, [row_of(attempt)]) == 0


def test_a_refund_booked_a_day_later_is_carried(world: World, paid: Any, refunded: Any) -> None:
    from datetime import timedelta

    from tests.reconciliation.conftest import DAY

    attempt = paid(amount=1000)
    refund = refunded(attempt, 300)
    assert reconcile(world, [row_of(attempt)]) == 1
    assert Case.objects.get().state == "carried"
    later = (NOON + timedelta(days=1)).isoformat()
    assert reconcile(world, [back(refund, at=later)], DAY + timedelta(days=1)) == 0
    assert Case.objects.get().state == "settled"
    assert timezone.now() >= Case.objects.get().opened_at
