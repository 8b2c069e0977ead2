"""Reading JSON messages of channels: what is there is of the right kind, or the message is not readable."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from paycenter.errors import MalformedInbound, MoneyError
from paycenter.money import Money

_SECONDS = re.compile(r"[0-9]{1,12}")


class Unreadable(MalformedInbound, ValueError):
    """A message that is not what the protocol says; the text names the field and none of its content.

    In an answer it leaves the outcome open: whoever asked makes it UnknownOutcome.
    """


def read_json(body: bytes | str) -> dict[str, Any]:
    """A JSON object whose fractions are exact. Raises Unreadable."""
    try:
        data = json.loads(body, parse_float=exact, parse_constant=_refuse_constant)
    except RecursionError as exc:
        raise Unreadable("nested too deeply") from exc
    except ValueError as exc:
        raise Unreadable("not JSON") from exc
    if not isinstance(data, dict):
        raise Unreadable("not a JSON object")
    return data


def exact(text: str) -> Decimal:
    """A fraction of JSON as it is written. Raises ValueError for an exponent that no number has."""
    try:
        return Decimal(text)
    except InvalidOperation as exc:
        raise ValueError("a number out of all bounds") from exc


def text_in(data: Mapping[str, Any], name: str) -> str:
    """A text that must be there. Raises Unreadable."""
    value = optional_in(data, name)
    if value is None:
        raise Unreadable(f"{name} is missing")
    return value


def optional_in(data: Mapping[str, Any], name: str) -> str | None:
    """A text that is not empty; None for anything else."""
    value = data.get(name)
    return value if isinstance(value, str) and value else None


def moment_in(data: Mapping[str, Any], name: str, zone: tzinfo | None = None) -> datetime | None:
    """An aware moment in ISO 8601, in `zone` where it names none; None for anything else (it decides nothing)."""
    try:
        found = datetime.fromisoformat(optional_in(data, name) or "")
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=zone)
    return found if found.tzinfo else None


def minor_in(data: Mapping[str, Any], name: str, currency: str | None = None) -> Money:
    """A whole number of minor units in the `currency` beside it, or else in the given one. Raises Unreadable."""
    try:
        return Money(data.get(name), data.get("currency") or currency)  # type: ignore[arg-type]  # anything else is refused
    except MoneyError as exc:
        raise Unreadable(f"{name} is not an amount") from exc


def is_fresh(timestamp: str, now: datetime, seconds: int = 300) -> bool:
    """Whether a signature's time (Unix seconds, digits only) is at most that far off, either way."""
    return bool(_SECONDS.fullmatch(timestamp)) and abs(now.timestamp() - int(timestamp)) <= seconds


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
