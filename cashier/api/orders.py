"""POST /v1/cashier/orders: open an order and get the address where its payer chooses and pays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cashier.intake.taking import cashier_order_take
from cashier.services import cashier_url, qr_url
from merchants.api import errors
from merchants.api.answers import instant, number, record, text
from merchants.api.endpoint import Endpoint
from merchants.api.fields import Rows, Shape, Text
from merchants.models import App
from paycenter.times import iso
from trades.api.orders import ORDER_EXAMPLE, ORDER_FIELDS, check_expiry, order_request

MAX_ROWS = 20
_ROW = Shape(fields={"label": Text(required=True, most=32), "value": Text(required=True, least=0, most=128)})


class CashierOrders(Endpoint):
    operation = "cashier_orders"
    about = "Open an order on the hosted cashier. The same order again gives the same addresses."
    takes = Shape(
        fields={
            **ORDER_FIELDS,
            "display": Rows(row=_ROW, most=MAX_ROWS, default=(), about="Rows shown to the payer."),
        },
        check=check_expiry,
    )
    example = {**ORDER_EXAMPLE, "display": [{"label": "房号", "value": "3-1201"}]}
    answers = record(
        {
            "trade_no": number(),
            "app_order_no": text(),
            "cashier_url": text("Send the payer's browser here."),
            "qr_url": text("Content of a QR code that WeChat and Alipay both understand."),
            "expire_at": instant(),
            "state": text(),
        }
    )
    errors = (errors.NotPermitted, errors.AlreadyPaid, errors.OrderClosed, errors.ContentDiffers)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        page = cashier_order_take(app=app, order=order_request(given), display=list(given["display"]))
        return {
            "trade_no": page.trade.trade_no,
            "app_order_no": page.trade.app_order_no,
            "cashier_url": cashier_url(page),
            "qr_url": qr_url(page),
            "expire_at": iso(page.trade.expire_at),
            "state": str(page.trade.state),
        }
