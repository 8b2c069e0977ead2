"""Random histories of payments, refunds, decisions, faults and crashes, for the sums to be counted after."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.utils import timezone
from hypothesis import strategies as st

from channels.base import PaymentState, RefundResult
from channels.base import RefundState as Word
from merchants.models import User
from paycenter.errors import ApiError, TransitionRefused, UnknownOutcome
from paycenter.money import Money
from refunds.approvals import refund_amount_change, refund_approve, refund_hold, refund_reject, refund_release
from refunds.external import external_refund_record
from refunds.models import Refund
from refunds.retrying import refund_give_up, refund_send_again
from refunds.services import RefundRequest, refund_cancel, refund_request_by_app
from refunds.sweeps import apply_policies_due
from tests import factories
from tests.conftest import World
from tests.fakes.fakepay import Crash
from tests.refunds.paying import due_now, sweep
from trades.closing import trade_close
from trades.confirm import MoneyArrived, payment_confirm
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_pay

AMOUNTS = st.sampled_from([300, 700, 1000])
WHICH = st.integers(0, 5)
DECISIONS = ["approve", "hold", "release", "reject"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.sampled_from(["fake_qr", "fake_page"])),
        st.tuples(st.just("notify"), st.integers(0, 2)),
        st.tuples(st.just("close")),
        st.tuples(st.just("ask"), AMOUNTS, st.booleans()),
        st.tuples(st.just("ask_for_abnormal"), AMOUNTS),
        st.tuples(st.just("decide"), st.sampled_from(DECISIONS), WHICH, st.integers(0, 2)),
        st.tuples(st.just("change_amount"), WHICH, AMOUNTS),
        st.tuples(st.just("cancel"), WHICH),
        st.tuples(st.just("again"), WHICH, st.booleans()),
        st.tuples(st.just("fault"), st.sampled_from(["refund", "query_refund", "query"]),
                  st.sampled_from(["lost", "silent", "crash", "died", "refused"])),
        st.tuples(st.just("sweep")),
        st.tuples(st.just("console"), st.integers(0, 1), AMOUNTS),
    ),
    min_size=4, max_size=22,
)  # fmt: skip
explored: Counter[str] = Counter()


class History:
    """One order of 1000, paid once or twice, and everything that can happen to that money."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = factories.make_order(world.merchant).app_order_no
        self.asked = self.consoles = 0
        self.clerks = [
            User.objects.get_or_create(username=f"clerk{i}", defaults={"role": "finance", "is_staff": True})[0]
            for i in range(3)
        ]

    def run(self, step: tuple[Any, ...]) -> None:
        explored["steps"] += 1
        with suppress(ApiError, TransitionRefused, Crash):
            getattr(self, step[0])(*step[1:])

    def trade(self) -> Trade | None:
        return Trade.objects.filter(app_order_no=self.number).first()

    def refunds(self) -> Any:
        """Examples share one database: only this order's."""
        return Refund.objects.filter(trade__app_order_no=self.number)

    def refund(self, index: int) -> Refund | None:
        rows = list(self.refunds().exclude(source="external").order_by("id"))
        return rows[index] if index < len(rows) else None

    def pay(self, method: str) -> None:
        trade_pay(app=self.world.app, order=self.world.order(app_order_no=self.number, amount=1000), method=method)

    def notify(self, index: int) -> None:
        payments = list(self.world.book.payments.values())
        if index < len(payments):
            order_no = payments[index].order_no
            if payments[index].state == PaymentState.UNPAID:
                self.world.book.pay(order_no)
            if payments[index].state == PaymentState.PAID:
                money = MoneyArrived(amount=payments[index].amount, channel_trade_no=payments[index].channel_trade_no)
                attempt = Attempt.objects.get(attempt_no=order_no)
                payment_confirm(attempt_id=attempt.pk, money=money, actor="test")

    def close(self) -> None:
        trade = self.trade()
        if trade is not None:
            trade_close(trade=trade, actor="test")

    def _ask(self, amount: int, number: str, **values: Any) -> None:
        trade = self.trade()
        if trade is not None:
            request = RefundRequest(
                merchant_no=self.world.merchant.merchant_no, trade_no=trade.trade_no, amount=amount, reason="x",
                app_refund_no=number, **values,
            )  # fmt: skip
            refund_request_by_app(app=self.world.app, request=request)

    def ask(self, amount: int, again: bool) -> None:
        self.asked += not again
        self._ask(amount, f"{self.number}-{self.asked}")

    def ask_for_abnormal(self, amount: int) -> None:
        abnormal = AbnormalPayment.objects.filter(trade__app_order_no=self.number).first()
        if abnormal is not None:
            self.asked += 1
            self._ask(amount, f"{self.number}-{self.asked}", attempt_no=abnormal.attempt.attempt_no)

    def decide(self, what: str, index: int, clerk: int) -> None:
        refund = self.refund(index)
        acts = {"approve": refund_approve, "hold": refund_hold, "release": refund_release, "reject": refund_reject}
        if refund is not None:
            acts[what](refund=refund, user=self.clerks[clerk], comment="x")

    def change_amount(self, index: int, amount: int) -> None:
        refund = self.refund(index)
        if refund is not None:
            refund_amount_change(refund=refund, amount=amount, user=self.clerks[0], reason="x")

    def cancel(self, index: int) -> None:
        refund = self.refund(index)
        if refund is not None:
            refund_cancel(refund=refund, actor="app")

    def again(self, index: int, give_up: bool) -> None:
        refund = self.refund(index)
        if refund is not None:
            act = refund_give_up if give_up else refund_send_again
            act(refund=refund, user=self.clerks[1], reason="x")

    def fault(self, operation: str, kind: str) -> None:
        outcome: Any = {
            "lost": "lost", "silent": UnknownOutcome("silent"), "crash": "crash", "died": Crash(),
            "refused": RefundResult(state=Word.FAILED, refund_no="", code="NOT_ENOUGH", resendable=True),
        }[kind]  # fmt: skip
        if operation == "refund":
            self.world.book.fault(operation, outcome)
        else:
            self.world.book.fault(operation, Crash() if kind in ("crash", "died") else UnknownOutcome("silent"))

    def sweep(self) -> None:
        sweep()
        AbnormalPayment.objects.filter(next_policy_at__isnull=False).update(next_policy_at=timezone.now())
        apply_policies_due()

    def console(self, index: int, amount: int) -> None:
        """Somebody gives money back in the channel's console, and its bill says so."""
        payments = [p for p in self.world.book.payments.values() if p.state == PaymentState.PAID]
        if index < len(payments):
            self.consoles += 1
            name, order_no = f"{self.number}-C{self.consoles}", payments[index].order_no
            given = self.world.book.give_back(order_no, name, Money(amount, "CNY"))
            attempt = Attempt.objects.get(attempt_no=order_no)
            if given is not None:
                external_refund_record(attempt=attempt, channel_request_no=name, amount=given.amount, actor="bill")
                if not Refund.objects.filter(channel_request_no=name).exists():
                    self.world.book.refunds.pop(name)  # before the payment itself was heard of: not told here

    def settle(self) -> None:
        """No more faults; what was held goes on, what waits is approved, everything is swept to its end."""
        self.world.book.faults.clear()
        for _ in range(6):
            for refund in self.refunds().filter(state__in=["on_hold", "pending_approval"]):
                for clerk in self.clerks:
                    with suppress(TransitionRefused, ApiError):
                        refund_release(refund=refund, user=clerk, comment="x")
                    with suppress(TransitionRefused, ApiError):
                        refund_approve(refund=refund, user=clerk, comment="x")
            self.refunds().update(last_sent_at=timezone.now() - timedelta(minutes=5))
            due_now()
            self.run(("sweep",))
