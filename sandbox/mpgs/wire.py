"""How both doors speak: JSON in, JSON numbers out, errors in MPGS' words; nothing is signed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import web

from sandbox.amounts import major, parse_major
from sandbox.faults import Signature

CURRENCIES = ("CNY", "USD", "JPY", "KWD")
Data = Mapping[str, Any]
_ADDRESS = re.compile(r"https?://[^\s/?#]+[^\s]*")


class Problem(Exception):
    """An answer that is no success: HTTP status, body and headers."""

    def __init__(self, status: int, body: Data, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status, self.body, self.headers = status, body, dict(headers or {})


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Data
    headers: Mapping[str, str] = field(default_factory=dict)


def invalid(explanation: str, name: str = "", kind: str = "", *, status: int = 400) -> Problem:
    """A request that MPGS refuses; `name` is the field, `kind` MISSING, INVALID or UNSUPPORTED."""
    error = {"cause": "INVALID_REQUEST", "explanation": explanation}
    if name:
        error |= {"field": name, "validationType": kind}
    return Problem(status, {"error": error, "result": "ERROR"})


def missing(name: str) -> Problem:
    return invalid("Missing parameter", name, "MISSING")


def wrong(name: str, why: str = "Invalid value") -> Problem:
    return invalid(why, name, "INVALID")


def rejected(explanation: str) -> Problem:
    return Problem(400, {"error": {"cause": "REQUEST_REJECTED", "explanation": explanation}, "result": "ERROR"})


def token_problem(status: int, code: str) -> Problem:
    """https://www.rfc-editor.org/rfc/rfc6750#section-3"""
    return Problem(status, {"error": code}, {"WWW-Authenticate": f'Bearer realm="mpgs", error="{code}"'})


def read_json(request: web.Request, body: bytes) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise invalid("Content-Type must be application/json")
    try:
        data = json.loads(body, parse_float=Decimal)
        body.decode()
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise invalid("The request is not a JSON object")
    return data


# -- reading fields


def section(data: Data, path: str, allowed: tuple[str, ...], *, needed: bool = True) -> Data:
    """An object whose fields are all known and none of them empty: what has no value has to be left out."""
    found = data.get(path.rsplit(".", 1)[-1])
    if found is None and not needed:
        return {}
    if found is None:
        raise missing(path)
    if not isinstance(found, dict):
        raise wrong(path)
    check_fields(found, allowed, path + ".")
    return found


def check_fields(data: Data, allowed: tuple[str, ...], prefix: str = "") -> None:
    for name, value in data.items():
        if name not in allowed:
            raise invalid("Unexpected parameter", prefix + name, "UNSUPPORTED")
        if value in ("", None) or value in ({}, []):
            raise wrong(prefix + name, "Value must not be empty")


def text(data: Data, name: str, path: str, longest: int, *, needed: bool = True) -> str:
    value = data.get(name)
    if value is None and not needed:
        return ""
    if value is None:
        raise missing(path)
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise wrong(path, f"Expected printable text of at most {longest} characters")
    return value


def address(data: Data, name: str, path: str, *, needed: bool = True) -> str:
    value = text(data, name, path, 2048, needed=needed)
    if value and not _ADDRESS.fullmatch(value):
        raise wrong(path, "Expected an absolute URL")
    return value


def money(data: Data, prefix: str) -> tuple[int, str]:
    """Minor units and currency of `amount` and `currency`: text or number, no more decimals than there are."""
    currency, amount = text(data, "currency", f"{prefix}.currency", 3), data.get("amount")
    if currency not in CURRENCIES:
        raise wrong(f"{prefix}.currency", "The merchant does not have this currency")
    if amount is None:
        raise missing(f"{prefix}.amount")
    written = str(amount) if not isinstance(amount, bool) and isinstance(amount, str | int | Decimal) else ""
    try:
        minor = parse_major(written, currency)
    except ValueError:
        minor = 0
    if minor <= 0 or len(written) > 14:
        raise wrong(f"{prefix}.amount", "Expected a positive decimal of the currency")
    return minor, currency


# -- writing


def number(minor: int, currency: str) -> int | float:
    """As MPGS writes amounts: a JSON number without needless zeros (exact: below 15 digits)."""
    value = Decimal(major(minor, currency))
    return int(value) if value == value.to_integral_value() else float(value)


def render(reply: Reply, signature: Signature) -> web.Response:
    """There are no signatures to spoil: a bad one is an answer that names another merchant, a missing one an
    answer that does not say whom and what it is about."""
    body = dict(reply.body)
    if signature is Signature.BROKEN:
        body["merchant"] = "TEST00000000"
    if signature is Signature.MISSING:
        body = {k: v for k, v in body.items() if k not in ("merchant", "id", "successIndicator")}
    return web.Response(
        status=reply.status, text=json.dumps(body, ensure_ascii=False), content_type="application/json",
        headers={"Cache-Control": "no-cache, no-store, must-revalidate", **reply.headers},
    )  # fmt: skip
