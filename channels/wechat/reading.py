"""WeChat Pay's words about a payment, as answers and notifications carry them, in the one internal form.

https://pay.weixin.qq.com/doc/v3/merchant/4012791859
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from channels.base import PaymentState
from channels.wechat.ordering import BEIJING
from paycenter.errors import MoneyError
from paycenter.money import Money

STATES: Mapping[str, PaymentState] = {
    "NOTPAY": PaymentState.UNPAID,
    "USERPAYING": PaymentState.UNPAID,
    "SUCCESS": PaymentState.PAID,
    "REFUND": PaymentState.PAID,  # from the first partial refund on; the money did come in
    "CLOSED": PaymentState.CLOSED,
    "REVOKED": PaymentState.CLOSED,
    "PAYERROR": PaymentState.FAILED,
}


class Unreadable(ValueError):
    """A genuine message whose fields are not what the protocol says; the message names the field."""


def text(data: Mapping[str, Any], name: str) -> str:
    """A text that must be there. Raises Unreadable."""
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{name} is missing")
    return value


def optional(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return value if isinstance(value, str) and value else None


def money(data: Mapping[str, Any], name: str) -> Money:
    """`amount.<name>` in minor units; the currency is CNY unless named. Raises Unreadable."""
    amount = data.get("amount")
    if not isinstance(amount, dict):
        raise Unreadable("amount is missing")
    try:
        return Money(amount.get(name), amount.get("currency") or "CNY")  # type: ignore[arg-type]
    except MoneyError as exc:
        raise Unreadable(f"amount.{name} is not an amount") from exc


def moment(data: Mapping[str, Any], name: str) -> datetime | None:
    """A time, aware; None where absent or not a time (it decides nothing)."""
    try:
        found = datetime.fromisoformat(optional(data, name) or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=BEIJING)


def payment_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """What QueryResult and Notice have in common. Raises Unreadable, also for an unknown state."""
    word = text(data, "trade_state")
    state = STATES.get(word)
    if state is None:
        raise Unreadable("trade_state is not a word we know")
    paid = state is PaymentState.PAID
    payer = data.get("payer")
    return {
        "state": state,
        "order_no": text(data, "out_trade_no"),
        "amount": money(data, "total") if paid else None,
        "channel_trade_no": text(data, "transaction_id") if paid else optional(data, "transaction_id"),
        "paid_at": moment(data, "success_time"),
        "payer_id": optional(payer, "openid") if isinstance(payer, dict) else None,
        "funding": optional(data, "bank_type"),
        "channel_state": word,
    }
