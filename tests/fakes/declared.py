"""Holds an answer against what its endpoint declares."""

from __future__ import annotations

from typing import Any

import jsonschema


def assert_as_declared(endpoint: Any, data: Any) -> None:
    """`data` has exactly the declared keys, each of its declared type, at every depth."""
    jsonschema.validate(data, _plain(endpoint.answers), format_checker=jsonschema.FormatChecker())


def _plain(schema: Any) -> Any:
    """JSON Schema for OpenAPI 3.0's `nullable`."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _plain(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [found, {"type": "null"}]} if schema.get("nullable") is True else found
