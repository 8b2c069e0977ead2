"""The finance desk: people who ask for, approve, hold, change and reject refunds, through the admin's own services."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from random import Random
from typing import Any

from deploy.soak.record import Record

PAUSE = 0.4  # seconds between two looks at the list
# One may have asked for a refund and another changed it: two are left to approve.
PEOPLE = ("finance", "finance2", "finance3", "finance4")
_HOPELESS = 3  # times a refund that was not sent may refuse to go on before it is rejected, in the end


def choice(seed: int, name: str, round_: int, refused: int) -> str:
    """What is decided on a refund that waits, by its name, its round, and how often a decision was refused."""
    random = Random(f"desk:{seed}:{name}:{round_}:{refused}")
    return random.choices(("approve", "hold", "reject", "change"), (76, 10, 8, 6))[0]


def deciders(seed: int, name: str, round_: int, refused: int, able: Sequence[str]) -> list[str]:
    """Who looks at it in this round, in this order, of those who may."""
    random = Random(f"people:{seed}:{name}:{round_}:{refused}")
    return random.sample(sorted(able), min(2, len(able)))


class Desk:
    """Takes one decision at a look, so that what needs two people is killed between them. Runs in a thread of its own.

    What is decided, and by whom, follows from the refund: one seed decides the same whenever it looks.
    """

    def __init__(self, seed: int, record: Record) -> None:
        self._seed, self._record = seed, record
        self._stop = threading.Event()
        self._refused: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._wishes: SimpleQueue[tuple[str, str, int]] = SimpleQueue()
        self.finishing = False  # from now on everything is decided for good
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)

    def ask(self, order: str, trade_no: str, amount: int) -> None:
        """Have one of the staff ask for a refund, when they come to it."""
        self._wishes.put((order, trade_no, amount))

    def _run(self) -> None:
        from django.db import DatabaseError, InterfaceError, close_old_connections, connection

        while not self._stop.wait(PAUSE):
            try:
                self._ask()
                self._look()
            except (DatabaseError, InterfaceError) as exc:  # it was killed; what stands is seen at the next look
                self._record.note("desk waits", error=type(exc).__name__)
                connection.close()
                time.sleep(0.5)
            except Exception as exc:
                self._record.trouble(exc)
            close_old_connections()

    # -- asking

    def _ask(self) -> None:
        from merchants.models import User
        from paycenter.errors import ApiError, TransitionRefused
        from refunds.services import refund_request_by_staff
        from trades.models import Trade

        while True:
            try:
                order, trade_no, amount = self._wishes.get_nowait()
            except Empty:
                return
            user = User.objects.get(username=Random(f"asker:{self._seed}:{order}").choice(PEOPLE))
            trade = Trade.objects.select_related("app", "merchant").get(trade_no=trade_no)
            try:
                made = refund_request_by_staff(trade=trade, abnormal=None, amount=amount, reason="soak", user=user)
            except (TransitionRefused, ApiError) as exc:
                self._record.note("desk may not ask", order=order, trade_no=trade_no, error=str(exc)[:120])
            else:
                self._record.note("desk asked", order=order, refund_no=made.refund_no, user=user.get_username())

    # -- deciding

    def _look(self) -> None:
        from refunds.models import Refund

        rows = Refund.objects.select_related("trade", "requested_by", "changed_by")
        for refund in rows.filter(state__in=["pending_approval", "on_hold"]).exclude(source="external").order_by("id"):
            self._decide(refund)

    def _decide(self, refund: Any) -> None:
        number, refused = refund.refund_no, self._refused[refund.refund_no]
        key = (self._seed, _name(refund), refund.round, refused)
        what = self._choice(refund, key)
        own = {user.get_username() for user in (refund.requested_by, refund.changed_by) if user is not None}
        people = deciders(*key, [name for name in PEOPLE if name not in own])
        if what == "approve":
            given = set(refund.approvals.filter(round=refund.round, decision="approve", amount=refund.amount)
                        .values_list("approver__username", flat=True))  # fmt: skip
            people = [name for name in people if name not in given]
        if not people or not self._act(refund, people[0], what):
            self._refused[number] += 1

    def _choice(self, refund: Any, key: tuple[int, str, int, int]) -> str:
        number = refund.refund_no
        if self.finishing:
            self._held[number] += refund.state == "on_hold"
            stuck = max(self._refused[number], self._held[number]) > _HOPELESS
            if stuck and refund.sent_at is None:
                return "reject"
        if refund.state == "on_hold":
            return "release"
        return "approve" if self.finishing else choice(*key)

    def _act(self, refund: Any, person: str, what: str) -> bool:
        """Whether it was possible."""
        from merchants.models import User
        from paycenter.errors import TransitionRefused
        from refunds import approvals

        user = User.objects.get(username=person)
        acts: dict[str, Callable[..., Any]] = {
            "approve": approvals.refund_approve, "hold": approvals.refund_hold, "reject": approvals.refund_reject,
            "release": approvals.refund_release,
        }  # fmt: skip
        try:
            if what == "change":
                amount = max(refund.amount - 1, 1)
                approvals.refund_amount_change(refund=refund, amount=amount, user=user, reason="soak")
            else:
                acts[what](refund=refund, user=user, comment="soak")
        except TransitionRefused as exc:
            self._record.note("desk refused", refund_no=refund.refund_no, decision=what, error=str(exc)[:120])
            return False
        if what in ("approve", "hold", "reject"):
            self._record.decision(refund_no=refund.refund_no, user=person, decision=what)
        return True


def _name(refund: Any) -> str:
    """What apps call it, which one seed calls alike in every run."""
    return refund.app_refund_no or f"{refund.trade.app_order_no}:{refund.source}:{refund.requested_amount}"
