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
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.security import SecurityMiddleware
from django.urls import Resolver404, resolve

from paycenter import tracing
from paycenter.metrics import count_request

log = structlog.get_logger(__name__)
Environ = dict[str, Any]
Application = Callable[[Environ, Any], Any]
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without what all answers have: request id, length, the policies of `SecurityMiddleware`."""

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
    """Paths that `pattern` matches whole. `answer` gets what its group matched, and the request's environment; None:
    Django shall answer."""

    pattern: re.Pattern[str]
    answer: Callable[[str, Environ], Answer | None]
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
        served = [(route.pattern.fullmatch, route.answer, name) for route in routes if (name := route.name())]
        # What depends on the request itself is left to the middleware.
        is_left = settings.SECURE_SSL_REDIRECT or settings.SECURE_HSTS_SECONDS or settings.LOG_REQUESTS
        self._routes = [] if is_left else served
        self._policies = _policies()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """PEP 3333."""
        for matches, ask, name in self._routes if _is_plain(environ) else ():
            found = matches(environ["PATH_INFO"])
            if found is not None:
                return self._answer(environ, start_response, name, partial(ask, found[1], environ))
        return self._leave(environ, start_response)

    def _leave(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        answered: Iterable[bytes] = self._application(environ, start_response)
        return answered

    def _answer(
        self, environ: Environ, start_response: Any, name: str, ask: Callable[[], Answer | None]
    ) -> Iterable[bytes]:
        began, number = time.monotonic(), secrets.token_hex(16)
        # In a context of its own: nothing is left of the thread's request before, nor anything of this one afterwards.
        answer = Context().run(_asked, number, name, ask)
        if answer is None:
            return self._leave(environ, start_response)
        count_request(name, answer.status, time.monotonic() - began)
        known = {header for header, _value in answer.headers}
        start_response(_STATUS_LINES[answer.status], [
            *answer.headers, *(pair for pair in self._policies if pair[0] not in known),
            ("Content-Length", str(len(answer.content))), ("X-Request-Id", number),
        ])  # fmt: skip
        return [answer.content]


def _asked(number: str, name: str, ask: Callable[[], Answer | None]) -> Answer | None:
    structlog.contextvars.bind_contextvars(request_id=number)
    with tracing.request_span(number) as span:
        try:
            answer = ask()
        except Exception:  # Django's way meets the same and tells somebody
            return None
        finally:
            close_old_connections()
        if answer is not None:
            tracing.name_request(span, route=name, method="GET", status=answer.status)
    return answer


def _policies() -> tuple[tuple[str, str], ...]:
    bare = HttpResponse()
    del bare["Content-Type"]
    return tuple(SecurityMiddleware(lambda _request: bare).process_response(HttpRequest(), bare).items())


def _is_plain(environ: Environ) -> bool:
    return (
        environ["REQUEST_METHOD"] == "GET" and not environ.get("QUERY_STRING")
        and environ.get("CONTENT_LENGTH", "") in ("", "0") and "HTTP_TRANSFER_ENCODING" not in environ
        and not environ.get("SCRIPT_NAME") and _is_ours(environ.get("HTTP_HOST", ""), tuple(settings.ALLOWED_HOSTS))
    )  # fmt: skip


@lru_cache(maxsize=256)
def _is_ours(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)
