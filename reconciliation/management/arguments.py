"""What the commands about bills take and print alike."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import date
from typing import Any

from django.core.management.base import CommandError

from channels.base.bills import BillKind
from merchants.models import PaymentAccount
from reconciliation.models import Bill

ACTOR = "system:command"


def day_argument(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("a day is written YYYY-MM-DD") from None


def add_bill_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--account", required=True, help="payment number")
    parser.add_argument("--day", required=True, type=day_argument, help="the channel's day, YYYY-MM-DD")
    kinds = [kind.value for kind in BillKind]
    parser.add_argument("--kind", choices=kinds, default=BillKind.TRADE.value, help="payments and refunds, or funds")


def account_of(payment_no: str) -> PaymentAccount:
    """Raises CommandError where there is no such account."""
    account = PaymentAccount.objects.select_related("merchant").filter(payment_no=payment_no).first()
    if account is None:
        raise CommandError(f"there is no payment account {payment_no}")
    return account


def progress_on(stream: Any, word: str) -> Callable[[int], None]:
    """Writes at most once in a second."""
    last = [time.monotonic()]

    def tell(count: int) -> None:
        if time.monotonic() - last[0] >= 1:
            last[0] = time.monotonic()
            stream.write(f"{count:,} {word}")
            stream.flush()

    return tell


def outcome(bill: Bill) -> str:
    """What became of a bill, in a line. Raises CommandError for a refused one."""
    if bill.state == "refused":
        place = f" (line {bill.refusal_line})" if bill.refusal_line else ""
        raise CommandError(f"refused{place}: {bill.refusal}")
    return f"{bill.account.payment_no} {bill.day}: {bill.state}, {bill.rows_read:,} rows"
