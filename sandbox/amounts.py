"""Minor units (int) to and from the decimal texts that providers use."""

from __future__ import annotations

import re

_DECIMAL = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,2}))?", re.ASCII)


def yuan(fen: int) -> str:
    """`1` becomes `0.01`."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def parse_yuan(text: str) -> int:
    """`0.1` becomes 10 fen; ValueError for anything but a decimal of at most two places."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"not an amount in yuan: {text!r}")
    sign, whole, part = match.groups()
    fen = int(whole) * 100 + int((part or "").ljust(2, "0"))
    return -fen if sign else fen


def thousandths_of_percent(fen: int, rate: int) -> int:
    """A fee at `rate` (600 means 0.6 %), rounded half up to whole fen."""
    return (fen * rate + 50_000) // 100_000


_EXPONENTS = {"JPY": 0, "KWD": 3}
_MAJOR = re.compile(r"(\d{1,13})(?:\.(\d+))?", re.ASCII)


def major(minor: int, currency: str) -> str:
    """Major units with as many decimals as the currency has: `1234` is `12.34` CNY, `1.234` KWD, `1234` JPY."""
    places = _EXPONENTS.get(currency, 2)
    unit: int = 10**places
    whole, part = divmod(abs(minor), unit)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{part:0{places}d}" if places else f"{sign}{whole}"


def parse_major(text: str, currency: str) -> int:
    """Minor units; ValueError for anything but a decimal without a sign and without surplus decimals."""
    places = _EXPONENTS.get(currency, 2)
    match = _MAJOR.fullmatch(text)
    if match is None or len(match.group(2) or "") > places:
        raise ValueError(f"not an amount in {currency}: {text!r}")
    return int(match.group(1) + (match.group(2) or "").ljust(places, "0"))


def display(minor: int, currency: str) -> tuple[str, str]:
    """(sign, number) as a payer reads it."""
    return "¥" if currency == "CNY" else f"{currency} ", major(minor, currency)
