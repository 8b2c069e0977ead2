"""POST /v1/refund: give back a paid trade, wholly or in part, or an abnormal payment of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.endpoint import Endpoint
from merchants.api.fields import PRINTABLE_ASCII, Address, Shape, Text, amount
from merchants.models import App
from refunds.api.answers import REFUND
from refunds.selectors import refund_data
from refunds.services import RefundRequest, refund_request_by_app


class RefundCall(Endpoint):
    operation = "refund"
    about = "Ask for a refund. It answers before the channel is called; the policy may send it to approval."
    takes = Shape(
        fields={
            "merchant_no": Text(required=True, most=32),
            "trade_no": Text(required=True, most=64, about="The center's number of the trade."),
            "app_refund_no": Text(
                required=True, most=64, pattern=PRINTABLE_ASCII, hint="printable ASCII",
                about="Your number for the refund; the same number again is the same refund.",
            ),
            "amount": amount(),
            "reason": Text(required=True, most=128),
            "payment_no": Text(most=32),
            "attempt_no": Text(most=64, about="To refund an abnormal payment of the trade: its attempt."),
            "notify_url": Address(default=""),
        }
    )  # fmt: skip
    example = {
        "merchant_no": "M0000000001", "trade_no": "P20261121080000000000ABCDEFG", "app_refund_no": "REFUND-20261121-1",
        "amount": 100, "reason": "paid for the wrong month",
    }  # fmt: skip
    answers = REFUND
    errors = (errors.NotFound, errors.ContentDiffers, errors.NotPossible, errors.RefundExceeds)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        return refund_data(refund_request_by_app(app=app, request=RefundRequest(**given)))
