"""Bills (对账单): a channel's own account of a day, as a file that is fetched or uploaded, read row by row.

The file is kept as it came. Reading it never holds more than a row: a bill may have millions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

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
    """One line. `amount` of a payment or refund is positive (the order's total, or what a refund gave back); of a
    FEE or OTHER row it is the movement on the account, negative where money left it. `fee` is what the channel
    took (negative where it gave some back), None where this bill does not say.

    `order_no` and `refund_no` are the numbers we sent, empty where the row names none; `order_day` (`YYYYMMDD`)
    where the channel's numbers repeat on other days (see `NumberRule`). `line` counts from 1 in the file as a
    person sees it in an editor.
    """

    line: int
    kind: BillRowKind
    amount: Money
    occurred_at: datetime
    order_no: str = ""
    order_day: str = ""
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

    def bounds(self, day: date) -> tuple[datetime, datetime]:
        """When the bill's day begins, and when it is over (exclusive)."""
        end_day = day if self.cut > time(0, 0) else day + timedelta(days=1)
        end = datetime.combine(end_day, self.cut, ZoneInfo(self.zone))
        return end - timedelta(days=1), end

    def ready(self, day: date) -> datetime:
        """From when on the channel is asked for it."""
        return datetime.combine(day + timedelta(days=1), self.ready_at, ZoneInfo(self.zone))

    def overdue(self, day: date, now: datetime) -> bool:
        """Whether a bill that still is not there will never come: a day after it was due. Some channels have one
        word for "not yet" and "no money that day"."""
        return now >= self.ready(day) + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FetchedBill:
    """A bill that was downloaded. `empty`: the day had no money, by the channel's explicit word or by its "no such
    file" once the bill is overdue; then there may be no file. `file_name` is the channel's own."""

    day: date
    kind: BillKind
    file_name: str
    empty: bool = False
