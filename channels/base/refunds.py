"""Giving money back through the channel that took it: typed values in, one internal form of the answer out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from channels.base.orders import OrderRef
from paycenter.money import Money


class RefundState(StrEnum):
    """What a channel says of a refund. Only its explicit words mean succeeded or failed."""

    NOT_FOUND = "not_found"  # it has no such refund: never received, or refused before it was one
    PROCESSING = "processing"  # accepted, not ended
    ATTENTION = "attention"  # accepted and stuck until a person acts (WeChat's ABNORMAL); may still succeed
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # no money moved, and under this number none will unless it is sent again


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundRef:
    """A refund as its channel knows it: enough to query it.

    `order` is the payment it gives back from, with `channel_trade_no`. `refund_no` is the only number of the
    refund ever sent, and never changes; `sent_at` is when it was first sent (aware; UnionPay names a refund by
    number and time). `channel_refund_no` is the channel's own number, once known; `memo` what `refund` returned.
    `amount_known` is False for a refund that began at the channel and whose notice named no amount: then the
    channel's answer says it, and `amount` is what it can be at most.
    """

    order: OrderRef
    refund_no: str
    amount: Money
    sent_at: datetime
    channel_refund_no: str | None = None
    memo: Mapping[str, Any] = field(default_factory=dict)
    amount_known: bool = True

    def is_of(self, amount: Money | None) -> bool:
        """Whether an answer that states this amount can be about this refund."""
        if amount is None or self.amount_known:
            return amount == self.amount
        return amount.currency == self.amount.currency and 0 < amount.minor <= self.amount.minor

    def refused(self, code: str, message: str, *, resendable: bool = False) -> RefundResult:
        """The channel's explicit no, in its own words: no money moved."""
        return self._without_money(RefundState.FAILED, code, message, resendable)

    def not_found(self, code: str, message: str) -> RefundResult:
        """The channel's explicit "no such refund": the same number may be sent."""
        return self._without_money(RefundState.NOT_FOUND, code, message, True)

    def _without_money(self, state: RefundState, code: str, message: str, resendable: bool) -> RefundResult:
        return RefundResult(
            state=state, refund_no=self.refund_no, channel_state=code, code=code, message=message,
            resendable=resendable,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundOrder(RefundRef):
    """A refund about to be sent. `notify_url` is the center's public address for this refund; `full` tells that
    it gives back the whole payment at once and nothing was given back before."""

    reason: str
    notify_url: str
    full: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundResult:
    """A channel's verified word about one refund.

    `amount` is what this refund gives back, set whenever `state` is SUCCEEDED. `resendable` goes with FAILED and
    NOT_FOUND: the same number may be sent again later (the merchant's balance is short). `code` and `message`
    are the channel's own.
    """

    state: RefundState
    refund_no: str
    amount: Money | None = None
    channel_refund_no: str | None = None
    finished_at: datetime | None = None
    channel_state: str = ""
    code: str = ""
    message: str = ""
    resendable: bool = False
    memo: Mapping[str, Any] = field(default_factory=dict)
