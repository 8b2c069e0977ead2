"""What a notification says. A genuine one says what the book says; the fakes of the controls don't."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sandbox.records import Payment, Refund


class Kind(StrEnum):
    NORMAL = "normal"
    NONE = "none"
    TWICE = "twice"
    FORGED = "forged"
    UNSIGNED = "unsigned"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CURRENCY = "wrong_currency"
    OTHER_MERCHANT = "other_merchant"
    OTHER_ORDER = "other_order"


class Signing(StrEnum):
    GENUINE = "genuine"
    FORGED = "forged"  # with a key that is nobody's
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The contents of one notification; amounts in minor units, times in Unix seconds.

    `merchant_id` and `app_id` are None where the contract's own are meant. `topic` is the step it is
    about, where a provider also tells of others than the payment itself.
    """

    order_no: str
    trade_no: str
    amount: int
    currency: str
    paid_at: float
    merchant_id: str | None = None
    app_id: str | None = None
    signing: Signing = Signing.GENUINE
    topic: str = ""

    def changed(self, changes: Mapping[str, Any]) -> Claim:
        """With what a fake says instead, as stored with the notification."""
        values = dict(changes)
        if "signing" in values:
            values["signing"] = Signing(values["signing"])
        return replace(self, **values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request that a channel sends: everything but the moment of sending.

    `acknowledged` judges the answer's status and body where the channel's usual way does not fit.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    acknowledged: Callable[[int, bytes], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a notification is about: a payment, or one of its refunds."""

    payment: Payment
    refund: Refund | None = None
