"""Orders that somebody took and answered for before they are rows: who needs one has it written first.

Who takes them stands above trades, and says here who is asked. So everything else sees stored rows only.
"""

from __future__ import annotations

from typing import Protocol


class TakenOrders(Protocol):
    """Each call answers whether it is worth looking into the database once more. They are made outside of rows' locks
    and after the database did not know the order."""

    def claim_order(self, app_id: int, merchant_no: str, app_order_no: str) -> bool:
        """Write the order where it was taken; else see that it is not taken for a while, as the caller opens it."""

    def bring_order(self, app_id: int, merchant_no: str, app_order_no: str) -> bool:
        """Write the order where it was taken. Raises ApiError where that cannot be found out."""

    def bring_trade(self, trade_no: str) -> bool:
        """The same by the center's number."""


class _Nobody:
    """Every order is written when it is answered."""

    def claim_order(self, app_id: int, merchant_no: str, app_order_no: str) -> bool:
        return False

    def bring_order(self, app_id: int, merchant_no: str, app_order_no: str) -> bool:
        return False

    def bring_trade(self, trade_no: str) -> bool:
        return False


_side: TakenOrders = _Nobody()


def listen(side: TakenOrders) -> None:
    """Register who takes orders; called once, when the program starts."""
    global _side
    _side = side


def side() -> TakenOrders:
    """Who takes orders before they are rows."""
    return _side
