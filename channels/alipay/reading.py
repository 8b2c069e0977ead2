"""Amounts, funding and text as Alipay writes them, in the center's own types."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from paycenter.errors import MoneyError
from paycenter.money import Money

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")


def parse_amount(text: str) -> Money | None:
    """Yuan with at most two decimals; None for anything else."""
    if not _AMOUNT.fullmatch(text):
        return None
    try:
        return Money.from_major(text)
    except MoneyError:
        return None


def main_funding(bills: object, key: str) -> str | None:
    """The channel that carried most of the money, from `fund_bill_list` (a list, or JSON text of one)."""
    try:
        rows: Any = json.loads(bills) if isinstance(bills, str) else bills
        best = max(rows or (), key=lambda row: Decimal(str(row["amount"])), default=None)
        return str(best[key]) if best else None
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        return None


def clean_text(text: str, length: int) -> str:
    """Without control characters and lone surrogates, at most `length` UTF-16 units, as Alipay counts."""
    units = _CONTROL.sub(" ", text).encode("utf-16-le", errors="ignore")
    return units[: length * 2].decode("utf-16-le", errors="ignore").strip()
