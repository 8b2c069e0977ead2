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
