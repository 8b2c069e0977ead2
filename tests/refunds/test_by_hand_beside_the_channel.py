"""What is paid out by hand, and a channel that still speaks of it: nothing goes back twice, nothing is undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from channels.base import RefundResult, RefundState
from merchants.models import User
from notifications.models import Alert
from paycenter.errors import TransitionRefused, UnknownOutcome
from paycenter.money import Money
from refunds.approvals import refund_approve
from refunds.confirm import Booked, refund_confirm
from refunds.external import external_refund_record
from refunds.models import Refund
from refunds.payouts import payout_accept, payout_enter
from refunds.retrying import refund_convert
from refunds.sending import refund_query, refund_send
from refunds.sweeps import send_due
from refunds.vouchers import VOUCHERS
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.paying import due_now, sweep
from trades.models import Trade
from trades.sweeps import query_due as query_payments

Ask = Callable[..., Refund]
Staff = Callable[..., User]
pytestmark = pytest.mark.usefixtures("policy")


@pytest.fixture(autouse=True)
def _vouchers(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path


def enter(refund: Refund, user: User) -> None:
    payout_enter(
        refund=refund, user=user, reference="BANK-77", payee={"name": "李雷"}, paid_on=timezone.localdate(),
        voucher=VOUCHERS.store(name="slip.pdf", chunks=[b"%PDF-1.4 paid"]),
    )  # fmt: skip


@pytest.fixture
def paid_out(world: World, trade: Trade, ask: Ask, staff: Staff) -> Refund:
    """Failed at its channel, converted, approved, paid out by hand and entered; not checked yet."""
    word = RefundResult(state=RefundState.FAILED, refund_no="", code="CARD_CLOSED", message="the card is closed")
    world.book.fault("refund", word)
    refund = ask(trade, 900)
    sweep()
    refund_convert(refund=refund, user=staff("carl"), route="manual", reason="the card is closed")
    refund_approve(refund=refund, user=staff("dora"), comment="ok")
    enter(refund, staff("ann"))
    world.book.calls.clear()
    return fresh(refund)


def test_a_hint_does_not_have_it_sent_to_the_channel(world: World, paid_out: Refund) -> None:
    number = paid_out.attempt.attempt_no
    body = json.dumps({"hint": True, "order_no": number})
    Client().post(f"/notify/fake_qr/{number}", body, content_type="application/json")
    sweep(2)
    assert world.book.calls["refund"] == 0
    assert world.book.refunded(number) == 0, "it was paid out by hand; the channel gives nothing back as well"


def test_asking_the_channel_does_not_have_it_sent(world: World, paid_out: Refund) -> None:
    refund_query(refund_id=paid_out.pk, actor="staff:ann")
    sweep(2)
    assert (world.book.calls["query_refund"], world.book.calls["refund"]) == (1, 0)
    assert fresh(paid_out).next_query_at is None


@pytest.mark.parametrize("state", [RefundState.FAILED, RefundState.PROCESSING, RefundState.ATTENTION])
def test_an_old_word_repeated_does_not_undo_it(
    world: World, trade: Trade, paid_out: Refund, staff: Staff, state: RefundState
) -> None:
    word = RefundResult(state=state, refund_no=paid_out.refund_no, amount=paid_out.money)
    refund_confirm(refund_id=paid_out.pk, word=word, actor="channel:fakepay")
    after = fresh(paid_out)
    assert (after.state, after.next_query_at, after.needs_attention) == ("processing", None, False)
    assert fresh(trade).refunding_amount == 900, "its sum is not free for another refund"
    payout_accept(refund=paid_out, user=staff("bob"), comment="seen")
    refund_confirm(refund_id=paid_out.pk, word=word, actor="channel:fakepay")
    assert (fresh(paid_out).state, fresh(trade).refunded_amount) == ("succeeded", 900)
    assert not Alert.objects.filter(kind="security").exists()


@pytest.mark.parametrize("checked", [False, True])
def test_money_the_channel_gives_back_as_well_is_alerted(
    trade: Trade, paid_out: Refund, staff: Staff, checked: bool
) -> None:
    if checked:
        payout_accept(refund=paid_out, user=staff("bob"), comment="seen")
    word = RefundResult(state=RefundState.SUCCEEDED, refund_no=paid_out.refund_no, amount=paid_out.money)
    refund_confirm(refund_id=paid_out.pk, word=word, actor="channel:fakepay")
    assert Alert.objects.filter(kind="anomaly", key=f"refund-contradiction:{paid_out.refund_no}").exists()
    assert (fresh(paid_out).state, fresh(trade).refunded_amount) == ("succeeded", 900)


def test_the_channel_repeating_its_own_success_is_no_alarm(trade: Trade, ask: Ask) -> None:
    refund = ask(trade, 900)
    sweep()
    word = RefundResult(state=RefundState.SUCCEEDED, refund_no=refund.refund_no, amount=refund.money)
    assert refund_confirm(refund_id=refund.pk, word=word, actor="channel:fakepay") is Booked.REPEATED
    assert not Alert.objects.filter(kind="security").exists()


@pytest.mark.parametrize("checked", [False, True])
def test_it_does_not_hide_what_the_console_gave_back(
    world: World, trade: Trade, paid_out: Refund, staff: Staff, checked: bool
) -> None:
    """The channel's cumulative sum knows nothing of what was paid out by hand."""
    if checked:
        payout_accept(refund=paid_out, user=staff("bob"), comment="seen")
    world.book.tells_sums = True
    number = paid_out.attempt.attempt_no
    world.book.give_back(number, "CONSOLE-1", Money(900, "CNY"))
    body = json.dumps({"hint": True, "order_no": number})
    Client().post(f"/notify/fake_qr/{number}", body, content_type="application/json")
    query_payments()
    assert fresh(trade).external_refunded == 900


def test_a_sender_that_asked_too_long_does_not_send_what_is_paid_out_by_hand(
    world: World, trade: Trade, ask: Ask, staff: Staff
) -> None:
    """While one process asks about the payment, staff convert the refund and approve it, and the answer is lost."""
    refund = ask(trade, 900)
    carl, dora = staff("carl"), staff("dora")

    def converted(_order: Any) -> None:
        world.book.hooks.clear()
        refund_convert(refund=refund, user=carl, route="manual", reason="the card is closed")
        refund_approve(refund=refund, user=dora, comment="ok")
        world.book.fault("query", UnknownOutcome("silent"))
        raise UnknownOutcome("silent")

    world.book.hooks["query"] = converted
    refund_send(refund_id=refund.pk)
    world.book.faults.clear()
    assert fresh(refund).next_send_at is None, "nothing is due that nobody sends"
    due_now()
    send_due()
    assert world.book.calls["refund"] == 0


def test_what_went_back_elsewhere_is_not_approved_to_be_paid_out_again(
    trade: Trade, ask: Ask, staff: Staff
) -> None:
    refund = ask(trade, 8000)
    refund_convert(refund=refund, user=staff("carl"), route="manual", reason="the card is closed")
    external_refund_record(
        attempt=trade.settled_attempt, channel_request_no="BANK-1", amount=Money(8000, "CNY"), actor="bill"
    )
    for name in ("dora", "emil"):
        with pytest.raises(TransitionRefused):
            refund_approve(refund=refund, user=staff(name), comment="ok")
    assert fresh(refund).state == "on_hold"
