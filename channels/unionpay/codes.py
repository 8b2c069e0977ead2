"""UnionPay's response codes and currencies in the center's words.

Appendix of https://open.unionpay.com/tjweb/acproduct/dictionary . What is not listed stays unknown. Left
out on purpose: 02 and 06 (closed, busy), 03 to 05 (time-out, unclear, being processed), 12 (an earlier send
may live), 42 to 45 (debited too late, refunded already ...), 98 and 99.
"""

from __future__ import annotations

import re

from paycenter.errors import MoneyError
from paycenter.money import Money

# A6 is a success with a flaw in its aftermath, which UnionPay's own demos treat as paid.
SUCCESS = frozenset({"00", "A6"})
NOT_FOUND = "34"
# Not taken in (format, signature, missing field), or declined by UnionPay or the card's bank.
REFUSALS = frozenset({
    "01", "10", "11", "13", "14",
    "30", "31", "32", "33", "36", "37", "38", "39", "40", "41",
    "60", "61", "62", "63", "64", "65", "66", "67", "68", "69", "70", "77",
})  # fmt: skip

_CURRENCIES = {
    "036": "AUD", "124": "CAD", "156": "CNY", "344": "HKD", "392": "JPY", "410": "KRW", "446": "MOP",
    "458": "MYR", "554": "NZD", "643": "RUB", "702": "SGD", "756": "CHF", "764": "THB", "826": "GBP",
    "840": "USD", "901": "TWD", "978": "EUR",
}  # fmt: skip
_AMOUNT = re.compile(r"[0-9]{1,12}")


def parse_amount(amount: str, currency: str) -> Money | None:
    """`txnAmt` (minor units) of `currencyCode` (ISO 4217 numeric); None for anything else."""
    code = _CURRENCIES.get(currency)
    if code is None or not _AMOUNT.fullmatch(amount):
        return None
    try:
        return Money(int(amount), code)
    except MoneyError:
        return None
