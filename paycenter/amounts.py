"""Amounts as people read them. Minor units inside, never a float."""

from __future__ import annotations

from dataclasses import dataclass

from paycenter.money import Money

_SYMBOLS = {
    "CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "HKD": "HK$", "TWD": "NT$", "SGD": "S$", "AUD": "A$",
    "CAD": "C$", "NZD": "NZ$", "KRW": "₩", "INR": "₹", "THB": "฿", "VND": "₫", "MOP": "MOP$",
}  # fmt: skip

_LONG = 10  # characters


@dataclass(frozen=True, slots=True)
class AmountText:
    """`symbol` is empty where the currency has none that everybody knows; then the code alone stands. `sign` is the
    minus of an amount below zero; `is_long` tells those that need a smaller type."""

    symbol: str
    number: str
    code: str
    sign: str = ""
    is_long: bool = False

    def __str__(self) -> str:
        return f"{self.sign}{self.symbol}{self.number}" if self.symbol else f"{self.sign}{self.number} {self.code}"


def amount_text(money: Money) -> AmountText:
    """`Money(123456, "CNY")` reads ¥1,234.56; yen have no decimals and dinars three."""
    whole, point, decimals = money.major.removeprefix("-").partition(".")
    number = f"{int(whole):,}{point}{decimals}"
    sign = "−" if money.minor < 0 else ""
    return AmountText(_SYMBOLS.get(money.currency, ""), number, money.currency, sign, is_long=len(number) > _LONG)
