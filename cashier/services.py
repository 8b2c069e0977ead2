"""Writes of the hosted cashier: opening an order's page, and paying from it."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db import IntegrityError, transaction

from cashier.models import CashierOrder, PrintedCode
from merchants.models import App
from trades.models import Trade
from trades.orders import OrderRequest
from trades.services import trade_open


def cashier_order_create(
    *, app: App, order: OrderRequest, display: Sequence[dict[str, str]]
) -> CashierOrder:
    """Open the order and its page. The same order again gives the same page with the newest rows.

    `display` are up to 20 rows `{"label", "value"}`, checked by the caller. `trade` is loaded on the
    answer. Raises AlreadyPaid, OrderClosed, ContentDiffers or NotPermitted as gopay does.
    """
    trade = trade_open(app=app, order=order)
    rows = [{"label": row["label"], "value": row["value"]} for row in display]
    page = _page_of(trade, rows)
    page.trade = trade
    if page.display != rows:
        page.display = rows
        page.save(update_fields=["display"])
    return page


def _page_of(trade: Trade, rows: list[dict[str, str]]) -> CashierOrder:
    """The trade's only page, also when two requests open it at the same moment."""
    found = CashierOrder.objects.filter(trade=trade).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return CashierOrder.objects.create(trade=trade, display=rows)
    except IntegrityError:
        return CashierOrder.objects.get(trade=trade)


def cashier_url(page: CashierOrder) -> str:
    """Where the payer pays this order."""
    return f"{settings.PUBLIC_BASE_URL}/c/{page.token}"


def qr_url(page: CashierOrder) -> str:
    """The content of the order's aggregated QR code."""
    return f"{settings.PUBLIC_BASE_URL}/q/{page.code}"


def printed_order_create(
    *, printed: PrintedCode, app_order_no: str, amount: int, client_ip: str | None
) -> CashierOrder:
    """An order of a printed code under a number the center issued; `amount` in minor units.

    The same number again gives the same page, so that a form sent twice opens one order. A fixed
    amount wins over `amount`. Raises as `cashier_order_create`.
    """
    order = OrderRequest(
        merchant_no=printed.merchant.merchant_no, app_order_no=app_order_no, currency=printed.currency,
        amount=printed.fixed_amount or amount, subject=printed.title, client_ip=client_ip,
    )  # fmt: skip
    return cashier_order_create(app=printed.app, order=order, display=[])
