"""Whether an order goes through the stream, taking it, and having those written that somebody needs now."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog
from django.conf import settings

from cashier.intake.figures import count
from cashier.intake.storing import Contradicted, store_now
from cashier.intake.stream import HELD, Entry, StreamAway, Taking, is_in_use, stream
from cashier.intake.taken import TakenOrder, Unreadable, order_name, read
from cashier.models import CashierOrder
from cashier.services import cashier_order_create
from merchants.channels import active_merchant
from merchants.models import App
from paycenter.combining import Combiner, is_the_database
from paycenter.money import is_currency
from trades.opening import stored_trade
from trades.orders import OrderRequest

log = structlog.get_logger(__name__)


def cashier_order_take(*, app: App, order: OrderRequest, display: Sequence[dict[str, str]]) -> CashierOrder:
    """As `cashier_order_create`; through the stream where that is switched on and the database has enough to do.

    An order of the stream is answered without being a row yet.
    """
    page = _through_the_stream(app, order, display) if is_taking() else None
    return page or cashier_order_create(app=app, order=order, display=display)


def is_taking() -> bool:
    """Whether a new order goes into the stream now."""
    if settings.ORDER_STREAM == "auto":
        return bool(Combiner.waited() >= settings.ORDER_STREAM_WAIT)
    return bool(settings.ORDER_STREAM == "on")


def _through_the_stream(
    app: App, order: OrderRequest, display: Sequence[dict[str, str]]
) -> CashierOrder | None:
    """The page of an order that was taken just now; None where the database has to answer."""
    if not is_currency(order.currency):
        return None
    began, merchant = time.monotonic(), active_merchant(app, order.merchant_no)
    if stored_trade(app, merchant, order) is not None:
        return None
    rows = [{"label": row["label"], "value": row["value"]} for row in display]
    taken = TakenOrder.of(app, merchant, order, rows)
    try:
        outcome = stream().take(
            taken.names.places(), taken.text(), limit=settings.ORDER_STREAM_LIMIT, oldest=settings.ORDER_STREAM_OLDEST
        )
    except StreamAway as exc:
        count("away")
        if exc.unsure:  # it may be in the stream: written here under the same numbers, it is there once
            store_now(taken)
        return None
    count(outcome)
    if time.monotonic() - began > HELD / 2:
        return None  # so late that what was not stored then may have been written meanwhile
    return taken.page if outcome is Taking.TAKEN else None


def bring_page(kind: str, value: str) -> bool:
    """Write the order of this `token` or `code` where it was taken; whether it is worth looking for it again.

    Raises StreamAway.
    """
    return is_in_use() and _bring(stream().find(kind, value))


def _bring(entry: Entry | None) -> bool:
    if entry is None or not entry.text:
        return entry is not None
    order = read([entry])[0]
    if isinstance(order, Unreadable):
        return False  # the writer gives it up
    try:
        store_now(order)
    except Exception as exc:
        if is_the_database(exc):
            raise
        # The writer gives it up and tells people.
        log.error("a taken order cannot be written", trade_no=order.trade.trade_no, error=type(exc).__name__)
        return isinstance(exc, Contradicted)
    return True


class _Side:
    """What trades ask (`trades.taken_port`)."""

    def claim_order(self, app_id: int, merchant_no: str, app_order_no: str) -> bool:
        """Without Redis the caller goes on: payments do not wait for it."""
        try:
            return is_in_use() and _bring(stream().claim(order_name(app_id, merchant_no, app_order_no)))
        except StreamAway:
            return False

    def bring_order(self, app_id: int, merchant_no: str, app_order_no: str) -> bool:
        return is_in_use() and _bring(stream().find("order", order_name(app_id, merchant_no, app_order_no)))

    def bring_trade(self, trade_no: str) -> bool:
        return is_in_use() and _bring(stream().find("trade", trade_no))


SIDE = _Side()
