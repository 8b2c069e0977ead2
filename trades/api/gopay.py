"""POST /v1/gopay: start paying an order through one method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.answers import instant, integer, nullable, number, record, text
from merchants.api.endpoint import Endpoint
from merchants.api.fields import MethodCode, Shape, Text
from merchants.models import App
from paycenter.times import iso
from trades.api.answers import PAY
from trades.api.orders import ORDER_EXAMPLE, ORDER_FIELDS, check_expiry, order_request
from trades.models import Attempt
from trades.services import trade_pay


class Gopay(Endpoint):
    operation = "gopay"
    about = "Start a payment. The answer says initiated, never paid."
    takes = Shape(
        fields={
            **ORDER_FIELDS,
            "payment_no": Text(most=32, about="May be left out when one active account has the method."),
            "method": MethodCode(required=True),
            "contract_no": Text(most=64, about="For a deduction without password."),
        },
        check=check_expiry,
    )
    example = {**ORDER_EXAMPLE, "method": "wechat_native"}
    answers = record(
        {
            "trade_no": number(),
            "attempt_no": number(),
            "channel_order_no": text(),
            "app_order_no": text(),
            "channel_trade_no": nullable(text()),
            "state": text(),
            "amount": integer(),
            "currency": text(),
            "expire_at": instant(),
            "pay": PAY,
        }
    )
    errors = (
        errors.NotPermitted, errors.NotFound, errors.AlreadyPaid, errors.OrderClosed, errors.ContentDiffers,
        errors.ChannelRefused, errors.ChannelShed, errors.ChannelUnknown,
    )  # fmt: skip

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        attempt = trade_pay(
            app=app, order=order_request(given), method=given["method"], payment_no=given["payment_no"],
            contract_no=given["contract_no"],
        )  # fmt: skip
        return attempt_data(attempt)


def attempt_data(attempt: Attempt) -> dict[str, Any]:
    """What gopay answers for an attempt."""
    trade = attempt.trade
    return {
        "trade_no": trade.trade_no,
        "attempt_no": attempt.attempt_no,
        "channel_order_no": attempt.channel_order_no,
        "app_order_no": trade.app_order_no,
        "channel_trade_no": attempt.channel_trade_no,
        "state": str(trade.state),
        "amount": attempt.amount,
        "currency": attempt.currency,
        "expire_at": iso(trade.expire_at),
        "pay": attempt.pay,
    }
