"""`/c/<token>/status`: what an open page asks every few seconds. One query, and 304 while nothing changed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from cashier.headers import payer_page
from cashier.selectors import FINAL_PHASES, Status, status_by_token


@require_safe
@payer_page
def status(request: HttpRequest, token: str) -> HttpResponse:
    found = status_by_token(token, timezone.now())
    if found is None:
        return JsonResponse({"phase": "unknown", "final": True}, status=404)
    if request.headers.get("If-None-Match") == found.etag:
        response: HttpResponse = HttpResponse(status=304)
    else:
        response = JsonResponse(_body(found))
    response.headers["ETag"] = found.etag
    return response


def _body(found: Status) -> dict[str, object]:
    return {
        "phase": found.phase,
        "final": found.phase in FINAL_PHASES,
        "view": found.view,
        "attempt": found.attempt,
        "expire_at": found.expire_at.isoformat(timespec="seconds"),
    }
