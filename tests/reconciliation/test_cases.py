"""What people do with cases: two people above an amount, reasons, history."""

from __future__ import annotations

from typing import Any

import pytest

from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from reconciliation import cases
from reconciliation.models import Case
from reconciliation.reconciling import day_match
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff
from tests.reconciliation.conftest import reconcile, row_of


@pytest.fixture
def ann(db: None) -> User:
    return make_staff("finance", username="ann")


@pytest.fixture
def bob(db: None) -> User:
    return make_staff("finance", username="bob")


@pytest.fixture
def case(world: World, published: Any, paid: Any) -> Case:
    """One fen is missing."""
    reconcile(world, [row_of(paid(), amount=1233)])
    return Case.objects.select_related("account__merchant", "app").get()


@pytest.fixture
def large(case: Case, settings: Any) -> Case:
    settings.RECONCILIATION_TWO_PEOPLE_ABOVE = 0
    return case


def history(case: Case) -> list[tuple[str, str, str]]:
    events = Event.objects.filter(object_type="case", object_id=case.pk).order_by("pk")
    return list(events.values_list("type", "actor", "reason"))


def test_a_small_difference_is_closed_by_one_person_with_a_reason(case: Case, ann: User) -> None:
    cases.case_take(case=case, user=ann)
    cases.case_close(case=case, user=ann, outcome="accepted", reason="one fen")
    found = fresh(case)
    assert (found.state, found.outcome, found.reason, found.owner, found.closed_by) == (
        "closed", "accepted", "one fen", ann, ann,
    )  # fmt: skip
    assert history(case) == [
        ("case.opened", "system:reconciliation", ""), ("case.taken", "staff:ann", ""),
        ("case.closed", "staff:ann", "one fen"),
    ]  # fmt: skip


@pytest.mark.parametrize(("outcome", "reason"), [("accepted", "  "), ("nonsense", "why not"), ("", "x")])
def test_closing_needs_an_outcome_and_a_reason(case: Case, ann: User, outcome: str, reason: str) -> None:
    with pytest.raises(ValueError, match="outcome and a reason"):
        cases.case_close(case=case, user=ann, outcome=outcome, reason=reason)
    assert fresh(case).state == "open"


def test_a_large_difference_needs_another_person(large: Case, ann: User, bob: User) -> None:
    cases.case_close(case=large, user=ann, outcome="corrected", reason="credited")
    assert fresh(large).state == "closing"
    with pytest.raises(TransitionRefused):
        cases.case_confirm(case=large, user=ann)
    with pytest.raises(TransitionRefused):
        cases.case_close(case=large, user=ann, outcome="corrected", reason="again")
    cases.case_confirm(case=large, user=bob)
    found = fresh(large)
    assert (found.state, found.proposed_by, found.closed_by) == ("closed", ann, bob)


def test_what_somebody_proposed_who_may_not_any_more_is_not_closed(large: Case, ann: User, bob: User) -> None:
    cases.case_close(case=large, user=ann, outcome="corrected", reason="credited")
    User.objects.filter(pk=ann.pk).update(role="service")
    with pytest.raises(TransitionRefused):
        cases.case_confirm(case=fresh(large), user=bob)
    assert fresh(large).state == "closing"


def test_lowering_the_limit_does_not_let_the_proposer_close_alone(large: Case, ann: User, settings: Any) -> None:
    cases.case_close(case=large, user=ann, outcome="corrected", reason="credited")
    settings.RECONCILIATION_TWO_PEOPLE_ABOVE = 10**9
    with pytest.raises(TransitionRefused):
        cases.case_close(case=large, user=ann, outcome="corrected", reason="alone")


def test_the_second_person_may_refuse(large: Case, ann: User, bob: User) -> None:
    cases.case_close(case=large, user=ann, outcome="corrected", reason="credited")
    cases.case_refuse(case=large, user=bob, reason="where is the proof?")
    assert (fresh(large).state, fresh(large).proposed_by) == ("open", None)
    with pytest.raises(TransitionRefused):
        cases.case_confirm(case=large, user=bob)


def test_a_closed_case_can_be_opened_again(case: Case, ann: User, bob: User) -> None:
    cases.case_close(case=case, user=ann, outcome="accepted", reason="one fen")
    cases.case_reopen(case=case, user=bob, reason="it was two")
    assert (fresh(case).state, fresh(case).outcome, fresh(case).closed_by) == ("open", "", None)
    assert history(case)[-1] == ("case.reopened", "staff:bob", "it was two")


def test_a_closed_case_stays_closed_when_the_day_is_compared_again(case: Case, ann: User) -> None:
    from reconciliation.models import ReconciliationDay

    cases.case_close(case=case, user=ann, outcome="accepted", reason="one fen")
    assert day_match(day_id=ReconciliationDay.objects.get().pk) == 0
    assert fresh(case).state == "closed"


def test_a_finished_case_has_no_new_owner_and_is_not_asked_about(case: Case, ann: User) -> None:
    cases.case_close(case=case, user=ann, outcome="accepted", reason="one fen")
    for act in (cases.case_take, cases.case_ask_now):
        with pytest.raises(TransitionRefused):
            act(case=case, user=ann)
    assert fresh(case).next_ask_at is None


def test_events_name_the_trade(case: Case) -> None:
    event = Event.objects.get(type="case.opened")
    assert event.trade_no == case.trade_no != ""
    assert event.app_id == case.app.app_id  # type: ignore[union-attr]
    assert event.detail == {"kind": "amount", "difference": 1, "currency": "CNY"}
    assert not event.public
