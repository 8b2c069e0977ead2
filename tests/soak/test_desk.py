"""The finance desk of the soak decides by the refund, not by when it looks."""

from __future__ import annotations

from collections import Counter

from deploy.soak.desk import PEOPLE, choice, deciders


def test_one_seed_decides_the_same_in_any_order() -> None:
    waiting = [(5, f"S5-{number}-R1", round_, 0) for number in range(200) for round_ in (1, 2)]
    decided = {key: (choice(*key), deciders(*key, PEOPLE)) for key in waiting}
    again = {key: (choice(*key), deciders(*key, PEOPLE[::-1])) for key in reversed(waiting)}
    assert again == decided
    assert Counter(what for what, _people in decided.values()).keys() == {"approve", "hold", "reject", "change"}
    assert {choice(6, *key[1:]) == decided[key][0] for key in waiting} == {True, False}


def test_two_people_look_at_a_refund_and_none_who_may_not() -> None:
    for number in range(50):
        people = deciders(5, f"S5-{number}-R1", 1, 0, PEOPLE[1:])
        assert len(set(people)) == 2
        assert PEOPLE[0] not in people
