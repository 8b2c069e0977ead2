"""Playing one plan, and letting everything come to its end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from django.db import OperationalError

from channels.base import InboundRequest, PaymentState, RefundResult
from channels.base import RefundState as Word
from merchants.models import User
from notifications import deliveries
from paycenter import compiled
from paycenter.errors import ApiError, InboundRefused, TransitionRefused, UnknownOutcome
from paycenter.money import Money
from paycenter.sequencer import sequence_events
from refunds.approvals import (
    RELEASE,
    refund_amount_change,
    refund_approve,
    refund_hold,
    refund_reject,
    refund_release,
    why_not,
)
from refunds.models import Decision, Refund
from refunds.retrying import refund_give_up, refund_send_again
from refunds.services import RefundRequest, refund_cancel, refund_request_by_app
from refunds.sweeps import apply_policies_due, book_early_due, expire_due
from refunds.sweeps import query_due as query_refunds_due
from refunds.sweeps import send_due as send_refunds_due
from tests.simulation.plan import Plan, Step
from tests.simulation.rules import Broken, Rules
from tests.simulation.scheduler import Died, Process, Stuck
from tests.simulation.stage import Stage
from trades import shedding
from trades.closing import trade_close
from trades.inbound import notify_receive, return_receive
from trades.locking import load_attempt
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_pay
from trades.sweeps import close_due, close_superseded, query_due

NUMBER = "O1"
# What a process may end with: an answer like any other, or the end that the plan has for it.
_ENDINGS = (ApiError, TransitionRefused, InboundRefused, Died, OperationalError)
_SETTLING_STEPS = 60
# What a history reads itself; each is one statement, as any process makes them.
_TRADE = compiled.Select(lambda number: Trade.objects.filter(app_order_no=number).order_by("pk")[:1], number=str)
_CLOSED = compiled.Select(lambda pk: Trade.objects.only("pk").filter(pk=pk, closed_at__isnull=False), pk=int)
_ATTEMPT = compiled.Select(lambda number: Attempt.objects.filter(attempt_no=number), number=str)
_SUBMITTED = compiled.Select(lambda pk: Attempt.objects.only("pk").filter(pk=pk, submitted_at__isnull=False), pk=int)
_BOOKED = compiled.Select(
    lambda number: Attempt.objects.only("pk").filter(attempt_no=number, state="succeeded"), number=str
)
_CLAIMED = compiled.Select(
    lambda number: AbnormalPayment.objects.only("pk").filter(attempt__attempt_no=number), number=str
)
_OURS = compiled.Select(lambda: Refund.objects.exclude(source="external").order_by("id"))
_REFUND = compiled.Select(lambda pk: Refund.objects.filter(pk=pk), pk=int)
_ASKED = compiled.Select(lambda number: Refund.objects.only("pk").filter(refund_no=number), number=str)


class History:
    """One order, and everything that happens to it. `play` answers what was broken, or None."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self.stage, self.plan, self.book = stage, plan, stage.world.book
        self.rules = Rules(stage)
        self.asked = self.consoles = self.steps = 0
        self.heard: set[str] = set()  # refunds from the channel's console that the center was told of
        self._checked = -1

    def play(self) -> str | None:
        self.stage.fresh()
        self.stage.scheduler.begin(self.plan.turns, self.plan.eagerness)
        try:
            for step in self.plan.steps:
                self._do(step)
            self._drain()
            self._settle()
            untold = self.rules.at_the_end(frozenset(self.heard))
            if untold:
                self._tell_sums(untold)
        except (Broken, Stuck) as exc:
            return f"{type(exc).__name__}: {exc}"
        finally:
            self._abandon()
        return None

    # -- running

    def _do(self, step: Step) -> None:
        self.steps += 1
        at_once = getattr(self, f"now_{step.name}", None)
        if at_once is not None:
            at_once(*step.arguments)
        else:
            while not self.stage.scheduler.has_room:
                self._turn()
            self._start(str(step), self._work(step), step)
        if self.plan.eagerness == 0:
            self._drain()
        else:
            for _ in range(3):
                self._turn()
        self._check()

    def _start(self, name: str, work: Callable[[], Any], step: Step | None = None) -> Process:
        process = Process(name, work, step.dies_at if step else None, step.how if step else "")
        self.stage.scheduler.spawn(process)
        self._processes = [*getattr(self, "_processes", []), process]
        return process

    def _turn(self) -> None:
        scheduler = self.stage.scheduler
        if not scheduler.step():
            wake = scheduler.next_wake()
            if wake is not None:
                self.stage.clock.pass_(max(wake - self.stage.clock.passed, 0) + 0.001)
        self._judge()

    def _drain(self) -> None:
        while self.stage.scheduler.busy:
            self._turn()
            self._check()

    def _abandon(self) -> None:
        """After a finding: let everybody run out without looking."""
        with contextlib.suppress(Stuck):
            self.stage.scheduler.drain()

    def _judge(self) -> None:
        """What ended in a way that no process may end."""
        ended = [p for p in getattr(self, "_processes", []) if p.error is not None]
        for process in ended:
            self._processes.remove(process)
            if not isinstance(process.error, _ENDINGS) or _deadlocked(process.error):
                raise Broken(f"{process.name} ended with {process.error!r}")

    def _check(self) -> None:
        if self.stage.trouble:
            raise Broken(self.stage.trouble[0])
        if self._checked != self.stage.points.commits:
            self._checked = self.stage.points.commits
            self.rules.now()

    # -- what processes do

    def _work(self, step: Step) -> Callable[[], Any]:
        act = getattr(self, f"do_{step.name}")
        return lambda: act(*step.arguments)

    def do_gopay(self, method: str, amount: int) -> None:
        order = self.stage.world.order(app_order_no=NUMBER, amount=amount)
        attempt = trade_pay(app=self.stage.world.app, order=order, method=method)
        self.rules.answered("gopay", _SUBMITTED.first(pk=attempt.pk) is not None)

    def do_notify(self, index: int, kind: str) -> None:
        payment = self._payment(index)
        if payment is None or (payment.state != PaymentState.PAID and kind in ("true", "hint")):
            return
        changed: dict[str, Any] = {
            "wrong_amount": {"amount": payment.amount.minor + 1}, "forged": {"secret": "guessed"},
            "hint": {"hint": True},
        }.get(kind, {})  # fmt: skip
        self._tell(payment.order_no, self.book.notification(payment.order_no, **changed), books=kind == "true")

    def _tell(self, order_no: str, body: dict[str, Any], *, books: bool) -> bool:
        attempt = load_attempt(_ATTEMPT.get(number=order_no).pk)
        request = InboundRequest(method="POST", path="/notify", body=json.dumps(body).encode())
        reply = notify_receive(attempt=attempt, request=request)
        if reply.status == 200 and books:
            # One that names another amount than was asked for is kept as a claim, and the channel is asked.
            stands = _BOOKED.first(number=order_no) or _CLAIMED.first(number=order_no)
            self.rules.answered("notification", stands is not None)
        return reply.status == 200

    def do_tell_refund(self, index: int) -> None:
        given = list(self.book.refunds.values())
        if index < len(given):
            number = given[index].refund_no
            if self._tell(given[index].order_no, self.book.refund_notice(number), books=False):
                self.heard.add(number)

    def do_come_back(self, index: int) -> None:
        payment = self._payment(index)
        if payment is not None:
            attempt = load_attempt(_ATTEMPT.get(number=payment.order_no).pk)
            return_receive(attempt=attempt, request=InboundRequest(method="GET", path="/return"))

    def do_close(self) -> None:
        trade = _TRADE.first(number=NUMBER)
        if trade is not None and trade_close(trade=trade, actor="app").state == "closed":
            self.rules.answered("close", _CLOSED.first(pk=trade.pk) is not None)

    def do_ask(self, amount: int, again: bool) -> None:
        self.asked += not again
        self._ask(amount, f"R{self.asked}")

    def do_ask_for_stray(self, amount: int) -> None:
        stray = AbnormalPayment.objects.filter(trade__app_order_no=NUMBER).select_related("attempt").first()
        if stray is not None:
            self.asked += 1
            self._ask(amount, f"R{self.asked}", attempt_no=stray.attempt.attempt_no)

    def _ask(self, amount: int, number: str, **values: Any) -> None:
        trade = _TRADE.first(number=NUMBER)
        if trade is None:
            return
        request = RefundRequest(
            merchant_no=self.stage.world.merchant.merchant_no, trade_no=trade.trade_no, amount=amount, reason="x",
            app_refund_no=number, **values,
        )  # fmt: skip
        refund = refund_request_by_app(app=self.stage.world.app, request=request)
        self.rules.answered("refund", _ASKED.first(number=refund.refund_no) is not None)

    def do_decide(self, what: str, index: int, clerk: int) -> None:
        acts = {"approve": refund_approve, "hold": refund_hold, "release": refund_release, "reject": refund_reject}
        refund = self._refund(index)
        if refund is not None:
            acts[what](refund=refund, user=self.stage.clerks[clerk], comment="x")

    def do_change_amount(self, index: int, amount: int) -> None:
        refund = self._refund(index)
        if refund is not None:
            refund_amount_change(refund=refund, amount=amount, user=self.stage.clerks[0], reason="x")

    def do_cancel(self, index: int) -> None:
        refund = self._refund(index)
        if refund is not None:
            refund_cancel(refund=refund, actor="app")

    def do_again(self, index: int, give_up: bool) -> None:
        refund = self._refund(index)
        if refund is not None:
            act = refund_give_up if give_up else refund_send_again
            act(refund=refund, user=self.stage.clerks[1], reason="x")

    def do_sweep(self, name: str) -> None:
        _SWEEPS[name](self)

    def deliver(self) -> None:
        """The outbox's own claim, sending and writing, one message after the other."""
        outcomes = []
        for claim in deliveries.claim(limit=10, room={}):
            sending = deliveries.send(claim, self.stage.receiver)  # type: ignore[arg-type]
            try:
                sending.send(None)
            except StopIteration as ended:
                outcomes.append(ended.value)
        deliveries.write(outcomes)

    # -- what happens at once, outside the center

    def now_payer_pays(self, index: int, too_much: int) -> None:
        """What the channel would still let them pay."""
        payment = self._payment(index)
        if payment is None or payment.state != PaymentState.UNPAID:
            return
        attempt = _ATTEMPT.get(number=payment.order_no)
        if attempt.expire_at > self.stage.clock.now():
            amount = Money(payment.amount.minor + too_much, payment.amount.currency)
            self.book.pay(payment.order_no, amount=amount)

    def now_payer_pays_during(self, operation: str, index: int) -> None:
        """They pay at the very moment the center next asks the channel for something."""

        def pay(_about: object) -> None:
            self.book.hooks.pop(operation, None)
            self.now_payer_pays(index, 0)

        self.book.hooks[operation] = pay

    def now_console(self, index: int, amount: int) -> None:
        """Somebody gives money back in the channel's own console: told by the payment's sum only."""
        payment = self._payment(index)
        if payment is not None and payment.state == PaymentState.PAID:
            self.consoles += 1
            self.book.give_back(payment.order_no, f"C{self.consoles}", Money(amount, "CNY"))

    def now_end_refund(self, index: int, well: bool) -> None:
        given = list(self.book.refunds.values())
        if index < len(given) and given[index].state == Word.PROCESSING:
            self.book.end_refund(given[index].refund_no, Word.SUCCEEDED if well else Word.FAILED)

    def now_slow_refunds(self, slow: bool) -> None:
        self.book.refunds_wait = slow

    def now_receiver(self, well: bool) -> None:
        self.stage.receiver.well = well

    def now_time(self, seconds: float) -> None:
        self.stage.clock.pass_(seconds)

    def now_wait(self) -> None:
        """Until everybody is done."""
        self._drain()

    def now_fault(self, operation: str, kind: str) -> None:
        if kind == "refused" and operation == "refund":
            refusal = RefundResult(state=Word.FAILED, refund_no="", code="NOT_ENOUGH", resendable=True)
            self.book.fault(operation, refusal)
        elif kind == "lost" and operation in ("pay", "close", "refund"):
            self.book.fault(operation, "lost")
        else:
            self.book.fault(operation, UnknownOutcome("silent"))

    def _payment(self, index: int) -> Any:
        payments = list(self.book.payments.values())
        return payments[index] if index < len(payments) else None

    def _refund(self, index: int) -> Refund | None:
        rows = _OURS.rows()
        return rows[index] if index < len(rows) else None

    # -- to the end

    def _settle(self) -> None:
        """No more deaths, and no more faults than are waiting: refunds end, people decide, the clock runs from one due
        time to the next."""
        self.book.refunds_wait = False
        self.stage.receiver.well = True
        for _ in range(_SETTLING_STEPS):
            waited = self._finish_outside()
            due = self.rules.due_at()
            if not due and not waited:
                return
            if due:
                now, first = self.stage.clock.now(), min(due.values())
                self.stage.clock.pass_(max((first - now).total_seconds(), 0) + 0.01)
                names = sorted(name for name, at in due.items() if at <= self.stage.clock.now())
                self._start(f"sweeps {names}", lambda names=names: self._sweep_all(names))  # type: ignore[misc]
                self._drain()
        raise Broken(f"still due after {_SETTLING_STEPS} rounds: {self.rules.due()}")

    def _finish_outside(self) -> bool:
        """What waits for others than the center; whether there was anything."""
        found = False
        for given in self.book.refunds.values():
            if given.state == Word.PROCESSING:
                self.book.end_refund(given.refund_no)
                found = True
        for key in self.rules.waiting():
            found = True
            self._start("the desk", lambda key=key: self._desk(_REFUND.get(pk=key)))  # type: ignore[misc]
            self._drain()
        return found

    def _tell_sums(self, numbers: list[str]) -> None:
        """The channel has given back what nobody told of: with the sum of it told, nothing may be missing."""
        for number in numbers:
            body = self.book.notification(number, hint=True)
            self._start("a hint", lambda number=number, body=body: self._tell(number, body, books=False))  # type: ignore[misc]
            self._drain()
        self._settle()
        self.rules.at_the_end(frozenset(self.book.refunds))

    def _desk(self, refund: Refund) -> None:
        if refund.state == "on_hold" and refund.round > 12 and refund.sent_at is None:
            refund_reject(refund=refund, user=self._whoever_may(refund, Decision.REJECT), comment="x")
            return
        if refund.state == "on_hold":
            refund_release(refund=refund, user=self._whoever_may(refund, RELEASE), comment="x")
        for clerk in self.stage.clerks:
            with contextlib.suppress(TransitionRefused):
                refund_approve(refund=refund, user=clerk, comment="x")
        again = _REFUND.get(pk=refund.pk)
        if again.state == "pending_approval":  # it does not fit any more
            refund_hold(refund=again, user=self._whoever_may(again, Decision.HOLD), comment="x")

    def _whoever_may(self, refund: Refund, decision: str) -> User:
        """Not who asked for the refund or changed it; the first clerk, to be refused, where nobody may."""
        may = (clerk for clerk in self.stage.clerks if not why_not(refund, clerk, decision))
        return next(may, self.stage.clerks[0])

    def _sweep_all(self, names: list[str]) -> None:
        for name in names:
            _SWEEPS[name](self)


_SWEEPS: dict[str, Callable[[History], object]] = {
    "query": lambda _h: query_due(),
    "close": lambda _h: close_due(),
    "superseded": lambda _h: close_superseded(),
    "send_refunds": lambda _h: send_refunds_due(),
    "query_refunds": lambda _h: query_refunds_due(),
    "policies": lambda _h: apply_policies_due(),
    "book_early": lambda _h: book_early_due(),
    "expire": lambda _h: expire_due(),
    "deliver": lambda h: h.deliver(),
    "sequence": lambda _h: sequence_events(),
    "probe": lambda _h: shedding.probe_due(),
}


def _deadlocked(error: BaseException | None) -> bool:
    return "deadlock" in str(error)



