"""Histories that once went wrong, and corners that chance seldom finds; they break nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation import run, stage
from tests.simulation.plan import Plan, Step
from tests.simulation.test_planted import ASK, LOST, PAID, SEND

QR, PAGE = Step("gopay", ("fake_qr", 700)), Step("gopay", ("fake_page", 700))
LATER = Step("time", (16,))
REFUSED = Step("fault", ("refund", "refused"))
HISTORIES = {
    "a page nobody opened, then paid another way, and closed": (
        PAGE, LATER, QR, Step("payer_pays", (1, 0)), Step("close")),
    "three attempts, the last one paid while it is closed": (
        PAGE, LATER, Step("gopay", ("fake_page", 1000)), LATER, QR, Step("payer_pays", (2, 0)), LATER, Step("close")),
    "killed with the channel's refund in hand, and the console gives back as well": (
        *PAID, ASK, Step("sweep", ("send_refunds",), dies_at=40, how="killed"), Step("console", (0, 300)),
        Step("time", (40,)), Step("sweep", ("query_refunds",)), Step("notify", (0, "hint")), Step("sweep", ("query",))),
    "refused, sent again, held, given up, and asked for once more": (
        *PAID, Step("ask", (700, False)), Step("decide", ("approve", 0, 0)), REFUSED, SEND, Step("again", (0, False)),
        Step("decide", ("hold", 0, 1)), Step("again", (0, True)), Step("ask", (1000, False))),
    "lost on the way, and the console empties the payment meanwhile": (
        *PAID, ASK, Step("console", (0, 1000)), LOST, SEND, Step("time", (40,)), Step("sweep", ("query_refunds",))),
    "made larger by a clerk, who may not decide on it, and held for what the console gave back": (
        *PAID, Step("console", (0, 300)), Step("ask", (700, False)), Step("change_amount", (0, 1000))),
}  # fmt: skip


@pytest.fixture
def played(transactional_db: None) -> Iterator[stage.Stage]:
    with stage.opened() as opened:
        yield opened


@pytest.mark.parametrize("name", HISTORIES)
def test_a_known_history_breaks_nothing(played: stage.Stage, name: str) -> None:
    assert run.play(played, Plan(name, name, 0.0, HISTORIES[name])) is None
