"""The one path on which money is booked, and what becomes of money that settles nothing."""

from __future__ import annotations

import json

import pytest
from django.db import IntegrityError, transaction

from channels.base import PaymentState
from notifications.models import Alert, Notification
from paycenter.models import Event
from paycenter.money import Money
from tests import factories
from tests.conftest import World
from trades.closing import trade_close
from trades.confirm import Booked, MoneyArrived, payment_confirm, unverified_record
from trades.models import AbnormalPayment, Attempt, Trade
from trades.querying import attempt_query
from trades.selectors import trade_data, trade_get
from trades.services import trade_pay
from trades.sweeps import close_superseded, query_due


def pay(world: World, order: object | None = None, method: str = "fake_qr") -> Attempt:
    return trade_pay(app=world.app, order=order or world.order(), method=method)  # type: ignore[arg-type]


def confirm(attempt: Attempt, money: Money | None = None, number: str = "") -> Booked:
    arrived = MoneyArrived(amount=money or attempt.money, channel_trade_no=number or f"CH{attempt.attempt_no}")
    return payment_confirm(attempt_id=attempt.pk, money=arrived, actor="test")


def told(type_: str) -> int:
    return Notification.objects.filter(type=type_).count()


def test_the_right_money_pays_the_trade_and_is_told_once(world: World) -> None:
    attempt = pay(world)

    assert confirm(attempt) is Booked.PAID
    assert confirm(attempt) is Booked.REPEATED

    trade = Trade.objects.get()
    assert (trade.state, trade.paid_amount, trade.settled_attempt_id) == ("paid", trade.amount, attempt.pk)
    assert trade.paid_at is not None
    assert (trade.next_close_at, factories.fresh(attempt).next_query_at) == (None, None)
    assert told("trade.paid") == 1
    assert Event.objects.filter(type="trade.paid", public=True).count() == 1


def test_the_app_is_told_what_its_query_would_answer_then(world: World) -> None:
    confirm(pay(world))
    sent = json.loads(Notification.objects.get().body)["data"]
    assert sent == trade_data(trade_get(app=world.app, trade_no=sent["trade_no"]))
    assert sent["notify_state"] == "pending"


def test_a_second_attempts_success_is_a_duplicate(world: World) -> None:
    order = world.order()
    page = pay(world, order, "fake_page")
    confirm(pay(world, order))

    assert confirm(page) is Booked.ABNORMAL

    abnormal = AbnormalPayment.objects.get()
    trade = Trade.objects.get()
    assert (abnormal.kind, abnormal.state, abnormal.amount) == ("duplicate", "open", trade.amount)
    assert trade.paid_amount == trade.amount, "never merged into the trade's sums"
    assert told("trade.duplicate_paid") == 1
    assert Alert.objects.filter(kind="abnormal_payment").count() == 1


def test_a_superseded_attempts_success_pays_an_unpaid_trade(world: World) -> None:
    order = world.order()
    page = pay(world, order, "fake_page")
    newer = pay(world, order)

    assert confirm(page) is Booked.PAID

    assert Trade.objects.get().settled_attempt_id == page.pk
    newer = factories.fresh(newer)
    assert newer.next_close_at is not None
    close_superseded()
    assert factories.fresh(newer).state == "closed"
    assert world.book.payments[newer.attempt_no].state == PaymentState.CLOSED


def test_a_superseded_attempt_at_another_amount_is_abnormal(world: World) -> None:
    page = pay(world, world.order(app_order_no="A", amount=1000), "fake_page")
    pay(world, world.order(app_order_no="A", amount=700))

    assert confirm(page) is Booked.ABNORMAL
    assert AbnormalPayment.objects.get().kind == "wrong_amount"
    assert Trade.objects.get().state == "paying"


def test_money_after_the_trade_was_closed_is_late(world: World) -> None:
    attempt = pay(world)
    trade_close(trade=attempt.trade, actor="test")
    closed = Trade.objects.get()
    assert closed.state == "closed"

    assert confirm(attempt) is Booked.ABNORMAL

    assert factories.fresh(attempt).state == "succeeded"
    abnormal = AbnormalPayment.objects.get()
    assert (abnormal.kind, abnormal.state) == ("late", "open")
    trade = trade_get(app=world.app, trade_no=closed.trade_no)
    assert (trade.state, trade.version) == ("closed", closed.version + 1), "the channel's number became known"
    sent = json.loads(Notification.objects.get(type="trade.duplicate_paid").body)["data"]
    assert sent.pop("duplicate")["channel_trade_no"] == sent["channel_trade_no"]
    assert {**sent, "notify_state": None} == {**trade_data(trade), "notify_state": None}


@pytest.mark.parametrize(
    ("money", "kind"), [(Money(1), "wrong_amount"), (Money(1234, "USD"), "wrong_currency")]
)
def test_other_money_than_the_attempts_never_pays(world: World, money: Money, kind: str) -> None:
    attempt = pay(world)

    assert confirm(attempt, money) is Booked.ABNORMAL

    abnormal = AbnormalPayment.objects.get()
    assert (abnormal.kind, abnormal.amount, abnormal.currency) == (kind, money.minor, money.currency)
    assert Trade.objects.get().paid_amount == 0
    data = Notification.objects.get(type="trade.duplicate_paid").body
    assert f'"kind":"{kind}"' in data


def test_a_channel_number_that_belongs_to_another_attempt_is_refused(world: World) -> None:
    confirm(pay(world), number="SAME")
    second = pay(world)

    assert confirm(second, number="SAME") is Booked.REFUSED

    assert factories.fresh(second).state == "submitted"
    assert Alert.objects.filter(kind="anomaly", severity="critical").exists()


def test_a_contradiction_of_what_is_booked_changes_nothing(world: World) -> None:
    attempt = pay(world)
    confirm(attempt)

    assert confirm(attempt, Money(1)) is Booked.REFUSED

    assert Trade.objects.get().paid_amount == attempt.amount
    assert not AbnormalPayment.objects.exists()
    assert Alert.objects.filter(kind="anomaly").exists()


class TestUnverified:
    """A genuine notification with another amount: the channel's own answer opens or voids it."""

    def claim(self, attempt: Attempt, money: Money) -> None:
        arrived = MoneyArrived(amount=money, channel_trade_no=f"CH{attempt.attempt_no}")
        unverified_record(attempt_id=attempt.pk, money=arrived, actor="channel:fakepay")

    def test_it_is_kept_and_a_query_is_due_now(self, world: World) -> None:
        attempt = pay(world)
        self.claim(attempt, Money(1))
        self.claim(attempt, Money(1))
        abnormal = AbnormalPayment.objects.get()
        assert (abnormal.state, abnormal.kind) == ("unverified", "wrong_amount")
        assert factories.fresh(attempt).state == "submitted"
        assert told("trade.duplicate_paid") == 0
        assert query_due() == 1

    def test_an_unpaid_answer_voids_it(self, world: World) -> None:
        attempt = pay(world)
        self.claim(attempt, Money(1))
        query_due()
        assert AbnormalPayment.objects.get().state == "void"
        assert factories.fresh(attempt).state == "submitted"

    def test_a_right_answer_voids_it_and_pays(self, world: World) -> None:
        attempt = pay(world)
        self.claim(attempt, Money(1))
        world.book.pay(attempt.attempt_no)
        query_due()
        assert AbnormalPayment.objects.get().state == "void"
        assert Trade.objects.get().state == "paid"

    def test_the_same_wrong_answer_opens_it(self, world: World) -> None:
        attempt = pay(world)
        self.claim(attempt, Money(1))
        world.book.pay(attempt.attempt_no, amount=Money(1))
        query_due()
        abnormal = AbnormalPayment.objects.get()
        assert (abnormal.state, abnormal.amount) == ("open", 1)
        assert Trade.objects.get().state == "waiting", "no attempt is live"
        assert told("trade.duplicate_paid") == 1

    def test_a_claim_of_nothing_is_refused_with_an_alert(self, world: World) -> None:
        self.claim(pay(world), Money(0))
        assert not AbnormalPayment.objects.exists()
        assert Alert.objects.filter(kind="anomaly").exists()

    def test_a_claim_on_a_closed_attempt_is_still_queried(self, world: World) -> None:
        attempt = pay(world)
        trade_close(trade=attempt.trade, actor="test")
        self.claim(attempt, Money(1))
        world.book.pay(attempt.attempt_no, amount=Money(1))
        query_due()
        assert AbnormalPayment.objects.get().state == "open"


def test_a_query_that_says_closed_lets_another_attempt_start(world: World) -> None:
    attempt = pay(world)
    world.book.payments[attempt.attempt_no].state = PaymentState.CLOSED
    attempt_query(attempt_id=attempt.pk, actor="test")
    assert factories.fresh(attempt).state == "closed"
    assert Trade.objects.get().state == "waiting"


def test_no_code_can_break_the_sums(world: World) -> None:
    trade = pay(world).trade
    for broken in ({"refunded_amount": 1}, {"paid_amount": 5}, {"amount": 0}, {"state": "paid"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Trade.objects.filter(pk=trade.pk).update(**broken)


@pytest.mark.parametrize("amount", [1, 10**11])
def test_the_largest_and_smallest_order(world: World, amount: int) -> None:
    assert confirm(pay(world, world.order(amount=amount))) == Booked.PAID
    assert Trade.objects.get().paid_amount == amount
