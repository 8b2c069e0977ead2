"""JSON Schemas of answers, in a few words. Every key an endpoint lists is always in its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]


def text(about: str = "", *, one_of: tuple[str, ...] = ()) -> Schema:
    found: Schema = {"type": "string"}
    if about:
        found["description"] = about
    if one_of:
        found["enum"] = list(one_of)
    return found


def number(about: str = "") -> Schema:
    """A center's number such as `trade_no`."""
    return {"type": "string", "pattern": "^[0-9A-Z]{16,32}$", **({"description": about} if about else {})}


def integer(about: str = "") -> Schema:
    return {"type": "integer", **({"description": about} if about else {})}


def boolean() -> Schema:
    return {"type": "boolean"}


def instant() -> Schema:
    return {"type": "string", "format": "date-time"}


def free(about: str = "") -> Schema:
    return {"type": "object", "additionalProperties": True, **({"description": about} if about else {})}


def nullable(schema: Schema) -> Schema:
    """Null until known."""
    return {**schema, "nullable": True}


def rows(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def record(fields: Mapping[str, Schema]) -> Schema:
    """An object with exactly these keys."""
    return {
        "type": "object",
        "properties": dict(fields),
        "required": list(fields),
        "additionalProperties": False,
    }
