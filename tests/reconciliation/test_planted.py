"""Random days with differences put into them: the database finds exactly the plan, and so does the plain matcher."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciliation import matching
from reconciliation.fees import Rate, Rounding, fee_sql
from reconciliation.models import BillRow, Case, FeeRate, ReconciliationDay
from reconciliation.rules import match
from reconciliation.settlement.rates import rates_of
from reconciliation.sides import Payments
from tests.conftest import World
from tests.reconciliation.conftest import DAY, reconcile, take_in
from tests.reconciliation.planted import KINDS, PPM, plant
from trades.models import Attempt

PROPERTY: dict[str, Any] = {
    "deadline": None, "suppress_health_check": list(HealthCheck), "database": None, "derandomize": True,
}  # fmt: skip
wishes = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 10**7)), max_size=40)


def whole_match(world: World) -> dict[str, str]:
    """The plain matcher over everything there is."""
    side, rates = Payments(), rates_of(world.account, DAY)
    ours = side.of_ids(list(Attempt.objects.values_list("pk", flat=True)), rates)
    rows = matching.theirs_of(BillRow.objects.all())
    by_own = {f"#{one.channel_trade_no}": one.key for one in ours.values()}
    named = [type(row)(**{**_fields(row), "key": by_own.get(row.key, row.key)}) for row in rows]
    return {key: kind.value for key, kind in match(_looked_at(ours.values(), named), named).items()}


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def _looked_at(ours: Any, rows: Any) -> list[Any]:
    """What the day is about: its own payments, and those that a row of its bill names."""
    names = {row.key for row in rows}
    return [one for one in ours if one.key in names or one.at.date() == DAY]


def paid_by_the_day(world: World) -> dict[str, int]:
    """What the comparing says was paid here."""
    day = ReconciliationDay.objects.get(account=world.account, day=DAY)
    return {currency: sums["paid"] for currency, sums in day.ours.items() if sums["paid"]}


def paid_here() -> dict[str, int]:
    """The same, added up the plain way."""
    rows = Attempt.objects.filter(state="succeeded", paid_at__date=DAY).values_list("paid_currency")
    return dict(rows.annotate(total=Sum("paid_amount")).order_by())


@pytest.mark.parametrize("page", [3, 20_000])
def test_the_result_always_equals_the_plan(world: World, published: Any, monkeypatch: Any, page: int) -> None:
    monkeypatch.setattr(matching, "PAGE", page)
    FeeRate.objects.create(account=world.account, method="", from_day=DAY, ppm=PPM)

    @settings(**PROPERTY, max_examples=30)
    @given(wishes)
    def run(wished: list[tuple[str, int]]) -> None:
        with transaction.atomic():
            plan = plant(world, wished)
            take_in(world, plan.earlier, DAY - timedelta(days=1), replace=True)
            reconcile(world, plan.rows)
            assert dict(Case.objects.values_list("key", "kind")) == plan.expected
            assert whole_match(world) == plan.expected
            assert paid_here() == paid_by_the_day(world)
            transaction.set_rollback(True)

    run()


@settings(**PROPERTY, max_examples=300)
@given(
    amount=st.integers(1, 10**11), ppm=st.integers(0, 10**6), rounding=st.sampled_from(Rounding),
    fixed=st.integers(0, 500), least=st.integers(0, 500), most=st.none() | st.integers(0, 10**6),
)  # fmt: skip
@pytest.mark.django_db
def test_fees_are_the_same_in_the_database_and_in_python(
    amount: int, ppm: int, rounding: Rounding, fixed: int, least: int, most: int | None
) -> None:
    rate = Rate(ppm=ppm, rounding=rounding, fixed=fixed, least=least, most=most)
    fee, values = fee_sql("amount", "method", {"m": rate})
    money = "money(amount, method) AS (VALUES (CAST(%s AS bigint), CAST(%s AS varchar(32))), (1, 'other'))"
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {money} SELECT {fee} FROM money", [amount, "m", *values])
        assert cursor.fetchall() == [(rate.fee(amount),), (None,)]


@pytest.mark.parametrize(
    ("rounding", "fee"), [("half_up", 3), ("half_even", 2), ("up", 3), ("down", 2)]
)  # fmt: skip
def test_half_a_fen_is_rounded_as_the_channel_does(rounding: str, fee: int) -> None:
    assert Rate(ppm=5000, rounding=Rounding(rounding)).fee(500) == fee  # 2.5 fen


def test_fees_have_a_floor_and_a_ceiling() -> None:
    rate = Rate(ppm=6000, fixed=2, least=10, most=50)
    assert [rate.fee(amount) for amount in (100, 5000, 10**6)] == [10, 32, 50]
