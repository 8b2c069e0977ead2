"""Writing taken orders into the database, many in one transaction; written twice, they are there once."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, connection, transaction

from cashier.intake.taken import TakenOrder
from cashier.models import CashierOrder
from paycenter import compiled
from paycenter.combining import Combiner, WriteAlone, is_the_database
from paycenter.models import Event
from paycenter.transitions import record_event
from trades.models import Trade
from trades.telling import trade_created


class Contradicted(Exception):
    """The app's number belongs to another order, which has a page of its own."""


def store(orders: Sequence[TakenOrder]) -> list[Exception | None]:
    """Write them; for each what is wrong with it, or None. A bad one spoils nobody else's.

    Raises OperationalError or InterfaceError where the database fails; what was written by then stays.
    """
    if len(orders) > 1 and connection.vendor == "postgresql":
        try:
            found = store_together(orders)
        except Exception as exc:
            if is_the_database(exc):
                raise
            half = len(orders) // 2  # nothing is written; the bad one is in one of the halves
            return [*store(orders[:half]), *store(orders[half:])]
    else:
        found = [WriteAlone()] * len(orders)
    return [
        _outcome(order) if isinstance(one, WriteAlone) else None for order, one in zip(orders, found, strict=True)
    ]


def _outcome(order: TakenOrder) -> Exception | None:
    try:
        store_alone(order)
    except Exception as exc:
        if is_the_database(exc):
            raise
        return exc
    return None


def store_now(order: TakenOrder) -> None:
    """Write one that somebody needs, with those that others need at the same moment. Raises as `store_alone`."""
    _needed.write(order)


def store_alone(order: TakenOrder) -> None:
    """Write one. Raises Contradicted, or what the database says against the row."""
    order.trade.pk = None  # a try with others may have given it one
    try:
        with transaction.atomic():
            compiled.insert(order.trade)
            trade_created(order.trade, actor=_actor(order))
            order.page.trade = order.trade
            compiled.insert(order.page)
    except IntegrityError:
        there = _stored(order)
        if there is None:
            raise
        if there.trade_no != order.trade.trade_no:
            _give_page(there, order)


def store_together(orders: Sequence[TakenOrder]) -> list[WriteAlone | None]:
    """As each alone, in five statements (PostgreSQL); those whose numbers are there already are left for that."""
    with transaction.atomic():
        for order, key in zip(orders, compiled.next_keys(Trade, len(orders)), strict=True):
            order.trade.pk = key
        with compiled.gathering() as found:
            for order in orders:
                trade_created(order.trade, actor=_actor(order))
        events = dict(zip((order.trade.pk for order in orders), found.new[Event], strict=True))
        # In one order everywhere: two groups with the same orders would wait for each other otherwise.
        ordered = sorted(orders, key=lambda o: (o.trade.app_id, o.trade.merchant_id, o.trade.app_order_no))
        stored = compiled.insert_rows([order.trade for order in ordered], keyed=True, unless_there=True)
        for order in orders:
            order.page.trade = order.trade
        compiled.insert_rows([order.page for order in orders if order.trade.pk in stored])
        compiled.insert_rows([event for key, event in events.items() if key in stored])
    return [None if order.trade.pk in stored else WriteAlone() for order in orders]


def _stored(order: TakenOrder) -> Trade | None:
    """The trade that the database has under the app's number."""
    trade = order.trade
    rows = Trade.objects.select_related("app", "merchant").filter(app_id=trade.app_id, merchant_id=trade.merchant_id)
    return rows.filter(app_order_no=trade.app_order_no).first()


def _give_page(there: Trade, order: TakenOrder) -> None:
    """The order was opened by another call as well, which could not see this one: the payer's address leads there.

    Raises Contradicted where that trade has a page.
    """
    page = CashierOrder(trade=there, token=order.page.token, code=order.page.code, display=order.page.display)
    try:
        with transaction.atomic():
            compiled.insert(page)
            record_event(there, "trade.page_added", actor="system", detail={"answered_as": order.trade.trade_no})
    except IntegrityError:
        if not CashierOrder.objects.filter(trade=there, token=order.page.token).exists():
            raise Contradicted(f"the app's number belongs to {there.trade_no}") from None


def _actor(order: TakenOrder) -> str:
    return f"app:{order.trade.app.app_id}"


_needed: Combiner[TakenOrder, None] = Combiner(store_alone, store_together)
