"""Per-request context: request id, the client's real address."""

from __future__ import annotations

import ipaddress
import time
import uuid
from collections.abc import Callable
from functools import lru_cache

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import resolve
from django.utils import translation

from paycenter import body_limit, tracing
from paycenter.metrics import count_request

log = structlog.get_logger(__name__)
NOBODY = "0.0.0.0"  # noqa: S104


@lru_cache(maxsize=1024)
def _networks(names: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network a text names, None where it names none."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def in_networks(address: str, names: list[str] | tuple[str, ...]) -> bool:
    """Whether a literal address lies in one of the networks; an IPv4-mapped address counts as IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in n for n in _networks(tuple(names)) if n.version == parsed.version)


def client_ip(request: HttpRequest) -> str:
    """The right-most forwarded hop that is not one of our proxies; the peer where there is none.

    Always a literal address, fit for a database: of what is none it is 0.0.0.0, which nobody has.
    """
    hop = _literal(request.META.get("REMOTE_ADDR", ""))
    forwarded = [h.strip() for h in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if h.strip()]
    while forwarded and in_networks(hop, settings.TRUSTED_PROXIES):
        hop = _literal(forwarded.pop())
    return hop


def _literal(hop: str) -> str:
    """The address of a hop, without the port that some proxies add and without an IPv6 zone."""
    bare = hop[1:].partition("]")[0] if hop.startswith("[") else hop
    bare = (bare.partition(":")[0] if bare.count(":") == 1 else bare).partition("%")[0]
    return bare if parse_network(bare) is not None and "/" not in bare else NOBODY


def axes_client_ip(request: HttpRequest) -> str:
    return client_ip(request)


class RequestContextMiddleware:
    """Gives every request an id, in the logs and in `X-Request-Id`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = uuid.uuid4().hex  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)  # type: ignore[attr-defined]
        started = time.monotonic()
        with tracing.request_span(request.request_id) as span:  # type: ignore[attr-defined]
            response = self.get_response(request)
            route = route_of(request)
            tracing.name_request(span, route=route, method=request.method or "", status=response.status_code)
        response.headers["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        seconds = time.monotonic() - started
        count_request(route, response.status_code, seconds)
        if settings.LOG_REQUESTS:
            log.info("request", method=request.method, route=route, status=response.status_code,
                     milliseconds=int(seconds * 1000))  # fmt: skip
        return response


def route_of(request: HttpRequest) -> str:
    """The pattern that matched, for figures: admin pages by app and record, everything unknown as one."""
    match = getattr(request, "resolver_match", None)
    if match is None:
        return "static" if request.path_info.startswith(settings.STATIC_URL) else "unknown"
    return "/".join(match.route.split("/")[:3]) if match.route.startswith("admin/") else match.route or "/"


# Where only programs call: apps, channels, monitors.
_PROGRAMS = ("/v1", "/notify", "/healthz", "/readyz", "/metrics")


# Where payers go: nobody signs in there, and the pages bring their own policies and protection (cashier.headers).
_PAYERS = ("/c", "/q")


class DirectMiddleware:
    """Answers programs and payers without the middleware that follows, which is for staff: static files, sessions,
    sign-in, history, policies of pages. What they share with staff stands before this.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if is_below(request.path_info, *_PROGRAMS):
            translation.deactivate()  # the thread may have shown somebody a page
        elif is_below(request.path_info, *_PAYERS):
            if (too_large := body_limit.refused(request, body_limit.STRANGERS_BYTES)) is not None:
                return too_large
            translation.activate(translation.get_language_from_request(request))
        else:
            return self.get_response(request)
        request.get_host()  # raises DisallowedHost
        request.resolver_match = found = resolve(request.path_info)
        try:
            response = found.func(request, *found.args, **found.kwargs)
        except Exception as exc:
            request.fault = exc  # type: ignore[attr-defined]  # paycenter.faults alerts somebody
            raise
        response.headers.setdefault("Content-Length", str(len(response.content)))
        return response  # type: ignore[no-any-return]


def is_below(path: str, *roots: str) -> bool:
    """Whether the path is one of the roots or lies below one."""
    return any(path == root or path.startswith(f"{root}/") for root in roots)
