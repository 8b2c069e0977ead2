"""How much anybody may send, decided by what the request says of itself before a byte of it is read.

Django looks for the token against forged requests in the posted fields, and so takes in a whole upload, however
large, of somebody who was never asked who they are. Calls and notifications have bounds of their own.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse

# Fields of a form, far from filled. Staff add documents of a few megabytes, or a bill.
STRANGERS_BYTES = 1024 * 1024
_FORM_BYTES = 8 * 1024 * 1024


class BodyLimitMiddleware:
    """Refuses with 413 what is larger than somebody like this may send, and with 400 an address or a cookie with the
    character that PostgreSQL refuses in whatever is looked for. Stands behind authentication, before anybody has asked
    who it is.

    A body without a stated length is not read by Django at all.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", ""):
            raise SuspiciousOperation("NUL in an address")
        if "\\000" in request.META.get("HTTP_COOKIE", ""):  # as quoted cookies spell it; a session's key is looked for
            raise SuspiciousOperation("NUL in a cookie")
        return refused(request, _most(request)) or self.get_response(request)


def refused(request: HttpRequest, most: int) -> HttpResponse | None:
    """The answer to a request that says it is larger than `most` bytes; None to any other."""
    if _stated_length(request) <= most:
        return None
    return HttpResponse("The request is too large.", status=413, content_type="text/plain; charset=utf-8")


def _stated_length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or ""
    return int(text[:18]) if text.isascii() and text.isdigit() else 0


def _most(request: HttpRequest) -> int:
    if not request.path_info.startswith("/admin/") or not request.user.is_authenticated:
        return STRANGERS_BYTES
    most: int = settings.BILL_UPLOAD_LIMIT + _FORM_BYTES
    return most
