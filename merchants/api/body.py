"""Reads a request body as strict JSON: one meaning per text, and nothing a database cannot keep."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from merchants.api.errors import BadParameter

MAX_DEPTH = 32
_FORBIDDEN = "must not contain NUL or an unpaired surrogate"


class _Refused(ValueError):
    """Well-formed for a lenient parser, but ambiguous or lossy."""


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw` (UTF-8).

    Raises BadParameter: on `_body` for text that is not one unambiguous JSON object (duplicate keys,
    NaN, a number that would change, more than 32 levels), by dotted path for unstorable characters.
    """
    try:
        found = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_float=_exact_float, parse_constant=_no_constant
        )
    except RecursionError:
        raise BadParameter({"_body": [f"nested more than {MAX_DEPTH} levels deep"]}) from None
    except _Refused as exc:
        raise BadParameter({"_body": [str(exc)]}) from None
    except ValueError:
        raise BadParameter({"_body": ["not valid JSON in UTF-8"]}) from None
    if not isinstance(found, dict):
        raise BadParameter({"_body": ["must be a JSON object"]})
    errors = _unstorable(found)
    if errors:
        raise BadParameter(errors)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("the same key appears twice in one object")
    return found


def _exact_float(text: str) -> float:
    """Free-form fields are returned untouched, so a number that a double cannot hold is refused."""
    number = float(text)
    if number in (float("inf"), float("-inf")) or Decimal(repr(number)) != Decimal(text):
        raise _Refused("a number has more digits than can be kept exactly; send it as text")
    return number


def _no_constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON")


def _unstorable(body: dict[str, Any]) -> dict[str, list[str]]:
    """Problems by dotted path. Iterative: the depth of the input must not be the depth of our stack."""
    errors: dict[str, list[str]] = {}
    waiting: list[tuple[str, Any, int]] = [("", body, 1)]
    while waiting:
        path, value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return {"_body": [f"nested more than {MAX_DEPTH} levels deep"]}
        if isinstance(value, str) and not is_storable(value):
            errors[path or "_body"] = [_FORBIDDEN]
        for key, item in _items(value):
            if not is_storable(key):
                errors[path or "_body"] = [f"a key {_FORBIDDEN}"]
            else:
                waiting.append((f"{path}.{key}" if path else key, item, depth + 1))
    return errors


def _items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list):
        return [(str(index), item) for index, item in enumerate(value)]
    return []


def is_storable(text: str) -> bool:
    """Whether every database keeps the text: no NUL, no lone surrogate (both are legal JSON escapes)."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
