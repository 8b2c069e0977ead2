"""Content-Security-Policy: a default for staff pages, and a decorator for views with their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse

HEADER = "Content-Security-Policy"
# Alpine, which the staff pages use, evaluates its attributes; nothing here runs inline script.
STAFF_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_View = TypeVar("_View", bound=Callable[..., HttpResponse])


def content_security_policy(policy: str) -> Callable[[_View], _View]:
    """Give the view's answers this policy instead of the staff pages' one."""

    def decorate(view: _View) -> _View:
        @wraps(view)
        def inner(*args: Any, **kwargs: Any) -> HttpResponse:
            response = view(*args, **kwargs)
            response.headers[HEADER] = policy
            return response

        return inner  # type: ignore[return-value]

    return decorate


class ContentSecurityPolicyMiddleware:
    """Sets the staff policy on every answer that brings none of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault(HEADER, STAFF_POLICY)
        return response
