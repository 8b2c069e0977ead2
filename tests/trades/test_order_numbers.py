"""Channels whose order numbers have a format of their own, unique per account and day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base import NumberRule
from merchants.api.errors import ChannelShed
from notifications.models import Alert
from tests import factories
from tests.conftest import World
from tests.fakes.fakepay import FakeProvider
from trades.models import Attempt, ChannelCounter
from trades.order_numbers import channel_order_number
from trades.services import trade_pay

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)


@pytest.fixture
def six_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeProvider, "number_rule", lambda self: NumberRule(digits=6))


@pytest.mark.usefixtures("six_digits")
class TestOwnFormat:
    def test_the_channel_sees_its_own_number_and_the_app_both(self, world: World) -> None:
        attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
        assert attempt.channel_order_no == "000001"
        assert attempt.attempt_no != attempt.channel_order_no
        assert list(world.book.payments) == ["000001"]

    def test_numbers_start_again_each_day_in_the_channels_zone(self, world: World) -> None:
        before_midnight = datetime(2026, 3, 1, 15, 59, tzinfo=UTC)
        after_midnight = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
        assert channel_order_number(world.account, "A", NOON) == ("000001", "20260301")
        assert channel_order_number(world.account, "A", before_midnight) == ("000002", "20260301")
        assert channel_order_number(world.account, "A", after_midnight) == ("000001", "20260302")

    def test_accounts_count_for_themselves(self, world: World) -> None:
        other = factories.make_account(world.merchant)
        assert channel_order_number(world.account, "A", NOON)[0] == channel_order_number(other, "A", NOON)[0]

    def test_two_accounts_that_are_one_merchant_at_the_channel_share_their_numbers(self, world: World) -> None:
        twins = [factories.make_account(world.merchant, identity="0010|123456") for _ in range(2)]
        assert [channel_order_number(twin, "A", NOON)[0] for twin in twins] == ["000001", "000002"]

    def test_a_used_up_day_is_a_clear_error(self, world: World) -> None:
        channel_order_number(world.account, "A", NOON)
        ChannelCounter.objects.update(last=999_998)
        assert channel_order_number(world.account, "A", NOON)[0] == "999999"
        with pytest.raises(ChannelShed, match="used up"):
            channel_order_number(world.account, "A", NOON)

    def test_people_are_told_and_nothing_is_left_behind(self, world: World) -> None:
        trade_pay(app=world.app, order=world.order(), method="fake_qr")
        ChannelCounter.objects.update(last=999_999)
        with pytest.raises(ChannelShed, match="used up"):
            trade_pay(app=world.app, order=world.order(), method="fake_qr")
        assert Attempt.objects.count() == 1
        assert Alert.objects.filter(kind="channel", severity="critical").exists()

    def test_no_number_is_given_twice_under_concurrency(
        self, committed_world: World, in_threads: Callable[..., list[Any]]
    ) -> None:
        world = committed_world
        made = in_threads(lambda _i: trade_pay(app=world.app, order=world.order(), method="fake_qr"), 12)
        assert sorted(a.channel_order_no for a in made) == [f"{n:06d}" for n in range(1, 13)]
        assert Attempt.objects.count() == 12


def test_other_channels_see_our_attempt_number(world: World) -> None:
    attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
    assert attempt.channel_order_no == attempt.attempt_no
    assert not ChannelCounter.objects.exists()
