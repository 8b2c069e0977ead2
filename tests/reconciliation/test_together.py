"""Several workers and people at once: one case, one decision, one reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from reconciliation import cases
from reconciliation.bills import bill_import
from reconciliation.models import Bill, BillRow, Case, ReconciliationDay
from reconciliation.reconciling import day_match
from tests import factories
from tests.conftest import World
from tests.fakes import bills
from tests.fakes.staff import make_staff
from tests.reconciliation.conftest import DAY, take_in


@pytest.fixture
def strangers(committed_world: World, published: Any) -> World:
    """A day with forty payments that nobody here knows."""
    take_in(committed_world, [bills.line(order_no=f"X{n}", channel_trade_no=f"C{n}") for n in range(40)])
    return committed_world


def test_two_workers_on_one_day_write_each_case_once(strangers: World, in_threads: Callable[..., list[Any]]) -> None:
    day = ReconciliationDay.objects.get()
    found = in_threads(lambda _n: day_match(day_id=day.pk), 4)
    assert [one for one in found if not isinstance(one, int)] == []
    assert sum(found) == 40
    assert Case.objects.count() == 40
    assert Event.objects.filter(type="case.opened").count() == 40


def test_two_readers_leave_each_row_once(strangers: World, in_threads: Callable[..., list[Any]]) -> None:
    Bill.objects.update(state="fetched")
    in_threads(lambda _n: bill_import(bill_id=Bill.objects.get().pk, actor="t"), 3)
    assert BillRow.objects.count() == 40
    assert Bill.objects.get().state == "imported"


def test_two_people_at_the_same_moment_make_one_decision(
    strangers: World, in_threads: Callable[..., list[Any]], settings: Any
) -> None:
    settings.RECONCILIATION_TWO_PEOPLE_ABOVE = 0
    day_match(day_id=ReconciliationDay.objects.get(day=DAY).pk)
    case = Case.objects.select_related("account__merchant", "app").first()
    people = [make_staff("finance", username=name) for name in ("ann", "bob", "cai", "dan")]
    cases.case_close(case=case, user=people[0], outcome="elsewhere", reason="another system")

    def decide(number: int) -> str:
        user: User = people[number]
        try:
            if number == 3:
                cases.case_refuse(case=case, user=user, reason="no")
            else:
                cases.case_confirm(case=case, user=user)
        except TransitionRefused:
            return "refused"
        return "done"

    outcomes = Counter(in_threads(decide, 4))
    assert outcomes == {"done": 1, "refused": 3}
    assert factories.fresh(case).state in ("closed", "open")
    assert factories.fresh(case).closed_by != people[0]
