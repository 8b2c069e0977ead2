"""A paid order at a stand-in, and what a merchant's server asks to give back from it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from channels.base import (
    InboundRequest,
    Initiated,
    Notice,
    PayOrder,
    RefundOrder,
    RefundResult,
    RefundState,
)
from channels.base.config import clean_config
from paycenter.money import Money
from sandbox.context import Settings
from tests.contract.cases import Case
from tests.contract.desk import HTTP, WITHOUT_END, Contracts, Desk
from tests.sandbox.running import Merchant, Running
from trades.sending import instruction_data

FAULTS = ("timeout", "reset", "http500", "garbage", "slow", "drip", "lost_reply", "bad_signature", "no_signature")
# The channel did nothing before the call ended; a slow one acts after it.
UNDONE = ("timeout", "reset", "http500", "slow")
_LATE_SECONDS = 2.2


@contextmanager
def running(state: Path) -> Iterator[Running]:
    made = Running(state, Settings(ladder_speed=1200.0, refund_delay=0.2))
    yield made
    made.stop()


def limit(fault: str) -> float:
    """Seconds for a call that meets it."""
    return 0.25 if fault in WITHOUT_END else 5.0


class Till:
    """One account of one channel; `config` are fields that a clerk changed."""

    def __init__(
        self, contracts: Contracts, sandbox: Running, method: str, mode: str, currency: str = "CNY", **config: Any
    ) -> None:
        case = Case(method, mode, currency)
        self.sandbox = sandbox
        self.merchant = Merchant(answer=(200, b"SUCCESS"))
        cleaned = clean_config(case.provider, contracts.config(case.channel, mode) | config, datetime.now(UTC))
        self.provider = case.provider(cleaned, http=HTTP)
        self._desk = Desk(case, sandbox, cleaned, self.provider, self.merchant, {})

    def close(self) -> None:
        self.end_faults()
        self.merchant.stop()

    def paid(self, minor: int, **more: Any) -> PayOrder:
        """As the core keeps it afterwards."""
        attempt_no, order = self._desk.order(amount=Money(minor, self._desk.case.currency), **more)
        result = self._desk.pay(order)
        assert isinstance(result, Initiated), result
        paid = self._desk.paid(attempt_no, instruction_data(result.instruction))
        return replace(order, memo=result.memo, channel_trade_no=paid["channel_trade_no"])

    def refund(self, order: PayOrder, minor: int, **changes: Any) -> RefundOrder:
        number = f"R{secrets.token_hex(10).upper()}"
        made = RefundOrder(
            order=order, refund_no=number, amount=Money(minor, order.amount.currency), sent_at=datetime.now(UTC),
            reason="多收 & 退回 {1}=1", notify_url=f"{self.merchant.url}/refund/{number}",
            full=minor == order.amount.minor,
        )  # fmt: skip
        return replace(made, **changes)

    def ends_as(self, refund: RefundOrder, outcome: str) -> None:
        assert self.sandbox.control("POST", f"/refunds/{refund.refund_no}", {"outcome": outcome}).status == 200

    def ended(self, refund: RefundOrder) -> RefundResult:
        """Asked for until it has ended."""
        deadline = time.monotonic() + 5
        while (found := self.provider.query_refund(refund)).state is RefundState.PROCESSING:
            assert time.monotonic() < deadline, "the refund does not end"
            time.sleep(0.02)
        return found

    def given_back(self, order: PayOrder) -> list[int]:
        """What the channel's own book gives back from the order, one by one, whether ended or under way."""
        attempt_no = urlsplit(order.notify_url).path.rsplit("/", 1)[1]
        answer = self.sandbox.control("GET", f"/payments/{attempt_no}")
        assert answer.status == 200, answer.text
        return [r["amount"] for r in answer.json["refunds"] if r["state"] != "fail"]

    def console_refund(self, order: PayOrder, minor: int) -> dict[str, Any]:
        attempt_no = urlsplit(order.notify_url).path.rsplit("/", 1)[1]
        answer = self.sandbox.control("POST", "/refunds", {"attempt_no": attempt_no, "amount": minor})
        assert answer.status == 200, answer.text
        return dict(answer.json)

    def fault(self, operation: str, fault: str) -> None:
        self._desk.fault(operation, fault)

    def end_faults(self) -> int:
        return self._desk.end_faults()

    def wait_out(self, fault: str) -> None:
        """Until what is under way has been done as well."""
        if fault == "slow":
            time.sleep(_LATE_SECONDS)

    def heard(self, path: str) -> Notice:
        """The first notification to this path, as the provider reads it."""
        deadline = time.monotonic() + 5
        while not (told := [t for t in list(self.merchant.told) if t.path == path]):
            assert time.monotonic() < deadline, f"nothing came to {path}"
            time.sleep(0.01)
        request = InboundRequest(method="POST", path=path, headers=told[0].headers, body=told[0].body)
        return self.provider.parse_notify(request)
