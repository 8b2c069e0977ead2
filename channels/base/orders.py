"""What the core hands to a provider. Typed values in; no ORM objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from paycenter.money import Money


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRef:
    """An attempt as the channel knows it: enough to query, close or match a return.

    `order_no` is the only number ever sent to the channel. `sent_at` is when the attempt was first
    sent (aware; the pair order number + time names an order at UnionPay). `memo` is what the
    provider's own `pay` returned in `Initiated.memo`, stored server-side with the attempt; from the start
    it holds the center's `contract_no` where the attempt deducts under a contract.
    """

    order_no: str
    amount: Money
    sent_at: datetime
    expire_at: datetime
    channel_trade_no: str | None = None
    memo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PayOrder(OrderRef):
    """An attempt about to be sent.

    `expire_at` is absolute and no later than the trade's own expiry. `notify_url` and `return_url`
    are the center's public addresses for this attempt. `payer` may hold `openid`, `buyer_id`,
    `phone`; keys that the method does not use are ignored. `contract_no` is the channel's number of the
    contract under which a `ContractMethod` deducts; None for every other method.
    """

    subject: str
    notify_url: str
    return_url: str
    body: str = ""
    client_ip: str | None = None
    payer: Mapping[str, str] = field(default_factory=dict)
    funding: str | None = None
    profit_sharing: bool = False
    contract_no: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberRule:
    """A channel's own format for order numbers: exactly `digits` digits, unique per account and day.

    The day is the calendar day of `sent_at` in `zone`; number and day together name an order there.
    """

    digits: int
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, kw_only=True, slots=True)
class InboundRequest:
    """A request from a channel or a returning browser, exactly as received.

    `path` excludes the query; `query` is the raw query string; header names are lower case.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a channel expects to hear back from its notification."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
