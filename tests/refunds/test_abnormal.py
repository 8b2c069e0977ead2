"""Money that arrived wrongly: what the policy does with it, once; what two people may do; never both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from merchants.api.errors import RefundExceeds
from merchants.models import User
from notifications.models import Notification
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from paycenter.money import Money
from refunds.models import Refund, RefundPolicy
from refunds.services import refund_request_by_staff
from refunds.sweeps import apply_policies_due
from tests import factories
from tests.conftest import World
from tests.factories import expire, fresh
from tests.refunds.paying import confirm, paid_twice, sweep
from trades.accepting import acceptance_ask, acceptance_confirm, acceptance_withdraw
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_pay
from trades.sweeps import close_due

pytestmark = pytest.mark.usefixtures("in_english")

Staff = Callable[..., User]


def closed_attempt(world: World, method: str = "fake_qr", **order: Any) -> Attempt:
    """An attempt whose trade was closed unpaid."""
    attempt = trade_pay(app=world.app, order=world.order(**order), method=method)
    expire(attempt.trade)
    while close_due():
        pass
    assert fresh(attempt.trade).state == "closed"
    return attempt


def late_money(world: World) -> AbnormalPayment:
    attempt = closed_attempt(world)
    confirm(attempt, world)
    return AbnormalPayment.objects.get(attempt=attempt)


def wrong_money(world: World, amount: Money) -> AbnormalPayment:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    confirm(attempt, world, amount=amount)
    return AbnormalPayment.objects.get(attempt=attempt)


def set_policy(world: World, **values: Any) -> None:
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, **values)


def give_back(row: AbnormalPayment, amount: int, user: User) -> Refund:
    return refund_request_by_staff(trade=row.trade, abnormal=row, amount=amount, reason="late", user=user)


def told(type_: str) -> int:
    return Notification.objects.filter(type=type_).count()


def test_without_a_policy_people_are_asked(world: World) -> None:
    row = late_money(world)
    apply_policies_due()
    assert (fresh(row).state, fresh(row).next_policy_at, fresh(row.trade).state) == ("open", None, "closed")
    assert not Refund.objects.exists()
    assert told("trade.duplicate_paid") == 1


def test_late_money_revives_the_order_by_policy(world: World) -> None:
    set_policy(world, late_payment="revive")
    row = late_money(world)
    apply_policies_due()
    trade = fresh(row.trade)
    assert (fresh(row).state, trade.state, trade.settled_attempt_id) == ("accepted", "paid", row.attempt_id)
    assert (trade.paid_amount, trade.paid_at) == (trade.amount, fresh(row.attempt).paid_at)
    assert told("trade.paid") == 1


@pytest.mark.parametrize(("automatic", "state"), [(10_000, "approved"), (0, "pending_approval")])
def test_late_money_goes_back_by_policy(world: World, automatic: int, state: str) -> None:
    set_policy(world, late_payment="refund", abnormal_automatic_up_to=automatic)
    row = late_money(world)
    apply_policies_due()
    refund = Refund.objects.get()
    assert (refund.state, refund.source, refund.amount, refund.kind) == (state, "policy", row.amount, "abnormal")
    sweep()
    assert world.book.refunded(row.attempt.attempt_no) == (row.amount if automatic else 0)
    assert fresh(row.trade).state == "closed"


def test_a_second_late_payment_of_a_revived_order_is_not_kept_silently(world: World) -> None:
    set_policy(world, late_payment="revive", duplicate_payment="refund", abnormal_automatic_up_to=10_000)
    order = world.order()
    attempts = [trade_pay(app=world.app, order=order, method=method) for method in ("fake_page", "fake_qr")]
    expire(attempts[0].trade)
    while close_due():
        pass
    for attempt in attempts:
        confirm(attempt, world)
    for _ in range(2):
        apply_policies_due()
    sweep()
    assert sorted(AbnormalPayment.objects.values_list("state", flat=True)) == ["accepted", "refunded"]
    assert sum(world.book.refunded(a.attempt_no) for a in attempts) == 1234
    assert told("trade.paid") == 1


def test_money_paid_twice_goes_back_by_policy(world: World) -> None:
    set_policy(world, duplicate_payment="refund", abnormal_automatic_up_to=10_000)
    trade, row = paid_twice(world, 800)
    apply_policies_due()
    sweep()
    assert (fresh(row).state, fresh(trade).refunded_amount) == ("refunded", 0)
    assert world.book.refunded(row.attempt.attempt_no) == 800


@pytest.mark.parametrize("amount", [Money(1000), Money(1234, "USD")])
def test_money_of_another_amount_or_currency_follows_its_own_rule(world: World, amount: Money) -> None:
    set_policy(world, late_payment="revive", wrong_payment="refund", abnormal_automatic_up_to=10_000)
    row = wrong_money(world, amount)
    apply_policies_due()
    sweep()
    assert (fresh(row).state, fresh(row.trade).state) == ("refunded", "waiting")
    given = next(iter(world.book.refunds.values()))
    assert given.amount == amount


def test_the_policy_is_applied_once(world: World) -> None:
    set_policy(world, duplicate_payment="refund")
    _trade, row = paid_twice(world, 800)
    for _ in range(3):
        apply_policies_due()
        AbnormalPayment.objects.update(next_policy_at=timezone.now())
    assert Refund.objects.count() == 1
    assert fresh(row).refunding_amount == 800


def test_the_policy_leaves_alone_what_people_are_at(world: World, staff: Staff) -> None:
    row = late_money(world)
    acceptance_ask(abnormal=row, user=staff("a"), reason="payer wants it")
    set_policy(world, late_payment="refund", abnormal_automatic_up_to=10_000)
    apply_policies_due()
    assert (fresh(row).state, Refund.objects.count()) == ("open", 0)


def test_two_people_keep_late_money_and_the_order_is_paid(world: World, staff: Staff) -> None:
    row = late_money(world)
    asker = staff("a")
    acceptance_ask(abnormal=row, user=asker, reason="payer wants it")
    with pytest.raises(TransitionRefused):
        acceptance_confirm(abnormal=row, user=asker, reason="me again")
    assert fresh(row.trade).state == "closed"
    acceptance_confirm(abnormal=row, user=staff("b"), reason="checked")
    trade = fresh(row.trade)
    assert (fresh(row).state, trade.state, trade.settled_attempt_id) == ("accepted", "paid", row.attempt_id)
    assert told("trade.paid") == 1
    assert list(Event.objects.filter(object_type="abnormalpayment").values_list("type", "actor"))[-2:] == [
        ("abnormal.acceptance_asked", "staff:a"), ("abnormal.accepted", "staff:b"),
    ]  # fmt: skip


def test_what_somebody_asked_to_keep_who_is_shut_out_since_is_not_kept(world: World, staff: Staff) -> None:
    row, asker = late_money(world), staff("a")
    acceptance_ask(abnormal=row, user=asker, reason="payer wants it")
    User.objects.filter(pk=asker.pk).update(is_active=False)
    with pytest.raises(TransitionRefused):
        acceptance_confirm(abnormal=row, user=staff("b"), reason="checked")
    assert fresh(row).state == "open"


def test_kept_money_of_another_amount_pays_nothing(world: World, staff: Staff) -> None:
    row = wrong_money(world, Money(1000))
    acceptance_ask(abnormal=row, user=staff("a"), reason="counted on the next bill")
    acceptance_confirm(abnormal=row, user=staff("b"), reason="checked")
    assert (fresh(row).state, fresh(row.trade).state, told("trade.paid")) == ("accepted", "waiting", 0)


@pytest.mark.parametrize("role", ["service", "operator", "auditor", "merchant"])
def test_only_some_roles_keep_money(world: World, staff: Staff, role: str) -> None:
    row = late_money(world)
    wrong = staff("w", role, merchant=world.merchant if role == "merchant" else None)
    with pytest.raises(TransitionRefused):
        acceptance_ask(abnormal=row, user=wrong, reason="x")
    acceptance_ask(abnormal=row, user=staff("a"), reason="x")
    for decide in (acceptance_confirm, acceptance_withdraw):
        with pytest.raises(TransitionRefused):
            decide(abnormal=row, user=wrong, reason="x")
    assert (fresh(row).state, fresh(row).acceptance_asked_by.username) == ("open", "a")


def test_a_request_is_taken_back_and_asked_again(world: World, staff: Staff) -> None:
    row, first, second = late_money(world), staff("a"), staff("b")
    with pytest.raises(TransitionRefused):
        acceptance_withdraw(abnormal=row, user=first, reason="")
    with pytest.raises(TransitionRefused):
        acceptance_confirm(abnormal=row, user=first, reason="")
    acceptance_ask(abnormal=row, user=first, reason="x")
    with pytest.raises(TransitionRefused):
        acceptance_ask(abnormal=row, user=second, reason="x")
    acceptance_withdraw(abnormal=row, user=second, reason="no")
    acceptance_ask(abnormal=row, user=second, reason="y")
    acceptance_confirm(abnormal=row, user=first, reason="z")
    assert fresh(row).state == "accepted"


def test_what_partly_went_back_is_not_kept(world: World, staff: Staff) -> None:
    row = late_money(world)
    set_policy(world, automatic_up_to=0)
    refund = give_back(row, 100, staff("a"))
    with pytest.raises(TransitionRefused):
        acceptance_ask(abnormal=row, user=staff("b"), reason="x")
    Refund.objects.filter(pk=refund.pk).update(state="approved", next_send_at=timezone.now())
    sweep()
    assert (fresh(row).state, fresh(row).refunded_amount) == ("open", 100)
    with pytest.raises(TransitionRefused):
        acceptance_ask(abnormal=row, user=staff("c"), reason="x")


def test_what_is_kept_does_not_go_back(world: World, staff: Staff) -> None:
    row = late_money(world)
    acceptance_ask(abnormal=row, user=staff("a"), reason="x")
    acceptance_confirm(abnormal=row, user=staff("b"), reason="x")
    with pytest.raises(Exception, match="refunded in its present state"):
        give_back(row, 1, staff("c"))


def test_a_refund_asked_for_after_the_request_stops_the_keeping(world: World, staff: Staff) -> None:
    row = late_money(world)
    acceptance_ask(abnormal=row, user=staff("a"), reason="x")
    give_back(row, 100, staff("b"))
    with pytest.raises(TransitionRefused):
        acceptance_confirm(abnormal=row, user=staff("c"), reason="x")
    assert fresh(row.trade).state == "closed"


def test_a_form_sent_twice_asks_for_one_refund(world: World, staff: Staff) -> None:
    _trade, row = paid_twice(world, 800)
    user = staff("a")
    seen = fresh(row).version
    values = {"trade": row.trade, "abnormal": row, "amount": 100, "reason": "x", "user": user, "seen_version": seen}
    refund_request_by_staff(**values)
    with pytest.raises(TransitionRefused):
        refund_request_by_staff(**values)
    assert fresh(row).refunding_amount == 100
    with pytest.raises(RefundExceeds):
        refund_request_by_staff(**{**values, "amount": 701, "seen_version": fresh(row).version})


@pytest.mark.parametrize("role", ["operator", "auditor", "merchant", "app"])
def test_only_some_roles_ask_for_refunds(world: World, staff: Staff, role: str) -> None:
    _trade, row = paid_twice(world, 800)
    tenant = {"merchant": {"merchant": world.merchant}, "app": {"app": world.app}}.get(role, {})
    with pytest.raises(TransitionRefused):
        give_back(row, 100, staff("a", role, **tenant))
    assert not Refund.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_people_at_the_same_instant_keep_it_once(
    committed_world: World, in_threads: Callable[..., list[Any]], staff: Staff
) -> None:
    world = committed_world
    row = late_money(world)
    acceptance_ask(abnormal=row, user=staff("a"), reason="x")
    people = [staff("b"), staff("c")]
    results = in_threads(lambda n: acceptance_confirm(abnormal=row, user=people[n], reason="ok"), 2)
    assert sorted(type(r).__name__ for r in results) == ["AbnormalPayment", "TransitionRefused"]
    assert (fresh(row).state, fresh(row.trade).state) == ("accepted", "paid")
    assert told("trade.paid") == 1
    assert Event.objects.filter(type="abnormal.accepted").count() == 1


@pytest.mark.django_db(transaction=True)
def test_keeping_and_giving_back_at_the_same_instant_do_one_of_them(
    committed_world: World, in_threads: Callable[..., list[Any]], staff: Staff
) -> None:
    world = committed_world
    row = late_money(world)
    acceptance_ask(abnormal=row, user=staff("a"), reason="x")
    keeper, giver = staff("b"), staff("c")

    def act(number: int) -> Any:
        if number == 0:
            return acceptance_confirm(abnormal=row, user=keeper, reason="ok")
        return give_back(row, row.amount, giver)

    results = in_threads(act, 2)
    assert sum(isinstance(r, Exception) for r in results) == 1, results
    kept = fresh(row).state == "accepted"
    assert (Refund.objects.count(), fresh(row.trade).state) == ((0, "paid") if kept else (1, "closed"))


def test_the_policys_own_time_is_forgotten_when_a_person_keeps_it(world: World, staff: Staff) -> None:
    row = late_money(world)
    assert row.next_policy_at is not None
    acceptance_ask(abnormal=row, user=staff("a"), reason="x")
    acceptance_confirm(abnormal=row, user=staff("b"), reason="x")
    assert fresh(row).next_policy_at is None


def test_another_merchants_payment_is_nobodys_business(world: World, staff: Staff) -> None:
    row = late_money(world)
    stranger = staff("s", "merchant", merchant=factories.make_merchant())
    with pytest.raises(TransitionRefused):
        give_back(row, 1, stranger)
    assert Trade.objects.get(pk=row.trade_id).refunding_amount == 0
