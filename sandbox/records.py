"""What a stand-in keeps in its book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class PaymentState(StrEnum):
    UNSCANNED = "unscanned"  # a page or code the payer has not opened: no order exists for the API
    UNPAID = "unpaid"
    PAID = "paid"
    CLOSED = "closed"


class RefundState(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAIL = "fail"


class Outcome(StrEnum):
    """How the person at the controls wants a refund to end."""

    PENDING = "pending"
    SUCCESS = "success"
    FAIL = "fail"
    NO_BALANCE = "no_balance"  # refused for want of money; where a channel has no words for that, as `fail`


@dataclass(frozen=True, slots=True)
class Account:
    """A merchant's contract with one channel.

    `key` names the merchant on the wire (app id or merchant id). `config` is what the merchant
    fills into its own form, `secrets` what only the channel knows.
    """

    channel: str
    key: str
    name: str
    payment_no: str
    config: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One order at the channel. Amounts in minor units, times in Unix seconds.

    `order_no` is the number that the merchant sent, `attempt_no` the name that control calls use
    (the same, except where a channel demands its own number format). `request` is what was
    asked, to recognise a repeat. `code` is what a QR code or page address carries.
    """

    id: int
    channel: str
    account: str
    order_no: str
    attempt_no: str
    trade_no: str
    state: PaymentState
    scene: str
    amount: int
    paid_amount: int
    currency: str
    subject: str
    notify_url: str
    return_url: str
    code: str
    code_expires_at: float
    created_at: float
    expires_at: float
    paid_at: float | None
    closed_at: float | None
    payer: str
    request: str
    extra: Mapping[str, Any]

    @property
    def total(self) -> int:
        """What the channel states as the order's total: what was really paid, once paid."""
        return self.paid_amount if self.state is PaymentState.PAID else self.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One refund at the channel; `console` ones were made by hand in the channel's own portal."""

    id: int
    payment_id: int
    channel: str
    account: str
    refund_no: str
    channel_refund_no: str
    amount: int
    state: RefundState
    reason: str
    notify_url: str
    console: bool
    created_at: float
    settled_at: float | None
    due_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notification that the channel owes the merchant, with its place on the retry ladder.

    `claim` is what it says where that differs from the book (a fake); `sends` counts tries made.
    """

    id: int
    payment_id: int
    refund_id: int | None
    notice_id: str
    claim: Mapping[str, Any]
    copies: int
    retries: bool
    sends: int
    next_at: float | None
    acknowledged_at: float | None
