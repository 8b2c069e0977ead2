"""More given back than paid: one case, kept until a person closes it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from paycenter.models import Event
from paycenter.money import Money
from reconciliation import cases
from reconciliation.days import bills_plan
from reconciliation.excess import excesses_record
from reconciliation.models import Case, ReconciliationDay
from reconciliation.reconciling import day_match
from refunds.external import external_refund_record
from tests.conftest import World
from tests.factories import fresh, trade_pay
from tests.fakes import bills
from tests.fakes.staff import make_staff, signed_in
from tests.reconciliation.conftest import DAY, NOON, reconcile, row_of
from trades.models import Attempt
from trades.querying import attempt_query


@pytest.fixture(autouse=True)
def _published(published: Any) -> None:
    """Every test here reads bills."""


def give_back(attempt: Attempt, number: str, amount: int, at: Any = NOON) -> None:
    """The bank's word of money that it gave back."""
    money = Money(amount, "CNY")
    external_refund_record(attempt=attempt, channel_request_no=number, amount=money, actor="t", finished_at=at)


def returned(number: str, amount: int, attempt: Attempt) -> dict[str, Any]:
    return bills.line(kind="refund", refund_no=number, amount=amount, at=NOON.isoformat(),
                      order_no=attempt.channel_order_no, channel_trade_no=attempt.channel_trade_no)  # fmt: skip


def excesses() -> list[tuple[str, int, int, int]]:
    rows = Case.objects.filter(kind="excess").order_by("pk")
    return [(case.attempt_no, case.our_amount, case.channel_amount, case.difference) for case in rows]  # type: ignore[misc]


def the_case() -> Case:
    return Case.objects.get(kind="excess")


def again(world: World) -> int | None:
    return day_match(day_id=ReconciliationDay.objects.get(account=world.account, day=DAY).pk)


def test_rows_of_a_bill_that_give_back_too_much_open_a_case(world: World, paid: Any) -> None:
    attempt, fitting, other = paid(amount=1000), paid(amount=1000), paid(amount=500)
    back = [returned("X1", 600, attempt), returned("X2", 700, attempt), returned("X3", 1000, fitting)]
    assert reconcile(world, [row_of(attempt), row_of(fitting), row_of(other), *back]) == 1
    assert excesses() == [(attempt.attempt_no, 1000, 1300, 300)]
    case = Case.objects.get()
    assert (case.state, case.trade_no, case.day) == ("open", attempt.trade.trade_no, DAY)
    assert Event.objects.filter(type="case.opened", object_id=case.pk).count() == 1


def test_comparing_again_writes_nothing_twice_and_settles_nothing(world: World, paid: Any) -> None:
    attempt = paid(amount=1000)
    give_back(attempt, "X1", 1001)
    assert reconcile(world, [row_of(attempt), returned("X1", 1001, attempt)]) == 1
    assert again(world) == 0
    assert Case.objects.get().state == "open"


def test_a_closed_case_comes_back_only_when_still_more_went(world: World, paid: Any) -> None:
    attempt, ann = paid(amount=1000), make_staff("finance")
    give_back(attempt, "X1", 1001)
    reconcile(world, [row_of(attempt), returned("X1", 1001, attempt)])
    cases.case_close(case=Case.objects.get(), user=ann, outcome="corrected", reason="the bank took it back")
    again(world)
    assert the_case().state == "closed"
    give_back(attempt, "X2", 10)
    again(world)
    assert (the_case().state, excesses()) == ("open", [(attempt.attempt_no, 1000, 1011, 11)])
    give_back(attempt, "X3", 10)
    again(world)
    assert (the_case().state, excesses()[0][3]) == ("open", 21)
    assert Event.objects.filter(type="case.grew").count() == 1


def test_abnormal_money_counts_by_its_own_sum(world: World, paid: Any) -> None:
    order = world.order(amount=800)
    tried = [trade_pay(app=world.app, order=order, method=method) for method in ("fake_qr", "fake_page")]
    for attempt in tried:
        world.book.pay(attempt.channel_order_no, at=NOON)
        attempt_query(attempt_id=attempt.pk, actor="t")
    second = fresh(tried[1])
    give_back(second, "X1", 900)
    excesses_record(world.account, DAY, NOON)
    assert excesses() == [(second.attempt_no, 800, 900, 100)]


def test_what_was_given_back_long_ago_is_not_looked_at_each_day(world: World, paid: Any) -> None:
    attempt = paid(amount=1000)
    give_back(attempt, "X1", 2000)
    assert excesses_record(world.account, date(2026, 12, 20), NOON + timedelta(days=30)) == 0
    assert excesses_record(world.account, DAY, NOON + timedelta(days=6)) == 1


def test_accounts_without_bills_are_looked_at_when_a_day_is_over(
    world: World, paid: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = paid(amount=1000)
    give_back(attempt, "X1", 2000)
    monkeypatch.setattr("reconciliation.days.provider_rule", lambda account: None)
    type(world.account).objects.filter(pk=world.account.pk).update(created_at=NOON - timedelta(days=1))
    bills_plan(now=NOON + timedelta(days=2))
    assert [found[3] for found in excesses()] == [1000]


def test_the_case_shows_the_sums_and_what_to_do(world: World, paid: Any) -> None:
    attempt = paid(amount=1000)
    give_back(attempt, "X1", 1250)
    excesses_record(world.account, DAY, NOON)
    page = signed_in(make_staff("finance")).get(f"/admin/reconciliation/case/{Case.objects.get().pk}/change/")
    text = page.content.decode()
    assert "more given back than paid" in text
    assert "¥12.50" in text
    assert "get the money back" in text
    assert fresh(attempt.trade).external_refunded == 1250


def test_our_own_refunds_count_with_the_banks(world: World, paid: Any) -> None:
    attempt = paid(amount=1000)
    type(attempt.trade).objects.filter(pk=attempt.trade_id).update(refunded_amount=600)
    give_back(attempt, "X1", 600)
    excesses_record(world.account, DAY, NOON)
    assert excesses() == [(attempt.attempt_no, 1000, 1200, 200)]
