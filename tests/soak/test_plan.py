"""The plan of a soak is a function of its seed, and has something of everything."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from channels.base.discovery import methods, providers
from deploy.soak import plan as planning
from deploy.soak.acting import Order
from deploy.soak.plan import BLOWS, plan
from deploy.soak.setting import AUTOMATIC_UP_TO, ONE_APPROVAL_UP_TO
from sandbox.faults import OPERATIONS, Fault


def test_one_seed_is_one_plan_and_another_is_another() -> None:
    first = list(islice(plan(7), 300))
    assert list(islice(plan(7), 300)) == first
    assert list(islice(plan(7), 100)) == first[:100], "a shorter run does the same, and less"
    assert list(islice(plan(8), 300)) != first


def test_everything_comes_up() -> None:
    items = list(islice(plan(1), 2000))
    assert {i.values["what"] for i in items if i.kind == "blow"} == {name for name, _weight in BLOWS}
    acts = {act.what for i in items for act in i.acts}
    assert acts >= {"gopay", "pay", "refund", "refund_again", "refund_stray", "refund_by_staff", "cancel", "close"}
    assert acts >= {"console", "forge"}
    assert [i.number for i in items] == list(range(1, 2001))


def test_refunds_need_nobody_one_person_and_two() -> None:
    asked = [act.values["amount"] for item in islice(plan(1), 300) for act in item.acts if act.what == "refund"]
    people = Counter((amount > AUTOMATIC_UP_TO) + (amount > ONE_APPROVAL_UP_TO) for amount in asked)
    assert all(people[number] > len(asked) / 10 for number in (0, 1, 2)), people


def test_the_plan_names_only_what_there_is() -> None:
    assert {code for pair in planning.METHODS for code in pair} <= set(methods())
    assert set(planning.CHANNELS) <= set(providers())
    assert set(planning.FAULTS) <= {f.value for f in Fault}
    assert set(planning.OPERATIONS) <= set(OPERATIONS)
    for item in islice(plan(1), 500):
        for act in item.acts:
            assert callable(getattr(Order, f"_{act.what}"))
