"""A paid trade, staff who may decide, and a policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from merchants.models import User
from refunds.models import Refund, RefundPolicy
from refunds.services import RefundRequest, refund_request_by_app
from tests import factories
from tests.conftest import World
from tests.refunds.paying import paid_trade
from trades.models import Trade

PAID = 10_000


@pytest.fixture
def trade(world: World) -> Trade:
    """Paid, 100.00."""
    return paid_trade(world, PAID)


@pytest.fixture
def policy(world: World) -> RefundPolicy:
    """Up to 1000 automatic, up to 5000 one approval, above that two."""
    return RefundPolicy.objects.create(
        app=world.app, merchant=world.merchant, automatic_up_to=1000, one_approval_up_to=5000
    )


@pytest.fixture
def staff(db: None) -> Callable[..., User]:
    """A staff member of a role, by name."""

    def make(name: str, role: str = "finance", **values: Any) -> User:
        return User.objects.create_user(name, password="x", role=role, is_staff=True, **values)

    return make


@pytest.fixture
def ask(world: World) -> Callable[..., Refund]:
    """The app asks for a refund of a trade."""

    def call(trade: Trade, amount: int, *, number: str | None = None, **values: Any) -> Refund:
        request = RefundRequest(
            merchant_no=world.merchant.merchant_no, trade_no=trade.trade_no, amount=amount, reason="moved out",
            app_refund_no=number or factories.make_order(world.merchant).app_order_no, **values,
        )  # fmt: skip
        return refund_request_by_app(app=world.app, request=request)

    return call
