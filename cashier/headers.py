"""Response headers of every payer's page: nothing is loaded from elsewhere, stored, or framed."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse

from cashier.intake.stream import StreamAway
from cashier.views.showing import come_back

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
# Second-level registries below country domains, so that `*.com.cn` is never allowed as a whole.
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gov", "net", "org"})


def content_security_policy(form_targets: Iterable[str] = ()) -> str:
    """The policy of a page; `form_targets` are sources its forms may be sent to besides our own."""
    return "; ".join((
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:",
        "connect-src 'self'", " ".join(("form-action 'self'", *form_targets)), "base-uri 'none'",
        "frame-ancestors 'none'",
    ))  # fmt: skip


POLICIES = (
    ("Content-Security-Policy", content_security_policy()), ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"), ("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)  # fmt: skip


def form_sources(action: str) -> tuple[str, ...]:
    """Sources for a form sent to a channel: its origin, and its siblings below the same domain.

    Browsers apply `form-action` to every redirect that follows the form, and channels pass the payer
    from their gateway's host to their cashier's.
    """
    parts = urlsplit(action)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        return ()
    domain = _registrable(host)
    return (f"{parts.scheme}://{parts.netloc}", *((f"{parts.scheme}://*.{domain}",) if domain else ()))


def _registrable(host: str) -> str:
    try:
        ipaddress.ip_address(host)
        return ""
    except ValueError:
        labels = host.split(".")
    if len(labels) < 2:
        return ""
    is_country = len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-(3 if is_country else 2):]) if len(labels) > 2 or not is_country else ""


def payer_page(view: View[P]) -> View[P]:
    """Adds the headers, and answers 503 where an order cannot be looked for.

    A view may have set its own policy or referrer policy.

    `same-origin` keeps the page's address (it is the key to the order) from every other site, as
    `no-referrer` would, but still lets the browser send the Origin that our own forms are checked by.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except StreamAway:
            response = come_back(request)
        for name, value in POLICIES:
            response.headers.setdefault(name, value)
        return response

    # functools.wraps loses the precise type.
    return cast("View[P]", wrapped)
