"""What a provider answers: the one internal form of every channel's words.

A decline is a result. Only transport, signature and configuration trouble raises
(`NotSent`, `UnknownOutcome`, `InboundRefused`). Only explicit words of the channel
may produce PAID, CLOSED or FAILED.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from channels.base.fields import Label
from channels.base.refunds import RefundState
from paycenter.money import Money


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the payer's browser to `url` with GET."""

    url: str


@dataclass(frozen=True, slots=True)
class Form:
    """Have the payer's browser POST `fields` to `action`; the core renders the HTML."""

    action: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class QrCode:
    """Show `content` as a QR code."""

    content: str


@dataclass(frozen=True, slots=True)
class SdkParams:
    """Hand `params` to the channel's SDK in the app, mini program or web view."""

    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NoAction:
    """Nothing for the payer to do (password-free deduction)."""


Instruction = Redirect | Form | QrCode | SdkParams | NoAction


@dataclass(frozen=True, kw_only=True, slots=True)
class Initiated:
    """The channel accepted the attempt, which never means paid."""

    instruction: Instruction
    channel_trade_no: str | None = None
    memo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The channel said no in words that are final for this attempt.

    `final_for_trade` is set where no other attempt at the trade is possible (a refused deduction).
    """

    code: str
    message: str
    final_for_trade: bool = False


PayResult = Initiated | Refused


class PaymentState(StrEnum):
    NOT_FOUND = "not_found"  # the channel has no such order (yet)
    UNPAID = "unpaid"  # it knows the order and says explicitly that it is not paid
    PAID = "paid"  # paid, possibly refunded since
    CLOSED = "closed"  # closed or expired unpaid, explicitly
    FAILED = "failed"  # explicitly failed and can never be paid any more


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryResult:
    """The channel's present view of one payment. `amount` is the order total, never what the payer
    paid after discounts; it and `channel_trade_no` are set whenever `state` is PAID."""

    state: PaymentState
    order_no: str
    amount: Money | None = None
    channel_trade_no: str | None = None
    paid_at: datetime | None = None
    refunded: Money | None = None
    payer_id: str | None = None
    funding: str | None = None
    channel_state: str = ""  # the channel's own word, for display
    message: str = ""


class CloseOutcome(StrEnum):
    CLOSED = "closed"  # explicit: closed now or before
    NOT_FOUND = "not_found"  # nothing to close yet; a late payment is still possible until its expiry
    UNSUPPORTED = "unsupported"  # this channel or scene cannot close
    REFUSED = "refused"  # not closable in its present state: query, it may be paid


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseResult:
    outcome: CloseOutcome
    code: str = ""
    message: str = ""


class NoticeKind(StrEnum):
    PAYMENT = "payment"  # verified; `state` and the amounts count
    REFUND = "refund"  # verified word about a refund, wherever it arrived
    HINT = "hint"  # unsigned or unauthoritative: only makes a query due
    IGNORED = "ignored"  # verified and of no interest (WAIT_BUYER_PAY): acknowledge


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A notification in the one internal form. Signature, app id and merchant id were checked by the
    provider; order number, amount and currency are for the core to compare, and `order_day` (`YYYYMMDD`)
    where the channel's numbers repeat on other days (see `NumberRule`).

    In a REFUND notice `order_no` and `channel_trade_no` name the payment (`order_no` is empty where the channel
    names the refund only), `refund_no` is the number the refund was sent under, `amount` what this refund gives
    back, `refund_sent_at` the time that is part of its name where a channel has that. `refund_state` is None
    where the notice does not decide (Alipay states a cumulative sum): then the refund is queried.
    """

    kind: NoticeKind
    order_no: str
    order_day: str = ""
    state: PaymentState | None = None
    amount: Money | None = None
    channel_trade_no: str | None = None
    paid_at: datetime | None = None
    payer_id: str | None = None
    funding: str | None = None
    channel_state: str = ""
    refund_no: str | None = None
    channel_refund_no: str | None = None
    refund_state: RefundState | None = None
    refund_sent_at: datetime | None = None
    notice_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReturnNotice:
    """The payer's browser came back. Never decides anything: it only makes a query due.

    `verified` says whether the channel signed it; `order_no` is None where it names none.
    """

    verified: bool
    order_no: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """Outcome of the connection check; `message` is fit to show to whoever filled in the form."""

    ok: bool
    message: Label
    detail: Mapping[str, str] = field(default_factory=dict)
