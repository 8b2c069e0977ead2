"""Money: an integer number of minor units in an ISO 4217 currency. Floats appear nowhere."""

# ruff: noqa: SIM905 - lists of codes read better as words
from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from paycenter.errors import MoneyError

# Minor-unit exponents that differ from 2 (ISO 4217, list of active codes).
_EXPONENTS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
_TWO_DECIMALS = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SYP SZL THB TJS TMT "
    "TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWL".split()
)
MAX_MINOR = 10**11
_MAX_DIGITS = 20  # before or after the point; also bounds the work that a text like 1E+999999 causes


def is_currency(code: object) -> bool:
    """Whether `code` is a known three-letter ISO 4217 currency code."""
    return isinstance(code, str) and (code in _EXPONENTS or code in _TWO_DECIMALS)


def scale_of(currency: str) -> int:
    """Decimal places of the currency's minor unit (CNY 2, JPY 0, KWD 3).

    Raises MoneyError for an unknown currency.
    """
    if not is_currency(currency):
        raise MoneyError(f"unknown currency {currency!r}")
    return _EXPONENTS.get(currency, 2)


@dataclass(frozen=True, order=False, slots=True)
class Money:
    """`minor` units of `currency`; `minor` may be zero or negative in sums, never a float."""

    minor: int
    currency: str = "CNY"

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise MoneyError(f"money needs an integer of minor units, not {self.minor!r}")
        scale_of(self.currency)

    @property
    def scale(self) -> int:
        return scale_of(self.currency)

    @property
    def major(self) -> str:
        """Major units as channels want them: `Money(1234).major == "12.34"`, JPY without a point."""
        value = Decimal(self.minor).scaleb(-self.scale)
        return f"{value:.{self.scale}f}"

    @classmethod
    def from_major(cls, text: str | Decimal | int, currency: str = "CNY") -> Money:
        """Parse major units exactly; more decimals than the currency has raise MoneyError."""
        if isinstance(text, float):
            raise MoneyError("money is never a float")
        try:
            value = Decimal(text)
            if not value.is_finite() or abs(value.adjusted()) > _MAX_DIGITS:
                raise MoneyError("not an amount of any order of money")
            minor = int(value.scaleb(scale_of(currency)))
        except (ArithmeticError, ValueError, TypeError) as exc:
            raise MoneyError("not an amount") from exc
        if Decimal(minor).scaleb(-scale_of(currency)) != value:
            raise MoneyError(f"{text!r} has more decimals than {currency} has")
        return cls(minor, currency)

    def __str__(self) -> str:
        return f"{self.currency} {self.major}"
