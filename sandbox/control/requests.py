"""Reading the controls' requests; every refusal is JSON with a reason."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from sandbox.book import BookError, NotPossible
from sandbox.channel import DeviceRefused
from sandbox.context import Context
from sandbox.records import Account, Payment

log = logging.getLogger("sandbox.control")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlError(Exception):
    """Refused with an HTTP status and a reason for whoever is at the controls."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not request.path.startswith("/control/"):
        return await handler(request)
    try:
        return await handler(request)
    except ControlError as exc:
        return _error(exc.status, exc.reason)
    except DeviceRefused as exc:
        return _error(400, f"the payer's device refused: {exc}")
    except NotPossible as exc:
        return _error(409, str(exc))
    except BookError as exc:
        return _error(400, str(exc))
    except web.HTTPException as exc:
        return _error(exc.status, exc.reason)
    except Exception as exc:
        log.exception("%s %s", request.method, request.path)
        return _error(500, f"the sandbox itself failed: {type(exc).__name__}")


def _error(status: int, reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=status)


async def fields(request: web.Request, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON object of a request; missing and unknown fields are refused by name."""
    data = await any_json(request)
    if not isinstance(data, dict):
        raise ControlError(400, "the body must be a JSON object")
    for name in required:
        if name not in data:
            raise ControlError(400, f"{name} is missing")
    for name in data:
        if name not in required + optional:
            raise ControlError(400, f"unknown field {name}")
    return data


async def any_json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read() or b"null")
    except ValueError:
        raise ControlError(400, "the body is not JSON") from None


def text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ControlError(400, f"{name} must be a non-empty, printable text")
    return value


def amount(data: Mapping[str, Any], name: str = "amount") -> int | None:
    """Minor units, or None where left out."""
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**13:
        raise ControlError(400, f"{name} must be a positive whole number of minor units")
    return value


def choice(data: Mapping[str, Any], name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    value = data.get(name, default)
    if value not in allowed:
        raise ControlError(400, f"{name} must be one of {', '.join(allowed)}")
    return str(value)


def known_payment(context: Context, attempt_no: str) -> Payment:
    found = context.book.find_attempt(attempt_no)
    if found is None:
        raise ControlError(404, f"no channel has seen an attempt {attempt_no}")
    return found


def known_account(context: Context, payment_no: str) -> Account:
    found = context.store.account_by_payment_no(payment_no)
    if found is None:
        raise ControlError(404, f"no account {payment_no}")
    return found
