"""The trade behind an order: found, or opened once however many ask at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from merchants.api.errors import BadParameter
from merchants.models import App, Merchant
from paycenter import compiled
from paycenter.numbers import NumberKind, new_number
from trades import taken_port
from trades.models import Trade
from trades.orders import OrderRequest
from trades.telling import trade_created

KEPT = (
    "app_order_no", "business_no", "amount", "currency", "subject", "body", "detail", "attach", "notify_url",
    "return_url", "client_ip", "funding", "profit_sharing",
)  # fmt: skip
# Some minutes more than the contract's 7 days, because the app counts by its own clock.
_LONGEST_LIFE = timedelta(days=7, minutes=5)


_BY_ORDER = compiled.Select(
    lambda app, merchant, app_order_no: Trade.objects.filter(
        app_id=app, merchant_id=merchant, app_order_no=app_order_no
    ),
    app=int, merchant=int, app_order_no=str,
)  # fmt: skip


def find_trade(app: App, merchant: Merchant, order: OrderRequest) -> Trade | None:
    """The order's trade, if it was opened before; its app and merchant are the given objects.

    Where it was not, nobody takes the order into a queue for a while: the caller is about to open it.
    """
    found = stored_trade(app, merchant, order)
    if found is None and taken_port.side().claim_order(app.pk, merchant.merchant_no, order.app_order_no):
        return stored_trade(app, merchant, order)
    return found


def stored_trade(app: App, merchant: Merchant, order: OrderRequest) -> Trade | None:
    """As `find_trade`, among what the database holds."""
    found = _BY_ORDER.first(app=app.pk, merchant=merchant.pk, app_order_no=order.app_order_no)
    if found is not None:
        found.app, found.merchant = app, merchant
    return found


def open_once(app: App, merchant: Merchant, order: OrderRequest) -> Trade:
    """Open the order's trade. Two first calls at once get the same one. Raises BadParameter."""
    try:
        with transaction.atomic():
            return open_new(app, merchant, order)
    except IntegrityError:
        found = find_trade(app, merchant, order)
        if found is None:
            raise
        return found


def open_new(app: App, merchant: Merchant, order: OrderRequest) -> Trade:
    """Open the order's trade, in the caller's transaction.

    Raises BadParameter, and IntegrityError where somebody else just opened it.
    """
    trade = new_trade(app, merchant, order)
    compiled.insert(trade)
    trade_created(trade, actor=f"app:{app.app_id}")
    return trade


def new_trade(app: App, merchant: Merchant, order: OrderRequest) -> Trade:
    """The order's trade under a new number, not stored yet. Raises BadParameter."""
    now = timezone.now()
    expire_at = _expiry(order, now)
    # What the trade keeps under the order's own names.
    kept: dict[str, Any] = {name: getattr(order, name) for name in KEPT}
    kept["payer"] = dict(order.payer) or None
    return Trade(
        trade_no=new_number(NumberKind.TRADE), app=app, merchant=merchant,
        phone_tail=phone_tail(order.payer), created_at=now, expire_at=expire_at, next_close_at=expire_at, **kept,
    )  # fmt: skip


def _expiry(order: OrderRequest, now: datetime) -> datetime:
    if order.expire_at is not None:
        if not now < order.expire_at <= now + _LONGEST_LIFE:
            raise BadParameter({"expire_at": ["must lie in the future, and not more than 7 days off"]})
        return order.expire_at
    return now + timedelta(seconds=order.expire_in if order.expire_in is not None else 1800)


def phone_tail(payer: Mapping[str, str]) -> str:
    """The last four digits of the payer's phone number, by which customer service finds a trade."""
    return "".join(c for c in payer.get("phone", "") if c.isdigit())[-4:]
