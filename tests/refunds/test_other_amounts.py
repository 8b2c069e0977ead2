"""A refund names its payment as the channel has it: by what arrived, not by what was asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from paycenter.money import Money
from refunds.models import Refund, RefundPolicy
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.paying import confirm, sweep
from trades.models import AbnormalPayment
from trades.services import trade_pay


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("paid", [Money(900, "CNY"), Money(800, "USD")], ids=["amount", "currency"])
def test_the_total_is_what_arrived(world: World, ask: Callable[..., Refund], paid: Money) -> None:
    RefundPolicy.objects.update(automatic_up_to=1000)
    attempt = trade_pay(app=world.app, order=world.order(amount=800), method="fake_qr")
    confirm(attempt, world, amount=paid)
    told = []
    for operation in ("refund", "query_refund"):
        world.book.hooks[operation] = lambda refund: told.append((refund.order.amount, refund.amount))
    world.book.refunds_wait = True

    refund = ask(attempt.trade, paid.minor, attempt_no=attempt.attempt_no)
    sweep(2)

    assert set(told) == {(paid, paid)}
    assert refund.money == paid
    world.book.end_refund(refund.refund_no)
    sweep()
    assert fresh(refund).state == "succeeded"
    assert AbnormalPayment.objects.get().state == "refunded"
