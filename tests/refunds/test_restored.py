"""What a restored center does before it meets the others again, and sums that do not fit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from refunds import restored
from refunds.models import Refund
from refunds.verifying import wrong_sums
from tests import factories
from trades.models import Attempt, ChannelCounter, Trade
from trades.services import trade_pay


def test_everything_open_is_asked_about_at_once(world: Any) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    Attempt.objects.update(next_query_at=timezone.now() + timedelta(hours=5))
    assert restored.everything_due_now() == (1, 0)
    assert factories.fresh(attempt).next_query_at <= timezone.now()
    Attempt.objects.update(state="closed", next_query_at=None)
    assert restored.everything_due_now() == (0, 0)


def test_numbers_of_days_that_are_over_are_left_alone(db: None) -> None:
    today = timezone.localdate()
    ChannelCounter.objects.create(scope="a", day=f"{today:%Y%m%d}", last=5)
    ChannelCounter.objects.create(scope="a", day=f"{today - timedelta(days=9):%Y%m%d}", last=5)
    assert restored.numbers_skip(100) == 1
    assert sorted(ChannelCounter.objects.values_list("last", flat=True)) == [5, 105]


def test_sums_that_do_not_fit_are_named(world: Any) -> None:
    attempt = trade_pay(app=world.app, order=world.order(amount=500), method="fake_qr")
    Attempt.objects.update(state="succeeded", paid_amount=500, paid_currency="CNY")
    Trade.objects.update(state="paid", paid_amount=500, settled_attempt=attempt)
    call_command("verify_sums")
    Trade.objects.update(refunding_amount=20)
    (one,) = wrong_sums()
    assert (one.number, "under way" in one.words) == (attempt.trade.trade_no, True)
    with pytest.raises(CommandError, match="1 sums are wrong"):
        call_command("verify_sums")
    Trade.objects.update(refunding_amount=0, paid_amount=499)
    assert [one.number for one in wrong_sums()] == [attempt.trade.trade_no]
    assert not Refund.objects.exists()
