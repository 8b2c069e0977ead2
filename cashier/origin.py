"""Forms of payers' pages are taken from our own pages only, without a cookie: many in-app browsers keep none.

The address of an order's page is its secret already; this keeps other sites from pressing its button all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import is_same_domain
from django.utils.translation import gettext as _

from cashier.views.showing import show_message

log = structlog.get_logger(__name__)
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def from_our_pages(view: View[P]) -> View[P]:
    """Answers 403 to a form that a browser sends for another site."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.method in _SAFE or not comes_from_elsewhere(request):
            return view(request, *args, **kwargs)
        log.warning("cashier.form_from_elsewhere", host=request.get_host(), origin=request.META.get("HTTP_ORIGIN"))
        return show_message(
            request, status=403, title=_("Nothing was sent"),
            text=_("The form came from another site. Please open the payment link again. You have not been charged."),
        )  # fmt: skip

    # functools.wraps loses the precise type.
    return cast("View[P]", wrapped)


def comes_from_elsewhere(request: HttpRequest) -> bool:
    """Whether the browser says that another site sent this.

    `Sec-Fetch-Site` where it is sent (https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header; `none`: the payer
    did it, by reloading), else `Origin`, else `Referer`. What names none of them is no browser of the last years.
    """
    site = request.META.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in ("same-origin", "none")
    named = request.META.get("HTTP_ORIGIN", request.META.get("HTTP_REFERER"))
    return named is not None and not _is_ours(named, request)


def _is_ours(named: str, request: HttpRequest) -> bool:
    """Whether an address lies on a host of ours: the one that was asked, the one payers are sent to (a proxy may hand
    on another name), or one of `CSRF_TRUSTED_ORIGINS`."""
    place = _place(named)
    if place is None or place in (_place(f"//{request.get_host()}"), _place(settings.PUBLIC_BASE_URL)):
        return place is not None
    trusted = (urlsplit(origin).netloc.lstrip("*") for origin in settings.CSRF_TRUSTED_ORIGINS)
    return any(is_same_domain(place, host) for host in trusted)


def _place(address: str) -> str | None:
    """Host, and port unless it is a usual one; None of what is no address."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return host if host is None or port in (None, 80, 443) else f"{host}:{port}"
