"""Opens the trail of each request to the admin, and writes the events that no service writes: signing in and out,
downloads, and whatever else changed something without saying so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_noop

from notifications.alerts import alert
from paycenter import trail
from paycenter.masking import mask_url
from paycenter.middleware import client_ip
from paycenter.staff.sessions import CODE_FAILED, SIGN_IN_FAILED, SIGNED_IN
from paycenter.staff.tenancy import actor_of
from paycenter.staff.throttle import refused_code
from paycenter.transitions import record_event

_PREFIX = "/admin/"
_SAFE = ("GET", "HEAD", "OPTIONS")
# Wrong passwords from one address that are recorded one by one in an hour; then one alert stands for the others.
FAILURES_RECORDED = 60
_HOUR = 3600


class StaffTrailMiddleware:
    """Must stand behind the middleware that knows who is signed in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(_PREFIX):
            return self.get_response(request)
        opened = trail.Trail(client_ip(request), getattr(request, "request_id", ""))
        before = request.user if request.user.is_authenticated else None
        token = trail.begin(opened)
        try:
            with ExitStack() as stack:
                if request.method not in _SAFE:
                    stack.enter_context(connection.execute_wrapper(opened.watch))
                response = self.get_response(request)
            self._tell(request, response, opened, before)
        finally:
            trail.end(token)
        return response

    def _tell(self, request: HttpRequest, response: HttpResponse, opened: trail.Trail, before: Any) -> None:
        now = request.user if request.user.is_authenticated else None
        trail.remember(now or before)  # their own record says nothing here
        if now is not None and before is None:
            record_event(now, SIGNED_IN, actor=actor_of(now))
        elif before is not None and now is None:
            record_event(before, "user.signed_out", actor=actor_of(before))
        elif now is None:
            _tell_failure(request, response)
        elif not opened.events:
            _tell_unsaid(request, response, opened, now)


def _tell_unsaid(request: HttpRequest, response: HttpResponse, opened: trail.Trail, user: Any) -> None:
    """A download, or a change that nothing recorded."""
    detail = {"path": mask_url(request.get_full_path(), limit=300)}
    if "attachment" in response.headers.get("Content-Disposition", ""):
        detail["file"] = response.headers["Content-Disposition"][:200]
        record_event(user, "staff.downloaded", actor=actor_of(user), detail=detail)
    elif opened.tables:
        view = request.resolver_match.view_name if request.resolver_match else ""
        detail.update(view=view, tables=", ".join(sorted(opened.tables)))
        record_event(user, "staff.changed", actor=actor_of(user), detail=detail)


def _tell_failure(request: HttpRequest, response: HttpResponse) -> None:
    """A wrong name or password, or a wrong code after a right one. A name nobody has is not kept: it may be a password
    in the wrong field."""
    view = request.resolver_match.view_name if request.resolver_match else ""
    if request.method != "POST" or view != "admin:login" or "username" not in request.POST:
        return
    address = client_ip(request)
    code = refused_code(request)
    if _failures(address) > FAILURES_RECORDED and not code:  # who knows a password is never lost among the others
        return
    model: Any = get_user_model()
    user = model.objects.filter(username=request.POST["username"][:150].replace("\x00", "")).first()
    detail: dict[str, Any] = {"locked": True} if response.status_code in (403, 429) else {}
    if code:
        detail["code"] = code
    actor = actor_of(user) if user is not None else "staff:?"
    trail.remember(user)
    record_event(user or model(), CODE_FAILED if code else SIGN_IN_FAILED, actor=actor, detail=detail)


def _failures(address: str) -> int:
    key = f"sign-in-failures:{address}"
    cache.add(key, 0, _HOUR)
    try:
        count = int(cache.incr(key))
    except ValueError:  # it expired between the two
        return 1
    if count == FAILURES_RECORDED:
        alert(
            kind="security", key=f"sign-in:{address}", context={"address": address, "count": count},
            title=gettext_noop("Many failed sign-ins from one address"),
            text=gettext_noop("%(count)d wrong names, passwords or codes from %(address)s within an hour."),
        )  # fmt: skip
    return count
