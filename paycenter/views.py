"""Pages of the center itself: health, figures, errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import lru_cache

import structlog
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboards.scraping import render as render_metrics
from merchants.api.endpoint import error_response, unknown_path
from merchants.api.errors import BadParameter
from paycenter.errors import ApiError

log = structlog.get_logger(__name__)
BROKER_SECONDS = 2.0
# Anybody may ask; what was found is good for this long, so that asking costs the database nothing.
_KEEP_SECONDS = 1.0
_lock = threading.Lock()
_last: tuple[float, dict[str, str]] = (0.0, {})
_migrated = False  # never again false: nobody takes migrations back under a running process


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is alive."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when database and broker answer and no migration is missing, else 503 naming what is not so.

    While the file `DRAIN_FILE` is there it is 503 as well: the process goes on answering, and who asks before
    sending it more (a load balancer) sends nothing new.
    """
    if settings.DRAIN_FILE.exists():
        return JsonResponse({"status": "draining"}, status=503)
    found = _readiness()
    ready = all(word == "ok" for word in found.values())
    return JsonResponse({"status": "ok" if ready else "unavailable", **found}, status=200 if ready else 503)


def _readiness() -> dict[str, str]:
    """What was found a moment ago, else asked now. One thread asks; while it waits for a broker that is
    silent, the others answer with what was found last."""
    global _last
    age, found = time.monotonic() - _last[0], _last[1]
    if found and age <= _KEEP_SECONDS:
        return found
    if not _lock.acquire(blocking=not found):
        return found
    try:
        if time.monotonic() - _last[0] > _KEEP_SECONDS or not _last[1]:
            found = {
                "database": _ask("database", _ask_database), "migrations": _ask("migrations", _ask_migrations),
                "broker": _ask("broker", ask_broker),
            }  # fmt: skip
            _last = (time.monotonic(), found)
        return _last[1]
    finally:
        _lock.release()


def _ask(name: str, question: Callable[[], None]) -> str:
    try:
        question()
    except Exception as exc:
        log.warning("not ready", what=name, error=type(exc).__name__)
        return "failed"
    return "ok"


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@lru_cache(maxsize=1)
def _known_migrations() -> frozenset[tuple[str, str]]:
    """Those of this code; reading them takes a moment, once."""
    return frozenset(MigrationLoader(None).graph.nodes)


def _ask_migrations() -> None:
    """Raises LookupError where the database is older than this code; it may be newer (a rolling restart)."""
    global _migrated
    if not _migrated:
        missing = _known_migrations() - set(MigrationRecorder(connection).applied_migrations())
        if missing:
            raise LookupError(f"{len(missing)} migrations are missing")
        _migrated = True


def ask_broker() -> None:
    """Raises whatever the transport raises where the broker does not answer in time."""
    from paycenter.celery import app

    options = {"socket_connect_timeout": BROKER_SECONDS, "socket_timeout": BROKER_SECONDS}
    transport = {**app.conf.broker_transport_options, **options} if _speaks_redis(app.conf.broker_url) else None
    with app.connection_for_write(transport_options=transport, connect_timeout=BROKER_SECONDS) as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
        broker.default_channel  # noqa: B018  # opening it is what reaches the server


def _speaks_redis(url: str) -> bool:
    return url.startswith(("redis", "unix", "sentinel"))


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures in Prometheus' text format."""
    return HttpResponse(render_metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _is_call(request: HttpRequest) -> bool:
    return request.path_info == "/v1" or request.path_info.startswith("/v1/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request Django itself refused (host name, size of a header ...)."""
    if _is_call(request):
        return error_response(BadParameter({"_body": ["the request is malformed"]}))
    return render(request, "400.html", status=400)


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if _is_call(request):
        return unknown_path(request)
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Our fault. Rendered without context: nothing that may be broken takes part."""
    if _is_call(request):
        return error_response(ApiError())
    return render(request, "500.html", status=500)
