"""Every planted defect is found by a short history, and the same history breaks nothing without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from django.db import connection

from tests.simulation import defects, run, stage
from tests.simulation.defects import Planted
from tests.simulation.plan import Plan, Step

ORDER = (Step("gopay", ("fake_qr", 1000)),)
PAYS = (Step("payer_pays", (0, 0)),)
NOTIFY = (Step("notify", (0, "true")),)
PAID = (*ORDER, *PAYS, *NOTIFY)
OTHER = (Step("time", (16,)), Step("gopay", ("fake_page", 1000)))
ASK, SEND = Step("ask", (300, False)), Step("sweep", ("send_refunds",))
DELIVER = Step("sweep", ("deliver",))
LOST = Step("fault", ("refund", "lost"))
CONSOLE, TOLD = Step("console", (0, 300)), (Step("tell_refund", (0,)),)
POINTS = 90  # no piece of work here has more


def _walk(before: tuple[Step, ...], mortal: Step, how: str = "killed", near: int = 1) -> Iterator[Plan]:
    """The last step dies at each of its points, first at those near the one where the defect is."""
    for point in sorted(range(1, POINTS), key=lambda point: abs(point - near)):
        yield Plan("walk", "walk", 0.0, (*before, replace(mortal, dies_at=point, how=how)))


def _once(*steps: Step) -> Iterator[Plan]:
    yield Plan("once", "once", 0.0, steps)


def _at_once(*steps: Step) -> Iterator[Plan]:
    """The last two side by side, in many ways."""
    for turns in range(40):
        before = [each for step in steps[:-2] for each in (step, Step("wait"))]
        yield Plan("at once", f"turns {turns}", 0.4, (*before, *steps[-2:]))


PLANS: dict[Callable[[], Planted], Callable[[], Iterator[Plan]]] = {
    defects.second_payment_dropped: lambda: _once(
        Step("gopay", ("fake_page", 1000)), Step("time", (16,)), *ORDER, *PAYS, Step("payer_pays", (1, 0)), *NOTIFY,
        Step("notify", (1, "true"))),
    defects.amount_ignored: lambda: _once(*ORDER, Step("payer_pays", (0, 1)), *NOTIFY),
    defects.notification_written_after_the_commit: lambda: _walk((*ORDER, *PAYS), *NOTIFY, near=15),
    defects.refund_notification_written_after_the_commit: lambda: _walk((*PAID, ASK), SEND, near=48),
    defects.notification_acknowledged_before_the_commit: lambda: _walk((*ORDER, *PAYS), *NOTIFY, "lost"),
    defects.refund_sent_again_under_a_new_number: lambda: _once(*PAID, ASK, LOST, SEND),
    defects.refund_failed_by_a_network_error: lambda: _once(*PAID, ASK, LOST, SEND),
    defects.refund_sent_before_its_intent: lambda: _once(*PAID, ASK, SEND),
    defects.sum_not_reserved: lambda: _once(*PAID, ASK),
    defects.closed_over_a_success: lambda: _once(*ORDER, Step("payer_pays_during", ("close", 0)), Step("close")),
    defects.closed_by_a_network_error: lambda: _once(*ORDER, Step("fault", ("query", "silent")), Step("close")),
    defects.superseded_attempt_forgotten: lambda: _once(*ORDER, *OTHER),
    defects.attempt_forgotten_after_a_crash: lambda: _walk((), *ORDER, near=13),
    defects.refund_forgotten_after_a_crash: lambda: _walk((*PAID, ASK), SEND, near=36),
    defects.delivered_without_an_acknowledgement: lambda: _once(*PAID, Step("receiver", (False,)), DELIVER),
    defects.words_changed_on_the_way: lambda: _once(*PAID, DELIVER),
    defects.own_refunds_taken_for_others: lambda: _once(
        *PAID, ASK, SEND, Step("notify", (0, "hint")), Step("sweep", ("query",))),
    defects.early_refund_left_waiting: lambda: _once(*ORDER, *PAYS, CONSOLE, *TOLD, *NOTIFY),
    defects.refund_elsewhere_ignored: lambda: _once(*PAID, CONSOLE, *TOLD),
    defects.sum_of_refunds_ignored: lambda: _once(*PAID, CONSOLE),
    defects.automatic_for_everybody: lambda: _once(*PAID, Step("ask", (1000, False)), SEND),
    defects.sum_checked_without_a_lock: lambda: _at_once(*PAID, *(Step("ask", (700, False)),) * 2),
}  # fmt: skip


@pytest.fixture
def played(transactional_db: None) -> Iterator[stage.Stage]:
    with stage.opened() as opened:
        yield opened


@pytest.mark.parametrize("defect", PLANS, ids=lambda defect: defect.__name__)
def test_a_planted_defect_is_found(played: stage.Stage, defect: Callable[[], Planted]) -> None:
    if defect in defects.ON_POSTGRESQL and connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: on SQLite nobody is overtaken inside a transaction")
    with defect():
        found = next(((plan, broken) for plan in PLANS[defect]() if (broken := run.play(played, plan))), None)
    assert found is not None, "no history noticed it"
    assert run.play(played, found[0]) is None, f"found without the defect as well: {found}"


def test_every_defect_has_a_history() -> None:
    assert set(PLANS) == {*defects.EVERYWHERE, *defects.ON_POSTGRESQL}
