"""Answers that payers' pages ask for all the time, given before Django's handler begins.

A handler, its middleware and their signals cost a multiple of what such an answer costs itself. Only the plainest
request is answered here: a GET without query and body for a host of ours. Whatever is unusual about it, or about the
answer, goes Django's way, where views of the same functions answer all requests alike.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.security import SecurityMiddleware
from django.urls import Resolver404, resolve

from paycenter import tracing
from paycenter.cursors import default_db
from paycenter.metrics import count_request

log = structlog.get_logger(__name__)
Environ = dict[str, Any]
Application = Callable[[Environ, Any], Any]
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Answer(NamedTuple):
    """An answer without what all answers of its route have."""

    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes = b""

    def response(self) -> HttpResponse:
        """The same for Django."""
        response = HttpResponse(self.content, status=self.status)
        del response["Content-Type"]
        for name, value in self.headers:
            response[name] = value
        return response


@dataclass(frozen=True, slots=True)
class Route:
    """Paths that `pattern` matches whole, such as `example`. `answer` gets what its group matched, and the request's
    environment; None: Django shall answer. `headers` are those of all its answers."""

    pattern: re.Pattern[str]
    answer: Callable[[str, Environ], Answer | None]
    headers: Sequence[tuple[str, str]]
    example: str

    def name(self) -> str | None:
        """What figures call it; None where this process does not serve it."""
        try:
            return resolve(self.example).route
        except Resolver404:
            return None


class QuickAnswers:
    """A WSGI application in front of Django's."""

    def __init__(self, application: Application, routes: Sequence[Route]) -> None:
        self._application = application
        # What depends on the request itself is left to the middleware.
        is_left = settings.SECURE_SSL_REDIRECT or settings.SECURE_HSTS_SECONDS or settings.LOG_REQUESTS
        served = [] if is_left else [(route, name) for route in routes if (name := route.name())]
        self._hosts = tuple(settings.ALLOWED_HOSTS)
        self._routes = [(route.pattern.fullmatch, route.answer, _headers(route), name) for route, name in served]

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """PEP 3333."""
        is_quick = _is_plain(environ, self._hosts) and not tracing.is_on()
        for matches, ask, headers, name in self._routes if is_quick else ():
            found = matches(environ["PATH_INFO"])
            if found is None:
                continue
            began, number = time.monotonic(), secrets.token_hex(16)
            # In a context of its own: it knows nothing of the thread's last request, nor the next one of this.
            answer = Context().run(_asked, number, ask, found[1], environ)
            if answer is None:
                break
            count_request(name, answer.status, time.monotonic() - began)
            length = ("Content-Length", str(len(answer.content)))
            start_response(_STATUS_LINES[answer.status], [*answer.headers, *headers, length, ("X-Request-Id", number)])
            return [answer.content]
        answered: Iterable[bytes] = self._application(environ, start_response)
        return answered


def _asked(number: str, ask: Callable[[str, Environ], Answer | None], part: str, environ: Environ) -> Answer | None:
    structlog.contextvars.bind_contextvars(request_id=number)
    try:
        return ask(part, environ)
    except (OperationalError, InterfaceError):  # Django's way meets the same and tells somebody
        return None
    except Exception:  # which it may not meet
        log.exception("a quick answer failed; Django answers")
        return None
    finally:
        if default_db().connection is not None:
            close_old_connections()


def _headers(route: Route) -> tuple[tuple[str, str], ...]:
    """Of all answers of the route: its own, and those that `SecurityMiddleware` adds."""
    response = HttpResponse(headers=dict(route.headers))
    del response["Content-Type"]
    SecurityMiddleware(lambda _request: response).process_response(HttpRequest(), response)
    return tuple(response.items())


def _is_plain(environ: Environ, hosts: tuple[str, ...]) -> bool:
    return (
        environ["REQUEST_METHOD"] == "GET" and not environ.get("QUERY_STRING")
        and environ.get("CONTENT_LENGTH", "") in ("", "0") and "HTTP_TRANSFER_ENCODING" not in environ
        and not environ.get("SCRIPT_NAME") and _is_ours(environ.get("HTTP_HOST", ""), hosts)
    )  # fmt: skip


@lru_cache(maxsize=256)
def _is_ours(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)
