"""Money that the channel gives back itself, told of before its payment is booked: nobody gives it away again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from merchants.api.errors import NotPossible, RefundExceeds
from merchants.models import User
from notifications.models import Notification
from paycenter.errors import TransitionRefused
from paycenter.money import Money
from refunds import early, inbound
from refunds.external import external_refund_open
from refunds.models import EarlyRefund, Refund, RefundPolicy
from refunds.retrying import refund_convert
from refunds.sending import refund_send
from refunds.services import refund_request_by_staff
from refunds.sweeps import apply_policies_due, book_early_due
from refunds.tasks import find_early
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import signed_in
from tests.refunds.paying import paid_twice, sweep
from tests.refunds.test_abnormal import closed_attempt, late_money, set_policy
from tests.refunds.test_inbound import early as kept_early
from tests.refunds.test_inbound import post
from trades.accepting import acceptance_ask
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_pay
from trades.sweeps import query_due as query_payments

pytestmark = pytest.mark.usefixtures("in_english")

Ask = Callable[..., Refund]
Staff = Callable[..., User]
WORDS = "may be giving this money back already"


def late_and_given_back(world: World, amount: int | None = None) -> tuple[Attempt, AbnormalPayment]:
    """Paid after the trade was closed, given back at the channel's console; only the second notice arrived. The
    payment is known by a query since; the refund's own time is an hour away."""
    attempt = closed_attempt(world)
    payment = world.book.pay(attempt.attempt_no)
    world.book.give_back(attempt.attempt_no, "CONSOLE-1", Money(amount or payment.amount.minor, "CNY"))
    assert post(f"/notify/fake_qr/{attempt.attempt_no}", world.book.refund_notice("CONSOLE-1")) == 200
    EarlyRefund.objects.update(next_try_at=timezone.now() + timedelta(hours=1))
    assert query_payments() == 1
    return attempt, AbnormalPayment.objects.get()


def apply_policies() -> None:
    AbnormalPayment.objects.filter(next_policy_at__isnull=False).update(next_policy_at=timezone.now())
    apply_policies_due()


def test_late_money_that_the_console_gave_back_revives_no_order(world: World) -> None:
    set_policy(world, late_payment="revive")
    _attempt, row = late_and_given_back(world)
    apply_policies()
    assert fresh(row.trade).state == "closed", "the refund waits to be booked"
    assert book_early_due() == 1, "due with its payment"
    apply_policies()
    assert fresh(row.trade).state == "closed", "the channel is being asked about it"
    sweep()
    apply_policies()
    assert (fresh(row).state, fresh(row).external_refunded, fresh(row.trade).state) == ("refunded", 1234, "closed")
    assert not Notification.objects.filter(type="trade.paid").exists()


def test_the_policy_gives_back_only_what_the_console_did_not(world: World) -> None:
    set_policy(world, late_payment="refund", abnormal_automatic_up_to=10_000)
    attempt, row = late_and_given_back(world, 400)
    for _ in range(2):
        apply_policies()
        assert not Refund.objects.exclude(source="external").exists()
        book_early_due()
    sweep()
    apply_policies()
    sweep()
    assert world.book.refunded(attempt.attempt_no) == 1234
    assert (fresh(row).state, fresh(row).refunded_amount, fresh(row).external_refunded) == ("refunded", 834, 400)


def test_the_policy_goes_on_when_the_channel_has_no_such_refund(world: World) -> None:
    set_policy(world, late_payment="revive")
    _attempt, row = late_and_given_back(world)
    world.book.refunds.clear()
    book_early_due()
    sweep(12)
    apply_policies()
    assert (fresh(row).state, fresh(row.trade).state) == ("accepted", "paid")


@pytest.mark.usefixtures("policy")
def test_what_the_console_gave_back_is_not_refunded_again(world: World, ask: Ask) -> None:
    trade = kept_early(world).trade
    EarlyRefund.objects.update(next_try_at=timezone.now() + timedelta(hours=1))
    query_payments()
    for _ in range(2):
        with pytest.raises(NotPossible, match=WORDS):
            ask(trade, 601)
        book_early_due()
    sweep()
    with pytest.raises(RefundExceeds):
        ask(trade, 601)
    ask(trade, 600)
    sweep()
    assert world.book.refunded(Trade.objects.get().settled_attempt.attempt_no) == 1000


@pytest.mark.usefixtures("policy")
def test_what_is_left_beside_it_is_refunded_at_once(world: World, ask: Ask) -> None:
    trade = kept_early(world).trade
    query_payments()
    assert ask(trade, 600).state == "approved"


def test_a_refund_of_unknown_amount_may_be_all_of_it(world: World, ask: Ask) -> None:
    trade = kept_early(world).trade
    EarlyRefund.objects.update(amount=None)
    query_payments()
    with pytest.raises(NotPossible, match=WORDS):
        ask(trade, 1)


@pytest.mark.parametrize("told_again", [True, False])
def test_one_that_was_given_up_is_booked_when_its_payment_comes_after_all(world: World, told_again: bool) -> None:
    attempt = kept_early(world)
    long_ago = timezone.now() - timedelta(days=31)
    EarlyRefund.objects.update(next_try_at=None, heard_at=long_ago)
    if told_again:
        post(f"/notify/fake_qr/{attempt.attempt_no}", world.book.refund_notice("CONSOLE-1"))
        EarlyRefund.objects.update(next_try_at=timezone.now())
        book_early_due()
        assert EarlyRefund.objects.get().next_try_at > timezone.now(), "it is waited for anew"
    query_payments()
    assert book_early_due() == 1
    sweep()
    assert fresh(attempt.trade).external_refunded == 400


def test_a_try_beside_the_booking_does_not_put_it_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_early(world)
    EarlyRefund.objects.update(next_try_at=timezone.now())

    def booked_just_after(attempt: Attempt) -> bool:
        assert query_payments() == 1
        return False

    with monkeypatch.context() as patched:
        patched.setattr(early, "_is_booked", booked_just_after)
        book_early_due()
    assert book_early_due() == 1, "still due"
    assert Refund.objects.get().source == "external"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_payment_booked_at_the_same_instant_finds_what_is_being_kept(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep_beside_booking(**values: Any) -> None:
        booking.start()
        booking.join(0.3)  # done by then, unless it waits for this
        early.early_refund_keep(**values)

    booking = threading.Thread(target=lambda: (query_payments(), connection.close()))
    attempt = trade_pay(app=committed_world.app, order=committed_world.order(amount=1000), method="fake_qr")
    Attempt.objects.update(next_query_at=timezone.now())
    monkeypatch.setattr(inbound, "early_refund_keep", keep_beside_booking)
    committed_world.book.pay(attempt.attempt_no)
    committed_world.book.give_back(attempt.attempt_no, "CONSOLE-1", Money(400, "CNY"))
    post(f"/notify/fake_qr/{attempt.attempt_no}", committed_world.book.refund_notice("CONSOLE-1"))
    booking.join()
    assert fresh(attempt).state == "succeeded"
    assert book_early_due() == 1, "due with its payment"


@pytest.fixture
def leaving(world: World) -> AbnormalPayment:
    """Late money; the channel is being asked about a refund of all of it that began elsewhere."""
    row = late_money(world)
    whole = Money(row.amount, row.currency)
    external_refund_open(attempt=row.attempt, channel_request_no="CONSOLE-1", amount=whole, actor="test")
    return row


def test_people_neither_keep_nor_refund_it_before_the_channels_answer(leaving: AbnormalPayment, staff: Staff) -> None:
    user = staff("a")
    with pytest.raises(TransitionRefused, match=WORDS):
        acceptance_ask(abnormal=leaving, user=user, reason="x")
    with pytest.raises(TransitionRefused, match=WORDS):
        refund_request_by_staff(trade=leaving.trade, abnormal=leaving, amount=1, reason="late", user=user)
    page = signed_in(user).get(f"/admin/trades/abnormalpayment/{leaving.pk}/change/").content.decode()
    assert page.count(WORDS) >= 2, "both buttons say why they cannot be pressed"


def test_a_failed_refund_is_not_paid_out_by_hand_beside_it(world: World, staff: Staff) -> None:
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, abnormal_automatic_up_to=10_000,
                                duplicate_payment="refund")  # fmt: skip
    _trade, row = paid_twice(world, 800)
    apply_policies()
    Refund.objects.update(state="failed", sent_at=timezone.now(), finished_at=timezone.now())
    AbnormalPayment.objects.update(state="open", refunding_amount=0)
    external_refund_open(attempt=row.attempt, channel_request_no="X", amount=Money(800, "CNY"), actor="test")
    failed: Any = Refund.objects.get(source="policy")
    with pytest.raises(TransitionRefused, match=WORDS):
        refund_convert(refund=failed, user=staff("a"), route="manual", reason="closed account")


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("amount", [400, None])
@pytest.mark.parametrize("opened", [True, False])
def test_what_was_approved_before_is_not_sent_beside_it(
    world: World, ask: Ask, amount: int | None, opened: bool
) -> None:
    """Approved first; then the channel tells of a refund at its console, and is being asked about it."""
    attempt = trade_pay(app=world.app, order=world.order(amount=1000), method="fake_qr")
    world.book.pay(attempt.attempt_no)
    Attempt.objects.update(next_query_at=timezone.now())
    query_payments()
    refund = ask(fresh(attempt.trade), 700)
    said = None if amount is None else Money(amount, "CNY")
    if opened:
        external_refund_open(attempt=fresh(attempt), channel_request_no="CONSOLE-1", amount=said, actor="test")
    else:
        EarlyRefund.objects.create(attempt=attempt, channel_request_no="CONSOLE-1", amount=amount, currency="CNY",
                                   heard_at=timezone.now(), next_try_at=timezone.now())  # fmt: skip
    refund_send(refund_id=refund.pk)
    assert fresh(refund).state == "on_hold"
    assert "of its own accord" in fresh(refund).held_because
    assert world.book.refunded(attempt.attempt_no) == 0


@pytest.mark.usefixtures("policy")
def test_what_is_left_beside_it_is_sent(world: World, ask: Ask) -> None:
    attempt = trade_pay(app=world.app, order=world.order(amount=1000), method="fake_qr")
    world.book.pay(attempt.attempt_no)
    Attempt.objects.update(next_query_at=timezone.now())
    query_payments()
    refund = ask(fresh(attempt.trade), 600)
    external_refund_open(attempt=fresh(attempt), channel_request_no="C-1", amount=Money(400, "CNY"), actor="test")
    refund_send(refund_id=refund.pk)
    assert fresh(refund).sent_at is not None


def test_one_that_was_given_up_although_its_payment_is_booked_is_found(world: World) -> None:
    attempt = kept_early(world)
    EarlyRefund.objects.update(next_try_at=None)
    find_early()
    assert EarlyRefund.objects.get().next_try_at is None, "its payment did not come yet"
    query_payments()
    EarlyRefund.objects.update(next_try_at=None)
    find_early()
    assert book_early_due() == 1
    sweep()
    assert fresh(attempt.trade).external_refunded == 400
