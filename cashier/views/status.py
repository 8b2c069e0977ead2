"""`/c/<token>/status`: what an open page asks every few seconds. One query, and 304 while nothing changed."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from cashier.headers import payer_page
from cashier.selectors import FINAL_PHASES, Status, status_by_token
from paycenter.quick import Answer


@require_safe
@payer_page
def status(request: HttpRequest, token: str) -> HttpResponse:
    answer = status_answer(token, request.META.get("HTTP_IF_NONE_MATCH", ""))
    if answer is None:
        return JsonResponse({"phase": "unknown", "final": True}, status=404)
    return answer.response()


def status_answer(token: str, seen: str, *, wait: float | None = None) -> Answer | None:
    """The status of the page with this token, or that it is still the one with the tag `seen`; None: no such page.
    It waits so many seconds for a connection."""
    found = status_by_token(token, timezone.now(), wait=wait)
    if found is None:
        return None
    tag = ("ETag", found.etag)
    if seen == tag[1]:
        return Answer(304, (tag,))
    return Answer(200, (("Content-Type", "application/json"), tag), json.dumps(_body(found)).encode())


def _body(found: Status) -> dict[str, object]:
    return {
        "phase": found.phase,
        "final": found.phase in FINAL_PHASES,
        "view": found.view,
        "attempt": found.attempt,
        "expire_at": found.expire_at.isoformat(timespec="seconds"),
    }
