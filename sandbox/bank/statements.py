"""The statement of a day: lines of fields separated by `|`."""

from __future__ import annotations

import base64

from sandbox.amounts import yuan
from sandbox.bank.wire import Fields, Refused, day, stamp
from sandbox.bills import Bill, BillRow, bill_for
from sandbox.channel import BillFile
from sandbox.clock import beijing, day_bounds
from sandbox.context import Context
from sandbox.records import Account

_READY_HOUR = 9


class Statements:
    def __init__(self, context: Context) -> None:
        self.context = context

    def answer(self, account: Account, fields: Fields) -> dict[str, str]:
        date = beijing(day(fields, "StatementDate")).strftime("%Y-%m-%d")
        ready = day_bounds(date)[1] + _READY_HOUR * 3600
        if self.context.clock() < ready and not self.context.settings.same_day_bills:
            raise Refused("STM0001", "对账单不存在或尚未生成")
        made = render(account, bill_for(self.context.book, account, date, refund_states=False))
        return {"FileName": made.filename, "Content": base64.b64encode(made.content).decode()}


def render(account: Account, bill: Bill) -> BillFile:
    date, branch_id, co_no = bill.date.replace("-", ""), account.config["branch_id"], account.config["co_no"]
    lines = [f"H|{date}|{branch_id}|{co_no}", *(_line(row, date) for row in bill.rows), _totals(bill)]
    content = "".join(f"{line}\r\n" for line in lines).encode()
    return BillFile(f"{branch_id}{co_no}_{date}.txt", "text/plain", content)


def _line(row: BillRow, date: str) -> str:
    # A line that an edit invented about an order nobody knows has a bare number.
    order_date, number = row.order_no.rsplit("-", 2)[1:] if row.order_no.count("-") >= 2 else (date, row.order_no)
    fields = [
        "R" if row.kind == "refund" else "P", order_date, number, row.trade_no, stamp(row.occurred_at),
        yuan(row.amount), yuan(row.fee), row.refund_no,
    ]  # fmt: skip
    return "|".join(fields)


def _totals(bill: Bill) -> str:
    paid = [r for r in bill.rows if r.kind == "payment"]
    back = [r for r in bill.rows if r.kind == "refund"]
    fees = sum(r.fee for r in paid) - sum(r.fee for r in back)
    sums = [str(len(paid)), yuan(sum(r.amount for r in paid)), str(len(back)), yuan(sum(r.amount for r in back))]
    return "|".join(["T", *sums, yuan(fees)])
