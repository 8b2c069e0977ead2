"""Closing on request and at expiry, and the sweeps that finish what was left."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from channels.base import PaymentState
from merchants.api.errors import AlreadyPaid, OrderClosed
from notifications.models import Notification
from paycenter.errors import UnknownOutcome
from tests import factories
from tests.conftest import World
from trades.closing import trade_close
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_open, trade_pay
from trades.sweeps import close_due, close_superseded, query_due


def pay(world: World, method: str = "fake_qr") -> Attempt:
    return trade_pay(app=world.app, order=world.order(), method=method)


def make_due(**fields: object) -> None:
    """Let everything that waits be due now."""
    now = timezone.now()
    Attempt.objects.filter(next_query_at__isnull=False).update(next_query_at=now)
    Attempt.objects.filter(next_close_at__isnull=False).update(next_close_at=now)
    Trade.objects.filter(next_close_at__isnull=False).update(next_close_at=now)


class TestOnRequest:
    def test_an_unpaid_trade_is_closed_at_the_channel_and_here(self, world: World) -> None:
        attempt = pay(world)
        closed = trade_close(trade=attempt.trade, actor="test")
        assert closed.state == "closed"
        assert closed.closed_at is not None
        assert world.book.payments[attempt.attempt_no].state == PaymentState.CLOSED
        assert Notification.objects.get().type == "trade.closed"
        assert trade_close(trade=closed, actor="test").state == "closed"

    def test_a_trade_without_an_attempt_is_closed_here(self, world: World) -> None:
        trade = trade_open(app=world.app, order=world.order())
        assert trade_close(trade=trade, actor="test").state == "closed"

    def test_a_paid_trade_is_told_as_paid(self, world: World) -> None:
        attempt = pay(world)
        world.book.pay(attempt.attempt_no)
        for _ in range(2):
            with pytest.raises(AlreadyPaid):
                trade_close(trade=attempt.trade, actor="test")
        assert Trade.objects.get().state == "paid"

    def test_a_payment_between_query_and_close_wins(self, world: World) -> None:
        attempt = pay(world)
        world.book.hooks["close"] = lambda order: world.book.pay(order.order_no)
        with pytest.raises(AlreadyPaid):
            trade_close(trade=attempt.trade, actor="test")
        assert Trade.objects.get().state == "paid"

    @pytest.mark.parametrize("operation", ["query", "close"])
    def test_a_silent_channel_leaves_the_state_and_is_finished_later(self, world: World, operation: str) -> None:
        attempt = pay(world)
        world.book.fault(operation, UnknownOutcome("silent"))

        assert trade_close(trade=attempt.trade, actor="test").state == "paying"

        with pytest.raises(OrderClosed):  # nobody pays an order whose closing was asked for
            trade_pay(app=world.app, order=world.order(app_order_no=attempt.trade.app_order_no), method="fake_qr")
        make_due()
        close_due()
        assert Trade.objects.get().state == "closed"

    def test_a_close_that_was_done_but_not_answered(self, world: World) -> None:
        attempt = pay(world)
        world.book.fault("close", "lost")
        assert trade_close(trade=attempt.trade, actor="test").state == "paying"
        make_due()
        close_due()
        assert Trade.objects.get().state == "closed"

    def test_an_unseen_page_stays_open_until_its_own_expiry(self, world: World) -> None:
        attempt = pay(world, "fake_page")
        assert trade_close(trade=attempt.trade, actor="test").state == "paying"
        make_due()
        close_due()
        assert Trade.objects.get().state == "paying"
        factories.expire(attempt.trade)
        close_due()
        assert Trade.objects.get().state == "closed"


class TestAtExpiry:
    def test_expired_trades_are_closed_with_and_without_attempts(self, world: World) -> None:
        with_attempt = pay(world).trade
        without = trade_open(app=world.app, order=world.order())
        living = pay(world).trade
        for trade in (with_attempt, without):
            factories.expire(trade)

        assert close_due() == 2

        assert factories.fresh(with_attempt).state == factories.fresh(without).state == "closed"
        assert factories.fresh(living).state == "paying"
        assert close_due() == 0

    def test_money_that_arrived_in_the_last_second_pays(self, world: World) -> None:
        attempt = pay(world)
        world.book.pay(attempt.attempt_no)
        factories.expire(attempt.trade)
        close_due()
        assert Trade.objects.get().state == "paid"

    def test_a_channel_that_cannot_be_asked_never_closes_a_trade(self, world: World) -> None:
        attempt = pay(world)
        factories.expire(attempt.trade)
        world.book.fault("query", *[UnknownOutcome("down")] * 3)
        for _ in range(3):
            close_due()
            make_due()
            assert Trade.objects.get().state == "paying"
        close_due()
        assert Trade.objects.get().state == "closed"

    def test_late_money_after_closing_is_kept(self, world: World) -> None:
        attempt = pay(world, "fake_page")
        factories.expire(attempt.trade)
        close_due()
        assert Trade.objects.get().state == "closed"
        world.book.pay(attempt.attempt_no)
        from trades.querying import attempt_query

        attempt_query(attempt_id=attempt.pk, actor="test")
        assert AbnormalPayment.objects.get().kind == "late"


class TestQuerySweep:
    def test_a_payment_without_a_notification_is_found(self, world: World) -> None:
        attempt = pay(world)
        world.book.pay(attempt.attempt_no)
        make_due()
        assert query_due() == 1
        assert Trade.objects.get().state == "paid"
        assert query_due() == 0

    def test_queries_follow_the_schedule_an_operator_can_change(self, world: World) -> None:
        from paycenter import schedules
        from paycenter.models import RetrySchedule

        RetrySchedule.objects.create(name="query:fakepay", delays=[7, 40], repeat_last=True)
        schedules.forget_cached()
        attempt = pay(world)
        first = factories.fresh(attempt).next_query_at - timezone.now()
        assert timedelta(seconds=6) < first < timedelta(seconds=8)
        make_due()
        query_due()
        second = factories.fresh(attempt).next_query_at - timezone.now()
        assert timedelta(seconds=35) < second < timedelta(seconds=45)

    def test_an_attempt_whose_process_died_is_resolved(self, world: World) -> None:
        attempt = pay(world)
        past = timezone.now() - timedelta(seconds=1)
        Attempt.objects.update(state="created", pay=None, submitted_at=None, in_flight_until=past, next_query_at=past)
        world.book.pay(attempt.attempt_no)
        query_due()
        assert Trade.objects.get().state == "paid"
        assert len(world.book.payments) == 1

    def test_one_failing_row_does_not_stop_the_others(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        broken, sound = pay(world), pay(world)
        for attempt in (broken, sound):
            world.book.pay(attempt.attempt_no)
        from trades import sweeps

        real = sweeps.attempt_query

        def sometimes(*, attempt_id: int, actor: str) -> object:
            if attempt_id == broken.pk:
                raise RuntimeError("defect")
            return real(attempt_id=attempt_id, actor=actor)

        monkeypatch.setattr(sweeps, "attempt_query", sometimes)
        make_due()
        query_due()
        assert factories.fresh(sound.trade).state == "paid"
        assert factories.fresh(broken).next_query_at is not None, "due again when the claim runs out"


def test_a_superseded_attempt_is_closed_by_the_sweep_when_the_payer_opens_it(world: World) -> None:
    order = world.order()
    page = trade_pay(app=world.app, order=order, method="fake_page")
    trade_pay(app=world.app, order=order, method="fake_qr")
    world.book.payments[page.attempt_no].seen = True
    make_due()
    close_superseded()
    assert factories.fresh(page).state == "closed"
    assert Trade.objects.get().state == "paying"
