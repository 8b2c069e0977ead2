"""WeChat Pay's words about a payment, as answers and notifications carry them, in the one internal form.

https://pay.weixin.qq.com/doc/v3/merchant/4012791859
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.base import PaymentState
from channels.base.beijing import BEIJING
from channels.base.reading import Unreadable, minor_in, moment_in, optional_in, text_in
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


def money(data: Mapping[str, Any], name: str) -> Money:
    """`amount.<name>` in minor units; the currency is CNY unless named. Raises Unreadable."""
    amount = data.get("amount")
    if not isinstance(amount, dict):
        raise Unreadable("amount is missing")
    return minor_in(amount, name, "CNY")


def payment_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """What QueryResult and Notice have in common. Raises Unreadable, also for an unknown state."""
    word = text_in(data, "trade_state")
    state = STATES.get(word)
    if state is None:
        raise Unreadable("trade_state is not a word we know")
    paid = state is PaymentState.PAID
    payer = data.get("payer")
    return {
        "state": state,
        "order_no": text_in(data, "out_trade_no"),
        "amount": money(data, "total") if paid else None,
        "channel_trade_no": text_in(data, "transaction_id") if paid else optional_in(data, "transaction_id"),
        "paid_at": moment_in(data, "success_time", BEIJING),
        "payer_id": optional_in(payer, "openid") if isinstance(payer, dict) else None,
        "funding": optional_in(data, "bank_type"),
        "channel_state": word,
    }
