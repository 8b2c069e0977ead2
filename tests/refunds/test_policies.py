"""Changing a refund policy: one asks, another confirms, and what applies is what both saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from merchants.changes import change_confirm, change_reject
from merchants.models import ChangeRequest, User
from paycenter.errors import TransitionRefused
from refunds.models import RefundPolicy
from refunds.policies import policy_change_request, policy_for, policy_values
from tests.conftest import World
from tests.factories import fresh

Staff = Callable[..., User]


def ask(world: World, user: User, currency: str = "", **changed: Any) -> ChangeRequest:
    values = {**policy_values(policy_for(world.app, world.merchant, currency)), **changed}
    return policy_change_request(
        app=world.app, merchant=world.merchant, currency=currency, values=values, user=user, reason="fewer small ones"
    )


def test_nothing_changes_before_somebody_else_confirms(world: World, policy: RefundPolicy, staff: Staff) -> None:
    change = ask(world, staff("a"), automatic_up_to=2500, daily_ceiling=90_000)
    assert (change.before, change.after) == (
        {"automatic_up_to": 1000, "daily_ceiling": None}, {"automatic_up_to": 2500, "daily_ceiling": 90_000},
    )  # fmt: skip
    assert fresh(policy).automatic_up_to == 1000
    with pytest.raises(TransitionRefused):
        change_confirm(change=change, user=change.requested_by)
    assert fresh(policy).automatic_up_to == 1000
    change_confirm(change=change, user=staff("b"))
    assert (fresh(policy).automatic_up_to, fresh(policy).daily_ceiling) == (2500, 90_000)
    assert list(policy.history.values_list("automatic_up_to", "history_change_reason")) == [
        (2500, "fewer small ones"), (1000, None),
    ]  # fmt: skip


def test_a_rejected_change_changes_nothing(world: World, policy: RefundPolicy, staff: Staff) -> None:
    change_reject(change=ask(world, staff("a"), automatic_up_to=2500), user=staff("b"), comment="no")
    assert fresh(policy).automatic_up_to == 1000


def test_the_first_policy_of_a_pair_is_made_on_confirmation(world: World, staff: Staff) -> None:
    change = ask(world, staff("a"), automatic_up_to=500)
    assert not RefundPolicy.objects.exists()
    change_confirm(change=change, user=staff("b"))
    assert policy_for(world.app, world.merchant, "JPY").automatic_up_to == 500


def test_a_currencys_first_policy_is_compared_with_what_applied(
    world: World, policy: RefundPolicy, staff: Staff
) -> None:
    change = ask(world, staff("a"), currency="JPY", automatic_up_to=5000)
    assert change.before["automatic_up_to"] == 1000
    change_confirm(change=change, user=staff("b"))
    assert policy_for(world.app, world.merchant, "JPY").automatic_up_to == 5000
    assert policy_for(world.app, world.merchant, "CNY").automatic_up_to == 1000


def test_what_applied_may_not_change_under_a_request(world: World, policy: RefundPolicy, staff: Staff) -> None:
    asker, second = staff("a"), staff("b")
    own = ask(world, asker, currency="JPY", automatic_up_to=5000)
    change_confirm(change=ask(world, asker, automatic_up_to=2000), user=second)
    with pytest.raises(TransitionRefused):
        change_confirm(change=own, user=second)
    assert not RefundPolicy.objects.filter(currency="JPY").exists()


def test_one_request_at_a_time_for_each_policy(world: World, policy: RefundPolicy, staff: Staff) -> None:
    ask(world, staff("a"), automatic_up_to=1)
    with pytest.raises(TransitionRefused):
        ask(world, staff("b"), automatic_up_to=2)
    ask(world, staff("c"), currency="JPY", automatic_up_to=2)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"one_approval_up_to": 999}, {"automatic_up_to": -1}, {"one_approval_up_to": 10**11 + 1},
     {"daily_ceiling": -1}, {"approver_roles": []}, {"approver_roles": ["service"]},
     {"approver_roles": ["finance", "merchant"]}],
)  # fmt: skip
def test_what_changes_nothing_or_contradicts_itself_is_refused(
    world: World, policy: RefundPolicy, staff: Staff, wrong: dict[str, Any]
) -> None:
    with pytest.raises(TransitionRefused):
        ask(world, staff("a"), **wrong)
    assert not ChangeRequest.objects.exists()


@pytest.mark.parametrize("role", ["service", "auditor", "merchant", "app"])
def test_only_some_roles_ask(world: World, policy: RefundPolicy, staff: Staff, role: str) -> None:
    tenant = {"merchant": {"merchant": world.merchant}, "app": {"app": world.app}}.get(role, {})
    with pytest.raises(TransitionRefused):
        ask(world, staff("a", role, **tenant), automatic_up_to=2500)
    assert not ChangeRequest.objects.exists()
