"""Tells somebody when an answer was our fault."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_noop

from notifications.alerts import alert


class FaultMiddleware:
    """Raises an alert for every unhandled error, one per kind of error and address.

    The text names the request and the kind of error, never its message: that may hold data of payers.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        fault = getattr(response, "fault", None) or getattr(request, "fault", None)
        if fault is not None and response.status_code >= 500:
            self._tell(request, fault)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Called for views that let an error through; Django then answers 500."""
        request.fault = exception  # type: ignore[attr-defined]

    def _tell(self, request: HttpRequest, fault: Exception) -> None:
        view = request.resolver_match.view_name if request.resolver_match else ""
        kind = type(fault).__name__
        alert(
            kind="fault", key=f"fault:{view}:{kind}", severity="critical",
            title=gettext_noop("%(kind)s in %(view)s") if view else gettext_noop("%(kind)s in a page"),
            text=gettext_noop("Request %(request_id)s: see the log of that request."),
            context={"kind": kind, "view": view, "request_id": getattr(request, "request_id", "")},
        )  # fmt: skip
