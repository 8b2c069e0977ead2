"""What a parser's answer must be fit for, whatever it was given: our records keep it, and nothing else is believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from paycenter.money import Money

MOST_MINOR = 2**63 - 1
# Columns that a text is written to as it is; everything else is cut where it is stored.
WIDTHS = {f"answer.{name}": 64 for name in ("channel_trade_no", "channel_refund_no", "channel_contract_no")}
_MOST_TEXT = 300_000


class Broken(AssertionError):
    """The parser did what none may do."""


def require_storable(value: Any, where: str = "answer") -> None:
    """Raises Broken for what a database would refuse: half characters, NUL, moments and sums beyond its range."""
    if isinstance(value, Money):
        if abs(value.minor) > MOST_MINOR:
            raise Broken(f"{where}: a sum of {len(str(value.minor))} digits fits no column")
    elif isinstance(value, Enum | bool | int | float | Decimal | bytes | None):
        pass
    elif isinstance(value, str):
        _require_text(value, where)
    elif isinstance(value, datetime):
        _require_moment(value, where)
    elif isinstance(value, date):
        pass
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            require_storable(getattr(value, field.name), f"{where}.{field.name}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            require_storable(key, where)
            require_storable(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            require_storable(inner, where)


def _require_text(text: str, where: str) -> None:
    width = WIDTHS.get(where, _MOST_TEXT)
    if len(text) > width:
        raise Broken(f"{where}: {len(text)} characters, its column has {width}")
    if "\0" in text:
        raise Broken(f"{where}: NUL in {text[:40]!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Broken(f"{where}: half a character in {text[:40]!r}") from None


def _require_moment(moment: datetime, where: str) -> None:
    if moment.tzinfo is None:
        raise Broken(f"{where}: a moment without a zone")
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise Broken(f"{where}: {moment!r} is no moment in UTC") from None
