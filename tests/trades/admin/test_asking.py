"""Asking the channel live from the trade's page: shown next to ours, applied on the normal path."""

from __future__ import annotations

import pytest
from django.test import Client

from channels.base import PaymentState
from notifications.models import Notification
from paycenter.errors import UnknownOutcome
from paycenter.models import Event
from paycenter.money import Money
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in
from trades.models import Attempt
from trades.querying import attempt_query
from trades.services import trade_open


@pytest.fixture
def attempt(world: World) -> Attempt:
    return factories.trade_pay(app=world.app, order=world.order(amount=1234), method="fake_qr")


def press(attempt: Attempt, who: Client | None = None) -> str:
    client = who or signed_in(make_staff("service"))
    answer = client.post(f"/admin/trades/trade/{attempt.trade_id}/ask/")
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("role", ["operator", "finance", "service"])
def test_a_payment_that_the_channel_says_is_paid_is_repaired(world: World, attempt: Attempt, role: str) -> None:
    world.book.pay(attempt.channel_order_no)
    page = press(attempt, signed_in(make_staff(role)))
    assert "Done as the channel says: succeeded." in page
    assert page.count("differs") == 1  # the state, not the amount
    assert attempt.attempt_no in page
    assert f"CH{attempt.channel_order_no}" in page
    assert (fresh(attempt.trade).state, fresh(attempt.trade).paid_amount) == ("paid", 1234)
    assert Notification.objects.filter(type="trade.paid").count() == 1
    assert Event.objects.get(type="attempt.asked").actor == f"staff:{role}"


def test_where_both_agree_nothing_is_marked_and_nothing_changes(world: World, attempt: Attempt) -> None:
    world.book.pay(attempt.channel_order_no)
    attempt_query(attempt_id=attempt.pk, actor="t")
    before = fresh(attempt)
    page = press(attempt)
    assert "Both sides agree." in page
    assert "differs" not in page
    assert (fresh(attempt).state, fresh(attempt).version) == (before.state, before.version)


def test_a_success_that_the_channel_denies_is_shown_and_never_undone(world: World, attempt: Attempt) -> None:
    world.book.pay(attempt.channel_order_no)
    attempt_query(attempt_id=attempt.pk, actor="t")
    payment = world.book.payments[attempt.channel_order_no]
    payment.state = PaymentState.UNPAID
    page = press(attempt)
    assert "It differs, and nothing could be changed by itself." in page
    assert "not paid" in page
    assert fresh(attempt.trade).state == "paid"


def test_another_amount_is_marked_and_becomes_abnormal_money(world: World, attempt: Attempt) -> None:
    world.book.pay(attempt.channel_order_no, amount=Money(1000))
    page = press(attempt)
    assert page.count("differs") == 2
    assert "¥10.00" in page
    assert fresh(attempt.trade).state != "paid"
    assert attempt.trade.abnormal_payments.count() == 1


def test_a_silent_channel_changes_nothing(world: World, attempt: Attempt) -> None:
    world.book.fault("query", UnknownOutcome("lost"))
    assert "The channel gave no usable answer." in press(attempt)
    assert fresh(attempt).state == attempt.state


def test_earlier_attempts_are_asked_about_too(world: World, attempt: Attempt) -> None:
    other = factories.trade_pay(app=world.app, order=world.order(app_order_no=attempt.trade.app_order_no, amount=1234),
                                method="fake_page")  # fmt: skip
    assert other.trade_id == attempt.trade_id
    page = press(attempt)
    assert page.count("The channel says") == 2


@pytest.mark.parametrize("role", ["auditor", "merchant", "app"])
def test_who_may_not_ask_has_no_button_and_is_refused(world: World, attempt: Attempt, role: str) -> None:
    tenant = {"merchant": {"merchant": world.merchant}, "app": {"app": world.app}}.get(role, {})
    client = signed_in(make_staff(role, **tenant))
    before = world.book.calls["query"]
    assert "/ask/" not in client.get(f"/admin/trades/trade/{attempt.trade_id}/change/").content.decode()
    assert client.post(f"/admin/trades/trade/{attempt.trade_id}/ask/").status_code == 403
    assert world.book.calls["query"] == before


def test_only_a_post_asks(world: World, attempt: Attempt) -> None:
    client = signed_in(make_staff("service"))
    assert "/ask/" in client.get(f"/admin/trades/trade/{attempt.trade_id}/change/").content.decode()
    assert client.get(f"/admin/trades/trade/{attempt.trade_id}/ask/").status_code == 405
    assert world.book.calls["query"] == 0


def test_a_trade_without_a_sent_attempt_says_why(world: World) -> None:
    trade = trade_open(app=world.app, order=world.order())
    client = signed_in(make_staff("service"))
    page = client.get(f"/admin/trades/trade/{trade.pk}/change/").content.decode()
    assert "Nothing was sent to a channel yet." in page
    assert client.post(f"/admin/trades/trade/{trade.pk}/ask/").status_code == 302
