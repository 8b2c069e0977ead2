"""`/c/<token>/status`: what an open page asks every few seconds. One query, and 304 while nothing changed."""

from __future__ import annotations

import json

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
    if request.META.get("HTTP_IF_NONE_MATCH") == found.etag:
        response: HttpResponse = HttpResponse(status=304)
    else:
        response = HttpResponse(json.dumps(_body(found)), content_type="application/json")
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
