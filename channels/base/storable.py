"""The last look at a channel's words before the center keeps them: what no record can hold.

Numbers and sums are taken whole or refused. Money is not lost over the rest of the words: of a text the characters
that no database keeps are replaced, and a moment that is none is left out (it decides nothing).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar, cast

from channels.base.reading import Unreadable
from paycenter.money import Money

T = TypeVar("T")
NUMBER_LENGTH = 64
_OF_THE_CHANNEL = frozenset({"channel_trade_no", "channel_refund_no", "channel_contract_no"})
_MOST_MINOR = 2**63 - 1


def storable(word: T) -> T:
    """A notice, a result or a part of one, fit for our records; the word itself where it is.

    Raises Unreadable for a number with a character that no database keeps (NUL, half of a pair), a channel's
    number of more than 64 characters, and a sum beyond 64 bits.
    """
    return cast(T, _fit(word, ""))


def _fit(value: Any, name: str) -> Any:
    if value is None or isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return _text(value, name)
    if isinstance(value, Money):
        if abs(value.minor) > _MOST_MINOR:
            raise Unreadable(f"{name} is no sum of money")
        return value
    if isinstance(value, datetime):
        return _moment(value)
    return _inside(value, name)


def _inside(value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        changed = {n: fit for n, part in parts.items() if (fit := _fit(part, n)) is not part}
        return dataclasses.replace(value, **changed) if changed else value
    if isinstance(value, Mapping):
        fits = {_fit(key, name): _fit(inner, str(key)) for key, inner in value.items()}
        return value if fits == value else fits
    if isinstance(value, list | tuple):
        items = [_fit(inner, name) for inner in value]
        return value if items == list(value) else type(value)(items)
    return value


def _text(text: str, name: str) -> str:
    if name in _OF_THE_CHANNEL and len(text) > NUMBER_LENGTH:
        raise Unreadable(f"{name} is too long for a number")
    if "\0" not in text and _is_whole(text):
        return text
    if name.endswith("_no"):
        raise Unreadable(f"{name} holds a character that no number has")
    return text.replace("\0", "").encode(errors="replace").decode()


def _is_whole(text: str) -> bool:
    """Whether no half of a pair is in it, which JSON may name."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _moment(moment: datetime) -> datetime | None:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return None
    return moment
