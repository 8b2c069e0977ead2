"""Which attempt a wish to pay gets: accounts count like methods, and only the trade's own merchant's."""

from __future__ import annotations

import pytest

from merchants.api.errors import NotPermitted
from merchants.models import AccountMethod
from merchants.states import MerchantState
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from trades.models import Attempt, Trade
from trades.services import trade_open, trade_pay, trade_pay_with


def test_another_account_of_the_merchant_is_another_attempt(world: World) -> None:
    other = factories.make_account(world.merchant)
    order = world.order()
    first = trade_pay(app=world.app, order=order, method="fake_qr", payment_no=world.account.payment_no)

    second = trade_pay(app=world.app, order=order, method="fake_qr", payment_no=other.payment_no)

    assert second.attempt_no != first.attempt_no
    assert second.account_id == other.pk
    assert fresh(first).state == "closed", "closed at the account it was sent through"
    assert Trade.objects.get().current_attempt_id == second.pk


def test_the_same_account_named_or_found_is_the_same_attempt(world: World) -> None:
    order = world.order()
    found = trade_pay(app=world.app, order=order, method="fake_qr")
    named = trade_pay(app=world.app, order=order, method="fake_qr", payment_no=world.account.payment_no)
    assert named.attempt_no == found.attempt_no


def test_another_merchants_account_never_takes_this_merchants_money(world: World) -> None:
    stranger = factories.make_account(factories.make_merchant())
    trade = trade_open(app=world.app, order=world.order())

    with pytest.raises(NotPermitted):
        trade_pay_with(trade=trade, account=stranger, method="fake_qr", payer={}, client_ip=None)

    assert not Attempt.objects.exists()
    assert world.book.calls["pay"] == 0


def test_an_account_or_a_method_out_of_use_takes_no_payment(world: World) -> None:
    trade = trade_open(app=world.app, order=world.order())
    AccountMethod.objects.filter(account=world.account, method="fake_page").update(is_active=False)
    asleep = factories.make_account(world.merchant, state=MerchantState.SUSPENDED)
    for account, method in ((world.account, "fake_page"), (asleep, "fake_qr")):
        with pytest.raises(NotPermitted):
            trade_pay_with(trade=trade, account=account, method=method, payer={}, client_ip=None)
    assert world.book.calls["pay"] == 0
