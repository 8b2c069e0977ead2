"""The finance desk: two people who approve, hold, change and reject refunds, through the services the admin calls."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from deploy.soak.record import Record

PAUSE = 0.4  # seconds between two looks at the list
_HOPELESS = 3  # times a refund may come back to be held before it is rejected


class Desk:
    """Decides by the app's number of the refund, so that one seed decides the same. Runs in a thread of its own."""

    def __init__(self, seed: int, record: Record) -> None:
        self._seed, self._record = seed, record
        self._stop = threading.Event()
        self._seen: Counter[str] = Counter()
        self.finishing = False  # from now on everything is decided for good
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        from django.db import DatabaseError, close_old_connections, connection

        while not self._stop.wait(PAUSE):
            try:
                self._look()
            except DatabaseError as exc:  # the server was killed; what was decided stands or is decided again
                self._record.note("desk waits", error=type(exc).__name__)
                connection.close()
                time.sleep(0.5)
            close_old_connections()

    def _look(self) -> None:
        from merchants.models import User
        from refunds.models import Refund

        people = list(User.objects.filter(username__in=["finance", "finance2"]).order_by("username"))
        waiting = Refund.objects.filter(state__in=["pending_approval", "on_hold"]).order_by("id")
        for refund in waiting.exclude(source="external"):
            self._seen[refund.refund_no] += 1
            turn = self._seen[refund.refund_no]
            random = Random(f"desk:{self._seed}:{refund.app_refund_no}:{turn}")
            self._decide(refund, people, random, turn)

    def _decide(self, refund: Any, people: list[Any], random: Random, turn: int) -> None:
        what = self._choice(refund, random, turn)
        for user in random.sample(people, 2) if what in ("approve", "release") else [random.choice(people)]:
            self._act(refund, user, what)

    def _choice(self, refund: Any, random: Random, turn: int) -> str:
        if refund.state == "on_hold":
            stuck = turn > _HOPELESS and refund.sent_at is None and self.finishing
            return "reject" if stuck else "release"
        if self.finishing:
            return "approve"
        return random.choices(("approve", "hold", "reject", "change"), (76, 10, 8, 6))[0]

    def _act(self, refund: Any, user: Any, what: str) -> None:
        from paycenter.errors import TransitionRefused
        from refunds import approvals

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
            return
        if what in ("approve", "hold", "reject"):
            self._record.decision(refund_no=refund.refund_no, user=user.get_username(), decision=what)
