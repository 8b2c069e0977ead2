"""Declared request fields: what an endpoint takes, checked all at once, and described in OpenAPI.

A field's `clean` answers the value to use; problems are collected by dotted path, never raised one by
one, so that a developer sees all of them in one answer. JSON null is not "left out": it is refused.
"""

from __future__ import annotations

import ipaddress
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit

from channels.base.discovery import methods
from merchants.api.errors import BadParameter
from paycenter.money import MAX_MINOR, is_currency

Errors = dict[str, list[str]]
Schema = dict[str, Any]
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
PRINTABLE_ASCII = r"[ -~]+"


@dataclass(frozen=True, kw_only=True)
class Param(ABC):
    """One request field. `default` is what an optional field left out becomes."""

    required: bool = False
    default: Any = None
    about: str = ""

    @abstractmethod
    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        """The value to use; adds to `errors` under `path` when it is wrong."""

    @abstractmethod
    def shape(self) -> Schema:
        """The JSON Schema of acceptable values."""

    def schema(self) -> Schema:
        found = self.shape()
        if self.about:
            found["description"] = self.about
        if not self.required and self.default not in (None, "", {}, ()):
            found["default"] = self.default
        return found


def _wrong(errors: Errors, path: str, reason: str) -> None:
    errors.setdefault(path, []).append(reason)


@dataclass(frozen=True, kw_only=True)
class Text(Param):
    """Text of `least` to `most` code points; `pattern` must match all of it, `hint` says it in words."""

    least: int = 1
    most: int = 64
    pattern: str | None = None
    hint: str = ""

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if not isinstance(value, str):
            _wrong(errors, path, "must be text")
        elif not self.least <= len(value) <= self.most:
            _wrong(errors, path, f"must have {self.least} to {self.most} characters, has {len(value)}")
        elif self.pattern and value and not re.fullmatch(self.pattern, value):
            _wrong(errors, path, f"must be {self.hint}")
        return value

    def shape(self) -> Schema:
        found: Schema = {"type": "string", "minLength": self.least, "maxLength": self.most}
        if self.pattern:
            found["pattern"] = f"^{self.pattern}$"
        return found


@dataclass(frozen=True, kw_only=True)
class Integer(Param):
    """A JSON integer within bounds: no fraction or exponent, and true is not 1."""

    least: int
    most: int

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if type(value) is not int:
            _wrong(errors, path, "must be an integer, written without fraction or exponent")
        elif not self.least <= value <= self.most:
            _wrong(errors, path, f"must be between {self.least} and {self.most}")
        return value

    def shape(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


def amount() -> Integer:
    """Money in minor units of the call's currency."""
    return Integer(required=True, least=1, most=MAX_MINOR, about="Minor units of `currency` (CNY: fen).")


@dataclass(frozen=True, kw_only=True)
class Boolean(Param):
    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if not isinstance(value, bool):
            _wrong(errors, path, "must be true or false")
        return value

    def shape(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, kw_only=True)
class Currency(Param):
    """An ISO 4217 code."""

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if not is_currency(value):
            _wrong(errors, path, "must be an ISO 4217 currency code such as CNY")
        return value

    def shape(self) -> Schema:
        return {"type": "string", "pattern": "^[A-Z]{3}$"}


@dataclass(frozen=True, kw_only=True)
class MethodCode(Param):
    """The code of a pay method that some channel has."""

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if not isinstance(value, str) or value not in methods():
            _wrong(errors, path, "no channel has such a method")
        return value

    def shape(self) -> Schema:
        return {"type": "string", "enum": sorted(methods())}


@dataclass(frozen=True, kw_only=True)
class Address(Param):
    """An http(s) address of at most 512 characters, without user name or password."""

    most: int = 512

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if not isinstance(value, str) or not _is_address(value):
            _wrong(errors, path, "must be an http(s) address")
        elif len(value) > self.most:
            _wrong(errors, path, f"must have at most {self.most} characters, has {len(value)}")
        return value

    def shape(self) -> Schema:
        return {"type": "string", "format": "uri", "pattern": "^[hH][tT][tT][pP][sS]?://", "maxLength": self.most}


def _is_address(text: str) -> bool:
    if re.search(r"[\s\x00-\x20\x7f-\x9f\\]", text):
        return False
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and parts.username is None and parts.password is None


@dataclass(frozen=True, kw_only=True)
class Instant(Param):
    """ISO 8601 with offset; cleaned to an aware datetime in UTC."""

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if isinstance(value, str) and _INSTANT.fullmatch(value):
            try:
                return datetime.fromisoformat(value).astimezone(UTC)
            except (ValueError, OverflowError):
                pass
        _wrong(errors, path, "must be a time in ISO 8601 with offset, such as 2026-11-21T08:00:00+08:00")
        return None

    def shape(self) -> Schema:
        return {"type": "string", "format": "date-time"}


@dataclass(frozen=True, kw_only=True)
class Day(Param):
    """A calendar day, `YYYY-MM-DD`; cleaned to a date. Days outside 2000 to 2999 are nobody's business."""

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        try:
            if isinstance(value, str) and re.fullmatch(r"2\d{3}-\d\d-\d\d", value, re.ASCII):
                return date.fromisoformat(value)
        except ValueError:
            pass
        _wrong(errors, path, "must be a day such as 2026-11-20")
        return None

    def shape(self) -> Schema:
        return {"type": "string", "format": "date", "pattern": "^2[0-9]{3}-[0-9]{2}-[0-9]{2}$"}


@dataclass(frozen=True, kw_only=True)
class IpAddress(Param):
    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        try:
            if not isinstance(value, str) or "%" in value:
                raise ValueError
            ipaddress.ip_address(value)
        except ValueError:
            _wrong(errors, path, "must be an IPv4 or IPv6 address")
        return value

    def shape(self) -> Schema:
        return {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}


@dataclass(frozen=True, kw_only=True)
class FreeObject(Param):
    """Any JSON object of at most `most_bytes` (compact, UTF-8)."""

    most_bytes: int

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if not isinstance(value, dict):
            _wrong(errors, path, "must be an object")
            return value
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
        if size > self.most_bytes:
            _wrong(errors, path, f"must have at most {self.most_bytes} bytes, has {size}")
        return value

    def shape(self) -> Schema:
        return {"type": "object", "additionalProperties": True}


@dataclass(frozen=True, kw_only=True)
class Rows(Param):
    """A list of at most `most` objects of one shape."""

    row: Shape
    most: int

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if not isinstance(value, list):
            _wrong(errors, path, "must be a list")
            return value
        if len(value) > self.most:
            _wrong(errors, path, f"must have at most {self.most} rows, has {len(value)}")
            return value
        return [self.row.clean(row, f"{path}.{index}", errors) for index, row in enumerate(value)]

    def shape(self) -> Schema:
        return {"type": "array", "maxItems": self.most, "items": self.row.schema()}


@dataclass(frozen=True, kw_only=True)
class Shape(Param):
    """An object of declared fields; unknown ones are refused.

    `sparse` leaves absent optional fields out of the result instead of filling in their defaults.
    `check` looks at several fields together, once each of them is right by itself.
    """

    fields: Mapping[str, Param] = field(default_factory=dict)
    sparse: bool = False
    check: Callable[[Mapping[str, Any], Errors], None] | None = None
    any_of: tuple[tuple[str, ...], ...] = ()

    def clean(self, value: Any, path: str, errors: Errors) -> Any:
        if not isinstance(value, dict):
            _wrong(errors, path, "must be an object")
            return value
        prefix = f"{path}." if path else ""
        for name in value:
            if name not in self.fields:
                _wrong(errors, prefix + name or "_body", "unknown field")
        found: dict[str, Any] = {}
        for name, param in self.fields.items():
            if name in value:
                found[name] = param.clean(value[name], prefix + name, errors)
            elif param.required:
                _wrong(errors, prefix + name, "required")
            elif not self.sparse:
                found[name] = param.default
        return found

    def read(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The cleaned fields of a whole body. Raises BadParameter with every problem."""
        errors: Errors = {}
        found = self.clean(body, "", errors)
        if not errors and self.check:
            self.check(found, errors)
        if errors:
            raise BadParameter(errors)
        return dict(found)

    def shape(self) -> Schema:
        found: Schema = {
            "type": "object",
            "properties": {name: param.schema() for name, param in self.fields.items()},
            "additionalProperties": False,
        }
        required = [name for name, param in self.fields.items() if param.required]
        if required:
            found["required"] = required
        if self.any_of:
            found["oneOf"] = [{"required": list(names)} for names in self.any_of]
        return found
