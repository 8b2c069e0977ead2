"""Bills (对账单): a channel's own account of a day, as a file that is fetched or uploaded, read row by row.

The file is kept as it came. Reading it never holds more than a row: a bill may have millions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum

from paycenter.money import Money


class BillKind(StrEnum):
    TRADE = "trade"  # payments and refunds, as the channel booked them (业务账单)
    FUND = "fund"  # movements of the merchant's money at the channel, fees and withdrawals included (资金账单)


class BillRowKind(StrEnum):
    PAYMENT = "payment"
    REFUND = "refund"
    FEE = "fee"
    OTHER = "other"  # withdrawals, transfers: kept, and matched with nothing


class BillRowState(StrEnum):
    SUCCEEDED = "succeeded"
    PROCESSING = "processing"  # a refund that was accepted that day and had not ended
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class BillRow:
    """One line. `amount` is positive (the order's total, or what a refund gave back); `fee` is what the channel
    took (negative where it gave some back), None where this bill does not say.

    `order_no` and `refund_no` are the numbers we sent, empty where the row names none. `line` counts from 1 in
    the file as a person sees it in an editor.
    """

    line: int
    kind: BillRowKind
    amount: Money
    occurred_at: datetime
    order_no: str = ""
    channel_trade_no: str = ""
    refund_no: str = ""
    channel_refund_no: str = ""
    fee: Money | None = None
    state: BillRowState = BillRowState.SUCCEEDED
    channel_state: str = ""


@dataclass(frozen=True, slots=True)
class BillRule:
    """When a channel's day begins and its bill is there. `cut` is the time of day, in `zone`, at which a bill's
    day begins: `23:00` means that day D covers D-1 23:00 to D 23:00. `ready_at` is on the day after D."""

    zone: str = "Asia/Shanghai"
    cut: time = time(0, 0)
    ready_at: time = time(10, 0)
    kinds: tuple[BillKind, ...] = (BillKind.TRADE,)


@dataclass(frozen=True, slots=True)
class FetchedBill:
    """A bill that was downloaded. `empty` is the channel's explicit word that the day had no money; then there
    may be no file. `file_name` is the channel's own."""

    day: date
    kind: BillKind
    file_name: str
    empty: bool = False
