"""What the bank's fields mean, and ours in its form."""

from __future__ import annotations

import re
from collections.abc import Mapping

from channels.bank.gateway import beijing_day
from channels.base import OrderRef
from paycenter.errors import MalformedInbound
from paycenter.money import Money

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,12})\.[0-9]{2}", re.ASCII)
_DAY = re.compile(r"[0-9]{8}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def order_name(order: OrderRef) -> dict[str, str]:
    """Number and day, which together name an order."""
    return {"BillNo": order.order_no, "Date": beijing_day(order.sent_at)}


def named(found: Mapping[str, str]) -> tuple[str, str]:
    """Number and day of the order that a genuine message is about. Raises MalformedInbound."""
    number, day = found.get("BillNo", ""), found.get("Date", "")
    if not number or not _DAY.fullmatch(day):
        raise MalformedInbound("no order number or day")
    return number, day


def parse_amount(text: str) -> Money | None:
    """Yuan with exactly two decimals; None for anything else."""
    return Money.from_major(text) if _AMOUNT.fullmatch(text) else None


def clean_text(text: str, length: int) -> str:
    """Without control characters, `&` and lone surrogates; at most `length` characters."""
    plain = _CONTROL.sub(" ", text).replace("&", "＆").encode("utf-8", errors="ignore").decode("utf-8")
    return plain[:length].strip()
