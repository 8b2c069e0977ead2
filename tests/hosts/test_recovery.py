"""What is told of a server that was brought back to a moment: rows that are missing, rows that should not be there."""

from __future__ import annotations

import pytest

from deploy.hosts.recovery import judge

COPIED, MOMENT = 100.0, 200.0
COMMITTED = {("trades_trade", 1): 50.0, ("trades_trade", 2): 150.0, ("paycenter_event", 7): 300.0,
             ("paycenter_event", 6): MOMENT + 0.01}  # fmt: skip
RIGHT = {("trades_trade", 1), ("trades_trade", 2)}


def test_what_was_committed_until_the_moment_is_right() -> None:
    said, wrong = judge(COMMITTED, RIGHT, COPIED, MOMENT)
    assert wrong == []
    assert said.startswith("2 rows of before the moment (1 since the copy), 1 later")


def test_so_close_to_the_moment_both_are_right() -> None:
    assert judge(COMMITTED, RIGHT | {("paycenter_event", 6)}, COPIED, MOMENT)[1] == []


@pytest.mark.parametrize(
    ("there", "copied", "moment", "said"),
    [(RIGHT - {("trades_trade", 2)}, COPIED, MOMENT, "1 rows committed before the moment are missing"),
     (RIGHT | {("paycenter_event", 7)}, COPIED, MOMENT, "1 rows committed after the moment are there"),
     (RIGHT, 180.0, MOMENT, "nothing was committed between the copy and the moment"),
     (set(COMMITTED), COPIED, 400.0, "nothing was committed after the moment")],
)  # fmt: skip
def test_what_is_wrong_is_said(there: set[tuple[str, int]], copied: float, moment: float, said: str) -> None:
    assert judge(COMMITTED, there, copied, moment)[1] == [f"recovery: {said}"]
