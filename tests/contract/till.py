"""One paid order at the desk: what is given back of it, and what the channel's book says about that."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from channels.base import (
    InboundRequest,
    Initiated,
    Notice,
    NoticeKind,
    OrderRef,
    PayOrder,
    RefundOrder,
    RefundResult,
    RefundState,
)
from paycenter.errors import UnknownOutcome
from paycenter.money import Money
from tests.contract.desk import Desk
from tests.sandbox.running import Told
from trades.sending import instruction_data

REASON = "错收 2026/11 三栋 502 A&B=1+1 }{ “水费”"
ENDED = {RefundState.SUCCEEDED, RefundState.FAILED}
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Till:
    """`order` is the payment as the core knows it once it is paid; `address` is where its notifications go."""

    desk: Desk
    attempt_no: str
    order: OrderRef
    address: str

    @classmethod
    def open(cls, desk: Desk) -> Till:
        """An order of this contract, paid; skipped where the channel gives nothing back."""
        if not desk.provider.can_refund:
            pytest.skip(f"{desk.case.channel} says can_refund = False: refunds are paid out by hand")
        attempt_no, order = desk.order()
        result = desk.pay(order)
        assert isinstance(result, Initiated), result
        desk.paid(attempt_no, instruction_data(result.instruction))
        ack = desk.provider.ack(Notice(kind=NoticeKind.REFUND, order_no=order.order_no))
        desk.merchant.answer = (ack.status, ack.body)
        return cls(desk, attempt_no, _reference(desk, order, result), order.notify_url)

    def refund_of(self, minor: int | None = None, **changes: Any) -> RefundOrder:
        """A new refund of so much; of the whole payment if nothing is said."""
        total = self.order.amount
        number = f"R{secrets.token_hex(10).upper()}"
        made = RefundOrder(
            order=self.order, refund_no=number, amount=Money(minor or total.minor, total.currency),
            sent_at=datetime.now(UTC), reason=REASON, full=minor is None,
            notify_url=f"{self.desk.merchant.url}/notify/refund/{number}",
        )  # fmt: skip
        return replace(made, **changes)

    def send(self, refund: RefundOrder) -> RefundResult | None:
        """None where the outcome is open."""
        try:
            return self.desk.provider.refund(refund)
        except UnknownOutcome:
            return None

    def ask(self, refund: RefundOrder, result: RefundResult | None = None) -> RefundResult:
        """What the channel says of it now; `result` is what the sending answered, as the core keeps it."""
        if result is not None:
            refund = replace(refund, memo=result.memo, channel_refund_no=result.channel_refund_no)
        return self.desk.provider.query_refund(refund)

    def until(self, refund: RefundOrder, states: Iterable[RefundState], result: RefundResult | None) -> RefundResult:
        """Ask until it is in one of the states; fails after some seconds."""
        wanted, found, deadline = set(states), result, time.monotonic() + _SECONDS
        while found is None or found.state not in wanted:
            assert time.monotonic() < deadline, f"the refund is {found.state if found else 'open'}"
            time.sleep(0.03)
            found = self.ask(refund, result)
        return found

    def given_back(self, refund: RefundOrder) -> RefundResult:
        """Send it and see it through."""
        result = self.send(refund)
        assert result is not None
        found = self.until(refund, ENDED, result)
        assert (found.state, found.refund_no, found.amount) == (
            RefundState.SUCCEEDED, refund.refund_no, refund.amount,
        )  # fmt: skip
        return found

    def moved(self) -> int:
        """What the channel gave back so far, and is giving back."""
        refunds = self.desk.book(self.attempt_no)["refunds"]
        return sum(r["amount"] for r in refunds if r["state"] in ("success", "pending"))

    def says(self, refund: RefundOrder, outcome: str) -> None:
        """How the channel ends it: said before the sending, or now."""
        answer = self.desk.sandbox.control("POST", f"/refunds/{refund.refund_no}", {"outcome": outcome})
        assert answer.status == 200, answer.text

    # -- notifications

    def told_of(self, refund: RefundOrder) -> InboundRequest:
        """The first notification at the refund's or the payment's address; the payment's own was not ordered."""
        paths, deadline = {urlsplit(url).path for url in (refund.notify_url, self.address)}, time.monotonic() + _SECONDS
        while True:
            found = [told for told in list(self.desk.merchant.told) if told.path in paths]
            if found:
                return _inbound(found[0])
            assert time.monotonic() < deadline, "no notification of the refund came"
            time.sleep(0.01)

    def falsely_told_of(self, refund: RefundOrder, kind: str) -> InboundRequest:
        before = len(self.desk.merchant.told)
        data = {"attempt_no": self.attempt_no, "refund_no": refund.refund_no, "notify": kind}
        answer = self.desk.sandbox.control("POST", "/notify", data)
        assert answer.status == 200, answer.text
        return _inbound(self.desk.merchant.told[before:][-1])


def _reference(desk: Desk, order: PayOrder, started: Initiated) -> OrderRef:
    paid = desk.provider.query(order)
    return OrderRef(
        order_no=order.order_no, amount=order.amount, sent_at=order.sent_at, expire_at=order.expire_at,
        channel_trade_no=paid.channel_trade_no, memo=started.memo,
    )  # fmt: skip


def _inbound(told: Told) -> InboundRequest:
    path, _mark, query = told.path.partition("?")
    return InboundRequest(method="POST", path=path, query=query, headers=told.headers, body=told.body)
