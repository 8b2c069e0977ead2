"""What channels say unasked: at either address, genuine or not, about our refunds and about others'."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from notifications.models import Alert
from paycenter.money import Money
from refunds.external import external_refund_record
from refunds.models import EarlyRefund, Refund, RefundPolicy
from refunds.sweeps import book_early_due, send_due
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.paying import due_now, paid_trade, paid_twice, sweep
from trades.models import Attempt, Trade
from trades.services import trade_pay
from trades.sweeps import query_due as query_payments

Ask = Callable[..., Refund]
pytestmark = pytest.mark.usefixtures("policy")


@pytest.fixture
def waiting(world: World, trade: Trade, ask: Ask) -> Refund:
    """Sent, and under way at the channel."""
    world.book.refunds_wait = True
    refund = ask(trade, 300)
    due_now()
    send_due()
    return refund


def post(url: str, claim: dict[str, Any]) -> int:
    return Client().post(url, json.dumps(claim), content_type="application/json").status_code


def payment_url(refund: Refund) -> str:
    return f"/notify/fake_qr/{refund.attempt.attempt_no}"


def refund_url(refund: Refund) -> str:
    return f"/notify/fake_qr/refund/{refund.refund_no}"


@pytest.mark.parametrize("url", [payment_url, refund_url])
def test_a_genuine_notice_ends_it_at_either_address(world: World, waiting: Refund, url: Callable[..., str]) -> None:
    world.book.end_refund(waiting.refund_no)
    assert post(url(waiting), world.book.refund_notice(waiting.refund_no)) == 200
    assert fresh(waiting).state == "succeeded"


@pytest.mark.parametrize(
    "changed",
    [{"secret": "wrong"}, {"merchant": "another"}, {"order_no": "A-OTHER"}],
    ids=["forged", "another merchant", "another order"],
)
def test_a_notice_that_is_not_genuine_changes_nothing(
    world: World, waiting: Refund, changed: dict[str, Any]
) -> None:
    claim = world.book.refund_notice(waiting.refund_no, refund_state="succeeded", **changed)
    assert post(refund_url(waiting), claim) == 400
    assert fresh(waiting).state == "processing"
    assert Alert.objects.filter(kind="security").exists()


def test_a_notice_of_another_amount_only_makes_a_query_due(world: World, waiting: Refund) -> None:
    claim = world.book.refund_notice(waiting.refund_no, refund_state="succeeded", amount=301)
    assert post(refund_url(waiting), claim) == 200
    assert fresh(waiting).state == "processing"
    world.book.end_refund(waiting.refund_no)
    from refunds.sweeps import query_due

    query_due()
    assert fresh(waiting).state == "succeeded"


def test_the_number_in_the_body_decides_not_the_address(world: World, waiting: Refund, ask: Ask) -> None:
    other = ask(Trade.objects.get(), 200)
    due_now()
    send_due()
    world.book.end_refund(other.refund_no)
    post(refund_url(waiting), world.book.refund_notice(other.refund_no))
    assert (fresh(waiting).state, fresh(other).state) == ("processing", "succeeded")


def test_unknown_addresses_are_404(world: World, waiting: Refund) -> None:
    assert post("/notify/fake_qr/refund/R00000000000000000000", {}) == 404
    assert post(f"/notify/fake_page/refund/{waiting.refund_no}", {}) == 404


def test_a_refund_from_the_console_has_a_sum_of_its_own(world: World, trade: Trade, ask: Ask) -> None:
    attempt = trade.settled_attempt
    world.book.give_back(attempt.attempt_no, "CONSOLE-1", Money(2500, "CNY"))
    claim = world.book.refund_notice("CONSOLE-1")
    for _ in range(2):
        assert post(f"/notify/fake_qr/{attempt.attempt_no}", claim) == 200
    sweep()
    refund = Refund.objects.get()
    assert (refund.source, refund.state, refund.amount) == ("external", "succeeded", 2500)
    after = fresh(trade)
    assert (after.external_refunded, after.refunded_amount, after.refundable_amount) == (2500, 0, 7500)


def test_what_no_longer_fits_is_held_before_it_is_sent(world: World, trade: Trade, ask: Ask) -> None:
    RefundPolicy.objects.update(automatic_up_to=10_000, one_approval_up_to=10_000)
    ours = ask(trade, 8000)
    external_refund_record(
        attempt=trade.settled_attempt, channel_request_no="BANK-1", amount=Money(2500, "CNY"), actor="bill"
    )
    assert fresh(ours).state == "on_hold"
    sweep(2)
    assert world.book.calls["refund"] == 0
    assert fresh(trade).refundable_amount == 0


def test_more_than_was_paid_is_alerted(world: World, trade: Trade, ask: Ask) -> None:
    ask(trade, 1000)
    sweep()
    external_refund_record(
        attempt=trade.settled_attempt, channel_request_no="BANK-1", amount=Money(9_500, "CNY"), actor="bill"
    )
    assert Alert.objects.filter(key=f"refund-excess:{trade.trade_no}").exists()


def test_a_cumulative_sum_finds_what_nobody_told(world: World, trade: Trade, ask: Ask) -> None:
    world.book.tells_sums = True
    ask(trade, 1000)
    sweep()
    number = trade.settled_attempt.attempt_no
    world.book.give_back(number, "CONSOLE-1", Money(700, "CNY"))
    assert post(f"/notify/fake_qr/{number}", {"hint": True, "order_no": number}) == 200
    query_payments()
    assert fresh(trade).external_refunded == 700
    # Told by name later, it is not counted a second time.
    post(f"/notify/fake_qr/{number}", world.book.refund_notice("CONSOLE-1"))
    sweep()
    assert (fresh(trade).external_refunded, fresh(trade).refunded_amount) == (700, 1000)


def test_our_own_refund_under_way_is_never_taken_for_somebody_elses(
    world: World, trade: Trade, waiting: Refund
) -> None:
    world.book.tells_sums = True
    world.book.end_refund(waiting.refund_no)
    number = trade.settled_attempt.attempt_no
    post(f"/notify/fake_qr/{number}", {"hint": True, "order_no": number})
    query_payments()
    assert fresh(trade).external_refunded == 0


def test_console_refunds_of_money_paid_twice_stay_on_its_row(world: World) -> None:
    trade, abnormal = paid_twice(world, 800)
    external_refund_record(
        attempt=abnormal.attempt, channel_request_no="BANK-1", amount=Money(800, "CNY"), actor="bill"
    )
    assert (fresh(abnormal).state, fresh(abnormal).external_refunded) == ("refunded", 800)
    assert fresh(trade).external_refunded == 0


def test_a_refund_of_money_that_is_not_booked_is_alerted(world: World) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    external_refund_record(attempt=attempt, channel_request_no="X", amount=Money(1, "CNY"), actor="bill")
    assert not Refund.objects.exists()
    assert Alert.objects.filter(key=f"refund-of-nothing:{attempt.attempt_no}").exists()


def early(world: World) -> Attempt:
    """A payment whose refund at the channel's console is told of before anybody heard of the payment itself."""
    attempt = trade_pay(app=world.app, order=world.order(amount=1000), method="fake_qr")
    world.book.pay(attempt.channel_order_no)
    world.book.give_back(attempt.channel_order_no, "CONSOLE-1", Money(400, "CNY"))
    assert post(f"/notify/fake_qr/{attempt.attempt_no}", world.book.refund_notice("CONSOLE-1")) == 200
    assert not Refund.objects.exists()
    return attempt


def test_a_refund_told_of_before_its_payment_is_booked_with_it(world: World) -> None:
    attempt = early(world)
    post(f"/notify/fake_qr/{attempt.attempt_no}", world.book.refund_notice("CONSOLE-1"))
    EarlyRefund.objects.update(next_try_at=timezone.now())
    book_early_due()
    assert EarlyRefund.objects.get().next_try_at > timezone.now(), "its payment is not booked yet"
    assert query_payments() == 1, "the payment is asked about at once"
    EarlyRefund.objects.update(next_try_at=timezone.now())
    book_early_due()
    sweep()
    refund = Refund.objects.get()
    assert (refund.source, refund.state, refund.amount) == ("external", "succeeded", 400)
    assert fresh(attempt.trade).external_refunded == 400
    assert not EarlyRefund.objects.exists()


def test_an_early_refund_whose_payment_never_comes_is_left_after_a_month(world: World) -> None:
    early(world)
    EarlyRefund.objects.update(next_try_at=timezone.now(), heard_at=timezone.now() - timedelta(days=31))
    book_early_due()
    assert EarlyRefund.objects.get().next_try_at is None


def test_a_told_refund_that_the_channel_does_not_have_is_given_up(world: World, trade: Trade) -> None:
    number = trade.settled_attempt.attempt_no
    claim = world.book.notification(number, refund_no="GHOST", refund_state="succeeded", amount=100)
    post(f"/notify/fake_qr/{number}", claim)
    sweep(12)
    ghost = Refund.objects.get()
    assert (ghost.state, ghost.next_query_at) == ("failed", None)
    assert fresh(trade).external_refunded == 0
    paid_trade(world, 5)


def test_a_number_that_is_another_payments_is_alerted(world: World, trade: Trade) -> None:
    other = paid_trade(world, 500)
    for paid in (other, trade):
        external_refund_record(
            attempt=paid.settled_attempt, channel_request_no="BANK-1", amount=Money(100, "CNY"), actor="bill"
        )
    assert (fresh(other).external_refunded, fresh(trade).external_refunded) == (100, 0)
    assert Alert.objects.filter(key=f"refund-of-nothing:{trade.settled_attempt.attempt_no}").exists()


def test_a_console_refund_whose_notice_names_no_amount(world: World, trade: Trade) -> None:
    """Alipay's notice states a cumulative sum: what this refund gave back is the answer's to say."""
    number = trade.settled_attempt.attempt_no
    world.book.give_back(number, "CONSOLE-1", Money(2500, "CNY"))
    claim = world.book.refund_notice("CONSOLE-1", amount=None, refund_state=None)
    assert post(f"/notify/fake_qr/{number}", claim) == 200
    assert fresh(trade).external_refunded == 0, "not before the channel said how much"
    sweep()
    refund = Refund.objects.get()
    assert (refund.amount, refund.type, refund.state) == (2500, "partial", "succeeded")
    assert fresh(trade).external_refunded == 2500


def test_a_second_console_refund_is_not_taken_for_the_one_that_a_sum_stands_for(world: World, trade: Trade) -> None:
    world.book.tells_sums = True
    number = trade.settled_attempt.attempt_no
    world.book.give_back(number, "CONSOLE-1", Money(700, "CNY"))
    post(f"/notify/fake_qr/{number}", {"hint": True, "order_no": number})
    query_payments()
    world.book.tells_sums = False
    world.book.give_back(number, "CONSOLE-2", Money(700, "CNY"))
    for console in ("CONSOLE-1", "CONSOLE-2", "CONSOLE-1", "CONSOLE-2"):
        post(f"/notify/fake_qr/{number}", world.book.refund_notice(console))
    sweep()
    assert fresh(trade).external_refunded == 1400


def test_one_sum_may_stand_for_several_console_refunds(world: World, trade: Trade) -> None:
    world.book.tells_sums = True
    number = trade.settled_attempt.attempt_no
    for console in ("CONSOLE-1", "CONSOLE-2"):
        world.book.give_back(number, console, Money(700, "CNY"))
    post(f"/notify/fake_qr/{number}", {"hint": True, "order_no": number})
    query_payments()
    for console in ("CONSOLE-1", "CONSOLE-2", "CONSOLE-1"):
        post(f"/notify/fake_qr/{number}", world.book.refund_notice(console))
    sweep()
    assert fresh(trade).external_refunded == 1400
