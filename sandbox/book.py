"""The rules of money that every stand-in shares: one order is paid once, closed once, and never
gives back more than was paid. What a channel calls these states is the channel's matter.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.clock import Clock, beijing
from sandbox.records import Outcome, Payment, PaymentState, Refund, RefundState
from sandbox.store import Store, payment_from, refund_from

# Numbers of real providers are 28 digits and start with the day.
_SERIAL_DIGITS = 28


class BookError(Exception):
    """Something the book does not allow, in words for whoever drives the sandbox."""


class NotPossible(BookError):
    """Right now, in this state."""


def random_digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def serial_number(when: float, infix: str) -> str:
    """A channel's number: the day, its product's digits, then digits that nobody can guess."""
    head = beijing(when).strftime("%Y%m%d") + infix
    return head + random_digits(_SERIAL_DIGITS - len(head))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPayment:
    """An order as a channel takes it in. `code` None asks for one that nobody can guess."""

    channel: str
    account: str
    order_no: str
    trade_no: str
    scene: str
    amount: int
    currency: str
    subject: str
    notify_url: str
    return_url: str = ""
    code: str
    code_expires_at: float
    expires_at: float
    state: PaymentState
    payer: str = ""
    request: str
    extra: Mapping[str, Any]


class Book:
    def __init__(self, store: Store, clock: Clock, refund_delay: float = 1.0) -> None:
        self.store = store
        self.clock = clock
        self.refund_delay = refund_delay

    # -- payments

    def payment(self, payment_id: int) -> Payment:
        row = self.store.one("SELECT * FROM payment WHERE id = ?", payment_id)
        if row is None:
            raise LookupError(f"no payment {payment_id}")
        return self._expired(payment_from(row))

    def find(self, channel: str, account: str, order_no: str) -> Payment | None:
        return self._first("channel = ? AND account = ? AND order_no = ?", channel, account, order_no)

    def find_trade(self, channel: str, account: str, trade_no: str) -> Payment | None:
        return self._first("channel = ? AND account = ? AND trade_no = ?", channel, account, trade_no)

    def find_code(self, channel: str, code: str) -> Payment | None:
        return self._first("channel = ? AND code = ?", channel, code)

    def find_attempt(self, attempt_no: str) -> Payment | None:
        return self._first("attempt_no = ?", attempt_no)

    def waiting(self, limit: int = 50) -> list[Payment]:
        """The latest orders that somebody could still pay."""
        rows = self.store.all(
            "SELECT * FROM payment WHERE state IN ('unscanned', 'unpaid') ORDER BY created_at DESC LIMIT ?", limit
        )
        found = [self._expired(payment_from(row)) for row in rows]
        return [p for p in found if p.state is not PaymentState.CLOSED and self.clock() < p.expires_at]

    def add(self, new: NewPayment, *, attempt_no: str | None = None) -> Payment:
        """Enter an order. One whose page was never scanned is replaced, as it did not exist yet."""
        values: dict[str, Any] = {name: getattr(new, name) for name in NewPayment.__slots__}
        values.update(attempt_no=attempt_no or new.order_no, created_at=self.clock())
        known = self.find(new.channel, new.account, new.order_no)
        if known is None:
            return self.payment(self.store.insert("payment", **values))
        if known.state is not PaymentState.UNSCANNED:
            raise NotPossible(f"order {new.order_no} exists already")
        self.store.update("payment", known.id, **values)
        return self.payment(known.id)

    def change(self, payment: Payment, **values: Any) -> Payment:
        self.store.update("payment", payment.id, **values)
        return self.payment(payment.id)

    def scan(self, payment: Payment) -> Payment:
        """The payer opened the page or code: from now on the order exists for the API too.

        Raises NotPossible after its expiry: such an order never comes to exist.
        """
        if payment.state is not PaymentState.UNSCANNED:
            return payment
        if self.clock() >= payment.expires_at:
            raise NotPossible("the order has expired")
        return self.change(payment, state=PaymentState.UNPAID)

    def pay(self, payment: Payment, *, amount: int | None = None, payer: str) -> Payment:
        """Money moves. Raises NotPossible unless the order is unpaid."""
        payment = self.payment(payment.id)
        if payment.state is not PaymentState.UNPAID:
            raise NotPossible(f"the order is {payment.state}")
        return self.change(
            payment, state=PaymentState.PAID, paid_at=self.clock(),
            paid_amount=payment.amount if amount is None else amount, payer=payment.payer or payer,
        )  # fmt: skip

    def close(self, payment: Payment) -> Payment:
        if payment.state is not PaymentState.UNPAID:
            raise NotPossible(f"the order is {payment.state}")
        return self.change(payment, state=PaymentState.CLOSED, closed_at=self.clock())

    def _first(self, where: str, *args: Any) -> Payment | None:
        row = self.store.one(f"SELECT * FROM payment WHERE {where} ORDER BY id DESC LIMIT 1", *args)
        return self._expired(payment_from(row)) if row else None

    def _expired(self, payment: Payment) -> Payment:
        if payment.state is not PaymentState.UNPAID or self.clock() < payment.expires_at:
            return payment
        self.store.update("payment", payment.id, state=PaymentState.CLOSED, closed_at=payment.expires_at)
        return self.payment(payment.id)

    # -- refunds

    def refund(self, refund_id: int) -> Refund:
        row = self.store.one("SELECT * FROM refund WHERE id = ?", refund_id)
        if row is None:
            raise LookupError(f"no refund {refund_id}")
        return refund_from(row)

    def refunds(self, payment: Payment) -> list[Refund]:
        rows = self.store.all("SELECT * FROM refund WHERE payment_id = ? ORDER BY id", payment.id)
        return [refund_from(row) for row in rows]

    def find_refund(self, refund_no: str, *, channel: str | None = None, account: str | None = None) -> Refund | None:
        row = self.store.one(
            "SELECT * FROM refund WHERE refund_no = ? AND (? IS NULL OR channel = ?) "
            "AND (? IS NULL OR account = ?) ORDER BY id DESC LIMIT 1",
            refund_no, channel, channel, account, account,
        )  # fmt: skip
        return refund_from(row) if row else None

    def refunded(self, payment: Payment, *, settled: bool = False) -> int:
        """The sum given back; with `settled` only what has arrived, else also what is under way."""
        states = (RefundState.SUCCESS,) if settled else (RefundState.SUCCESS, RefundState.PENDING)
        return sum(r.amount for r in self.refunds(payment) if r.state in states)

    def outcome(self, refund_no: str) -> str | None:
        """How the person at the controls wants this refund to end, if they said."""
        row = self.store.one("SELECT outcome FROM outcome WHERE refund_no = ?", refund_no)
        return row["outcome"] if row else None

    def ending(self, refund_no: str) -> RefundState:
        """The state that the outcome makes of an accepted refund; nothing said is success."""
        said = self.outcome(refund_no) or Outcome.SUCCESS
        return RefundState.FAIL if said == Outcome.NO_BALANCE else RefundState(said)

    def set_outcome(self, refund_no: str, outcome: str) -> None:
        self.store.run(
            "INSERT INTO outcome VALUES (?, ?) ON CONFLICT (refund_no) DO UPDATE SET outcome = excluded.outcome",
            refund_no, outcome,
        )  # fmt: skip

    def add_refund(
        self, payment: Payment, *, refund_no: str, channel_refund_no: str, amount: int, reason: str = "",
        notify_url: str = "", console: bool = False, state: RefundState = RefundState.PENDING,
    ) -> Refund:  # fmt: skip
        """Accept a refund. Raises NotPossible where it exceeds what was paid.

        A pending one settles by itself after the book's delay, unless its outcome says otherwise.
        """
        if payment.state is not PaymentState.PAID:
            raise NotPossible(f"the order is {payment.state}")
        if amount <= 0 or self.refunded(payment) + amount > payment.paid_amount:
            raise NotPossible("the refund exceeds what is left of the payment")
        now = self.clock()
        pending = state is RefundState.PENDING
        waits = self.outcome(refund_no) == "pending"
        refund_id = self.store.insert(
            "refund", payment_id=payment.id, channel=payment.channel, account=payment.account,
            refund_no=refund_no, channel_refund_no=channel_refund_no, amount=amount, state=state,
            reason=reason, notify_url=notify_url, console=int(console), created_at=now,
            settled_at=None if pending else now,
            due_at=now + self.refund_delay if pending and not waits else None,
        )  # fmt: skip
        return self.refund(refund_id)

    def settle(self, refund: Refund, state: RefundState) -> Refund:
        settled_at = None if state is RefundState.PENDING else self.clock()
        self.store.update("refund", refund.id, state=state, settled_at=settled_at, due_at=None)
        return self.refund(refund.id)

    def due_refunds(self) -> list[Refund]:
        rows = self.store.all("SELECT * FROM refund WHERE due_at <= ? ORDER BY due_at LIMIT 100", self.clock())
        return [refund_from(row) for row in rows]
