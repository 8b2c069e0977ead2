"""gopay's service: one order, its attempts, and what a repeat gets."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from channels.base import PaymentState, Refused
from merchants.api.errors import (
    AlreadyPaid,
    BadParameter,
    ChannelRefused,
    ChannelUnknown,
    ContentDiffers,
    NotPermitted,
    OrderClosed,
)
from merchants.models import AppMerchant, PaymentAccount
from merchants.states import MerchantState
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.models import Event, Exchange
from tests import factories
from tests.conftest import World
from trades.models import AbnormalPayment, Attempt, Trade
from trades.selectors import trade_data
from trades.services import trade_open, trade_pay


def pay(world: World, order: object, method: str = "fake_qr", **values: object) -> Attempt:
    return trade_pay(app=world.app, order=order, method=method, **values)  # type: ignore[arg-type]


def age(attempt: Attempt, seconds: float) -> None:
    """Let the attempt have been answered so many seconds ago."""
    Attempt.objects.filter(pk=attempt.pk).update(submitted_at=timezone.now() - timedelta(seconds=seconds))


def test_a_first_payment_is_initiated_never_paid(world: World) -> None:
    attempt = pay(world, world.order(amount=990, attach="x", detail={"z": 1, "a": 2}))

    data = trade_data(Trade.objects.select_related("app", "merchant").get())
    assert attempt.pay == {"type": "qrcode", "content": f"fake://pay/{attempt.attempt_no}"}
    assert data["state"] == "paying"
    assert data["paid_amount"] == 0
    assert data["attempt_no"] == data["channel_order_no"] == attempt.attempt_no
    assert data["channel_trade_no"] is None
    assert list(data["detail"]) == ["z", "a"]
    assert world.book.calls == {"pay": 1}
    assert attempt.next_query_at is not None


def test_the_same_again_within_15_seconds_gets_the_first_answer(world: World) -> None:
    order = world.order()
    first = pay(world, order)
    age(first, 14)

    again = pay(world, order)

    assert (again.attempt_no, again.pay) == (first.attempt_no, first.pay)
    assert world.book.calls["pay"] == 1


def test_the_same_again_later_closes_the_older_attempt_first(world: World) -> None:
    order = world.order()
    first = pay(world, order)
    age(first, 16)

    second = pay(world, order)

    assert second.attempt_no != first.attempt_no
    first = factories.fresh(first)
    assert first.state == "closed"
    assert world.book.payments[first.attempt_no].state == PaymentState.CLOSED
    assert second.trade.state == "paying"
    assert world.book.calls == {"pay": 2, "query": 1, "close": 1}


def test_another_method_starts_a_new_attempt_and_closes_the_older(world: World) -> None:
    order = world.order()
    first = pay(world, order)

    second = pay(world, order, "fake_page")

    first = factories.fresh(first)
    assert first.state == "closed"
    assert second.pay["type"] == "redirect"
    assert second.trade.current_attempt_id == second.pk


def test_switching_away_from_a_paid_attempt_is_told_and_sends_nothing(world: World) -> None:
    order = world.order()
    first = pay(world, order)
    world.book.pay(first.attempt_no)

    with pytest.raises(AlreadyPaid):
        pay(world, order, "fake_page")

    trade = Trade.objects.get()
    assert trade.state == "paid"
    assert trade.settled_attempt_id == first.pk
    assert world.book.calls["pay"] == 1
    assert trade.attempts.exclude(pk=first.pk).get().state == "failed"
    assert not AbnormalPayment.objects.exists()


def test_an_amount_paid_before_it_was_changed_pays_the_trade(world: World) -> None:
    order = world.order(amount=1000, app_order_no="A")
    first = pay(world, order)
    world.book.pay(first.attempt_no)

    with pytest.raises(AlreadyPaid):
        pay(world, world.order(amount=700, app_order_no="A"))

    trade = Trade.objects.get()
    assert (trade.state, trade.amount, trade.paid_amount) == ("paid", 1000, 1000)


def test_another_amount_starts_a_new_attempt_with_it(world: World) -> None:
    first = pay(world, world.order(amount=1000, app_order_no="A"))

    second = pay(world, world.order(amount=700, app_order_no="A"))

    first = factories.fresh(first)
    assert (first.amount, first.state) == (1000, "closed")
    assert second.amount == second.trade.amount == 700
    assert Trade.objects.get().amount == 700


def test_an_older_attempt_that_cannot_be_closed_stays_watched(world: World) -> None:
    order = world.order()
    first = pay(world, order, "fake_page")  # never opened by the payer: not found at the channel

    pay(world, order)

    first = factories.fresh(first)
    assert first.state == "submitted"
    assert first.superseded_at is not None
    assert first.next_query_at is not None
    assert first.next_close_at is not None


@pytest.mark.parametrize(
    "changed",
    [{"subject": "other"}, {"body": "other"}, {"detail": {"a": 1}}, {"attach": "other"},
     {"notify_url": "https://other.example/"}, {"business_no": "B2"}],
)  # fmt: skip
def test_the_same_number_with_other_content_is_refused(world: World, changed: dict[str, object]) -> None:
    pay(world, world.order(app_order_no="A"))

    with pytest.raises(ContentDiffers):
        pay(world, world.order(app_order_no="A", **changed))


def test_another_currency_is_other_content(world: World) -> None:
    pay(world, world.order(app_order_no="A"), "fake_page")

    with pytest.raises(ContentDiffers):
        pay(world, world.order(app_order_no="A", currency="USD"), "fake_page")


def test_the_expiry_counts_on_the_first_call_only(world: World) -> None:
    first = pay(world, world.order(app_order_no="A", expire_in=60))
    expiry = Trade.objects.get().expire_at

    pay(world, world.order(app_order_no="A", expire_in=6000), "fake_page")

    assert Trade.objects.get().expire_at == expiry == first.expire_at


def test_a_paid_order_wins_over_the_repeat_window(world: World) -> None:
    order = world.order()
    attempt = pay(world, order)
    world.book.pay(attempt.attempt_no)
    from trades.querying import attempt_query

    attempt_query(attempt_id=attempt.pk, actor="test")

    with pytest.raises(AlreadyPaid):
        pay(world, order)


def test_an_expired_order_is_refused_at_once(world: World) -> None:
    order = world.order()
    factories.expire(pay(world, order).trade, seconds_ago=0)

    with pytest.raises(OrderClosed):
        pay(world, order)


def test_a_refusal_fails_the_attempt_and_the_next_call_starts_at_once(world: World) -> None:
    order = world.order()
    world.book.fault("pay", Refused(code="ACQ.NO", message="not today"))

    with pytest.raises(ChannelRefused) as refused:
        pay(world, order)

    trade = Trade.objects.get()
    failed = trade.attempts.get()
    assert trade.state == "waiting"
    assert failed.state == "failed"
    assert refused.value.data == {
        "channel_code": "ACQ.NO", "channel_msg": "not today", "trade_no": trade.trade_no,
        "attempt_no": failed.attempt_no, "app_order_no": order.app_order_no,
    }  # fmt: skip
    assert pay(world, order).attempt_no != failed.attempt_no


def test_a_final_refusal_fails_the_trade_and_is_told(world: World) -> None:
    order = world.order()
    world.book.fault("pay", Refused(code="DECLINED", message="no", final_for_trade=True))

    with pytest.raises(ChannelRefused):
        pay(world, order)

    assert Trade.objects.get().state == "failed"
    assert Event.objects.filter(type="trade.failed", public=True).count() == 1
    with pytest.raises(OrderClosed):
        pay(world, order)


@pytest.mark.parametrize("fault", [UnknownOutcome("timeout"), NotSent("refused"), ValueError("a defect"), "lost"])
def test_an_unknown_outcome_is_told_and_resent_under_the_same_number(world: World, fault: object) -> None:
    order = world.order()
    world.book.fault("pay", fault)  # type: ignore[arg-type]

    with pytest.raises(ChannelUnknown) as unknown:
        pay(world, order)

    attempt = Attempt.objects.get()
    assert attempt.state == "unknown"
    assert unknown.value.data["attempt_no"] == attempt.attempt_no
    again = pay(world, order)
    assert again.attempt_no == attempt.attempt_no
    assert again.state == "submitted"
    assert world.book.calls == {"pay": 2, "query": 1}
    assert len(world.book.payments) == 1


def test_a_payment_found_by_the_query_before_resending_is_not_sent_again(world: World) -> None:
    order = world.order()
    world.book.fault("pay", "lost")
    with pytest.raises(ChannelUnknown):
        pay(world, order)
    world.book.pay(Attempt.objects.get().attempt_no)

    with pytest.raises(AlreadyPaid):
        pay(world, order)

    assert Trade.objects.get().state == "paid"
    assert world.book.calls["pay"] == 1


def test_a_refused_resend_says_nothing_of_the_first_send(world: World) -> None:
    """The channel took the first one (its answer was lost) and refuses the second: the first is closed."""
    order = world.order()
    world.book.fault("pay", "lost", Refused(code="OUT_TRADE_NO_USED", message="used"))
    with pytest.raises(ChannelUnknown):
        pay(world, order)
    with pytest.raises(ChannelRefused):
        pay(world, order)
    first = Attempt.objects.get()
    assert first.state == "unknown", "it may still be paid, so it stays watched"

    second = pay(world, order)

    assert second.attempt_no != first.attempt_no
    assert factories.fresh(first).state == "closed"
    assert world.book.payments[first.attempt_no].state == PaymentState.CLOSED


def test_money_on_the_first_send_after_a_refused_resend_pays(world: World) -> None:
    order = world.order()
    world.book.fault("pay", "lost", Refused(code="OUT_TRADE_NO_USED", message="used"))
    for expected in (ChannelUnknown, ChannelRefused):
        with pytest.raises(expected):
            pay(world, order)
    from trades.sweeps import query_due

    world.book.pay(Attempt.objects.get().attempt_no)
    query_due()
    assert Trade.objects.get().state == "paid"


def test_still_unknown_is_answered_unknown_again(world: World) -> None:
    order = world.order()
    world.book.fault("pay", UnknownOutcome("x"))
    world.book.fault("query", UnknownOutcome("x"))
    for _ in range(2):
        with pytest.raises(ChannelUnknown):
            pay(world, order)
    assert world.book.calls == {"pay": 1, "query": 1}


def test_an_attempt_left_behind_by_a_dead_process_is_taken_over_under_its_number(world: World) -> None:
    order = world.order()
    first = pay(world, order)
    Attempt.objects.filter(pk=first.pk).update(
        state="created", pay=None, submitted_at=None, in_flight_until=timezone.now() - timedelta(seconds=1)
    )

    again = pay(world, order)

    assert again.attempt_no == first.attempt_no
    assert again.state == "submitted"
    assert len(world.book.payments) == 1


def test_money_that_is_faster_than_the_channels_answer(world: World) -> None:
    """The notification of an app-side SDK may arrive before `pay` returned."""
    from channels.base import OrderRef
    from trades.confirm import MoneyArrived, payment_confirm

    def paid_meanwhile(order: OrderRef) -> None:
        attempt = Attempt.objects.get(attempt_no=order.order_no)
        money = MoneyArrived(amount=attempt.money, channel_trade_no="EARLY")
        payment_confirm(attempt_id=attempt.pk, money=money, actor="test")

    world.book.hooks["pay"] = paid_meanwhile
    with pytest.raises(AlreadyPaid):
        pay(world, world.order())
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.trade.state) == ("succeeded", "paid")
    assert attempt.pay is not None


class TestPermission:
    def test_unknown_method_is_a_bad_parameter(self, world: World) -> None:
        with pytest.raises(BadParameter) as bad:
            pay(world, world.order(), "no_such_method")
        assert list(bad.value.data["errors"]) == ["method"]

    def test_foreign_merchant(self, world: World) -> None:
        with pytest.raises(NotPermitted):
            trade_pay(app=world.app, order=factories.make_order(factories.make_merchant()), method="fake_qr")

    def test_suspended_merchant(self, world: World) -> None:
        type(world.merchant).objects.update(state=MerchantState.SUSPENDED)
        with pytest.raises(NotPermitted):
            pay(world, world.order())

    def test_inactive_link(self, world: World) -> None:
        AppMerchant.objects.update(is_active=False)
        with pytest.raises(NotPermitted):
            pay(world, world.order())

    def test_inactive_account(self, world: World) -> None:
        PaymentAccount.objects.update(state=MerchantState.SUSPENDED)
        with pytest.raises(NotPermitted):
            pay(world, world.order())

    def test_method_that_is_not_configured(self, world: World) -> None:
        world.account.methods.filter(method="fake_qr").update(is_active=False)
        with pytest.raises(NotPermitted):
            pay(world, world.order())

    def test_two_accounts_need_the_payment_number(self, world: World) -> None:
        other = factories.make_account(world.merchant)
        with pytest.raises(NotPermitted):
            pay(world, world.order())
        assert pay(world, world.order(), payment_no=other.payment_no).account_id == other.pk

    @pytest.mark.parametrize(("method", "values", "field"), [
        ("fake_jsapi", {}, "payer.openid"), ("fake_qr", {"currency": "USD"}, "currency"),
        ("fake_qr", {"currency": "XXY"}, "currency"),
    ])  # fmt: skip
    def test_what_the_scene_needs(self, world: World, method: str, values: dict[str, str], field: str) -> None:
        with pytest.raises(BadParameter) as bad:
            pay(world, world.order(**values), method)
        assert list(bad.value.data["errors"]) == [field]
        assert not Attempt.objects.exists()


class TestCashierOrders:
    def test_an_order_waits_without_an_attempt(self, world: World) -> None:
        trade = trade_open(app=world.app, order=world.order())
        assert trade.state == "waiting"
        assert trade_data(trade)["attempt_no"] is None

    def test_the_amount_may_change_while_unpaid_and_live_attempts_are_retired(self, world: World) -> None:
        first = pay(world, world.order(app_order_no="A", amount=1000))

        trade = trade_open(app=world.app, order=world.order(app_order_no="A", amount=700))

        first = factories.fresh(first)
        assert trade.amount == 700
        assert (first.state, first.amount) == ("closed", 1000)

    def test_an_order_paid_at_the_old_amount_keeps_it(self, world: World) -> None:
        first = pay(world, world.order(app_order_no="A", amount=1000))
        world.book.pay(first.attempt_no)
        with pytest.raises(AlreadyPaid):
            trade_open(app=world.app, order=world.order(app_order_no="A", amount=700))
        assert Trade.objects.get().paid_amount == 1000


def test_every_channel_call_is_found_by_the_trade_number(world: World) -> None:
    attempt = pay(world, world.order())
    exchange = Exchange.objects.get(trade_no=attempt.trade.trade_no)
    assert (exchange.operation, exchange.attempt_no, exchange.peer) == ("pay", attempt.attempt_no, "channel:fakepay")
    events = Event.objects.filter(trade_no=attempt.trade.trade_no).order_by("id")
    assert list(events.values_list("type", flat=True)) == [
        "trade.created", "attempt.created", "trade.paying", "attempt.submitted",
    ]  # fmt: skip
