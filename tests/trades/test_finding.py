"""An amount and a time find a payment in few days' numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from trades.finding import amount_and_time
from trades.models import Trade

LIST = "/admin/trades/trade/"


def made(world: World, at: datetime, amount: int = 12850, **values: Any) -> Trade:
    """A trade whose number says that it was made at `at`."""
    trade = factories.trade_pay(app=world.app, order=world.order(amount=amount, **values), method="fake_qr").trade
    number = f"P{at.astimezone(UTC):%Y%m%d%H%M%S%f}{trade.trade_no[-7:]}"
    Trade.objects.filter(pk=trade.pk).update(trade_no=number)
    return Trade.objects.get(pk=trade.pk)


def found(term: str) -> set[int]:
    wanted = amount_and_time(term)
    assert wanted is not None, term
    return set(Trade.objects.filter(wanted).values_list("pk", flat=True))


AT = datetime(2026, 10, 7, 7, 30, tzinfo=UTC)  # 15:30 in China


def test_an_amount_on_a_day_or_near_a_time(world: World) -> None:
    right = made(world, AT)
    made(world, AT, amount=12851)
    later = made(world, AT + timedelta(hours=3))
    made(world, AT + timedelta(days=1))
    assert found("128.50 2026-10-07") == found("¥128.5  2026-10-07") == {right.pk, later.pk}
    assert found("128.50 2026-10-07 15:10") == found("CNY 128.50 2026-10-07 16:29") == {right.pk}
    assert found("128.50 2026-10-07 13:00") == found("USD 128.50 2026-10-07") == set()


def test_without_a_day_the_last_days_count(world: World) -> None:
    recent = factories.trade_pay(app=world.app, order=world.order(amount=100000), method="fake_qr").trade
    made(world, timezone.now() - timedelta(days=5), amount=100000)
    assert found("1,000.00") == {recent.pk}


def test_the_midnights_are_local(world: World) -> None:
    last = made(world, datetime(2026, 10, 7, 15, 59, 59, tzinfo=UTC))
    made(world, datetime(2026, 10, 7, 16, 0, tzinfo=UTC))
    assert found("128.50 2026-10-07") == {last.pk}


@pytest.mark.parametrize(
    "term",
    ["4321", "128", "128.505", "XQZ 1.00", "1.00 2026-13-40", "1.00 2026-10-07 25:00", "1.00 1026-10-07", "1..0", ".5",
     "%", "1.00 tomorrow", "9" * 40],
)  # fmt: skip
def test_what_is_no_amount_is_looked_for_as_a_number(term: str) -> None:
    assert amount_and_time(term) is None


def test_the_list_shows_them_within_the_tenant(world: World) -> None:
    trade = made(world, AT)
    term = {"q": "128.50 2026-10-07 15:30"}
    assert trade.trade_no in signed_in(make_staff("service")).get(LIST, term).content.decode()
    own = signed_in(make_staff("merchant", merchant=world.merchant))
    assert trade.trade_no in own.get(LIST, term).content.decode()
    stranger: Client = signed_in(make_staff("merchant", merchant=factories.make_merchant(), username="other"))
    assert trade.trade_no not in stranger.get(LIST, term).content.decode()


@pytest.mark.postgres
def test_the_index_of_numbers_bounds_the_search(world: World) -> None:
    wanted = amount_and_time("128.50 2026-10-07 15:30")
    assert wanted is not None
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = Trade.objects.filter(wanted).order_by("-trade_no").explain()
    condition = next(line for line in plan.splitlines() if "Index Cond" in line)
    assert condition.count("trade_no") == 2, plan
