"""Signed-in browsers of staff: the list, its limits, and ending them.

A session carries its own times, so that a page costs no query more; the row is brought up to date once a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from itertools import takewhile
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model, logout, update_session_auth_hash
from django.contrib.auth.views import redirect_to_login
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from paycenter.middleware import client_ip, is_below
from paycenter.models import Event
from paycenter.staff.models import KnownAddress, StaffSession

_ROW, _SINCE, _SEEN, _KEY = "staff_row", "staff_since", "staff_seen", "staff_key"
_EVERY = 60  # seconds between two updates of the row
# Events of signing in: it went well, a wrong name or password, a right password and a wrong code.
SIGNED_IN, SIGN_IN_FAILED, CODE_FAILED = "user.signed_in", "user.sign_in_failed", "user.sign_in_code_failed"
_LOOKED_AT = 200


class StaffSessionMiddleware:
    """Ends sessions that were idle for too long or are too old, and keeps the list of sessions."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if is_below(request.path_info, "/admin") and request.user.is_authenticated:
            if _is_over(request):
                end(request.session.session_key or "")
                logout(request)
                messages.info(request, _("You were signed out because this session was idle for long or is old."))
                return redirect_to_login(request.get_full_path(), reverse("admin:login"))
            _touch(request)
        return self.get_response(request)


def _is_over(request: HttpRequest) -> bool:
    now, session = time.time(), request.session
    idle: float = now - session.get(_SEEN, now)
    age: float = now - session.get(_SINCE, now)
    return bool(idle > settings.SESSION_IDLE_SECONDS or age > settings.SESSION_COOKIE_AGE)


def _touch(request: HttpRequest) -> None:
    session, now = request.session, int(time.time())
    if _SINCE not in session:
        _warn_of_failures(request)
        session[_SINCE] = now
    elif now - session[_SEEN] < _EVERY and session[_KEY] == session.session_key:
        return
    session[_SEEN], session[_KEY] = now, session.session_key
    user: Any = request.user
    address, at = client_ip(request), timezone.now()
    seen: dict[str, Any] = {"session_key": session.session_key, "address": address, "seen_at": at}
    if not StaffSession.objects.filter(pk=session.get(_ROW, 0)).update(**seen):
        agent = request.headers.get("user-agent", "")[:300].replace("\x00", "")
        row = StaffSession.objects.create(user=user, user_agent=agent, started_at=at, **seen)
        session[_ROW] = row.pk
    KnownAddress.objects.update_or_create(user_id=user.pk, address=address, defaults={"seen_at": at})


def _warn_of_failures(request: HttpRequest) -> None:
    """Tell somebody who signs in what was tried with their name since the last time they did."""
    failed = _failed_since_last(cast(int, request.user.pk))
    if failed:
        text = ngettext(
            "Since you were here, %(n)d sign-in with your name failed. Was it not you? Change your password.",
            "Since you were here, %(n)d sign-ins with your name failed. Was it not you? Change your password.",
            len(failed),
        )  # fmt: skip
        messages.warning(request, text % {"n": len(failed)})
    known = failed.count(CODE_FAILED)
    if known:
        text = ngettext(
            "%(n)d of them gave your right password and no right code. Was it not you? Then somebody knows it.",
            "%(n)d of them gave your right password and no right code. Was it not you? Then somebody knows it.", known,
        )  # fmt: skip
        messages.error(request, text % {"n": known})


def _failed_since_last(user_id: int) -> list[str]:
    """The types of the events of sign-ins that failed between the present one and the one before it, the latest first.

    Events tell it, because what counts towards a lock-out is forgotten after a while.
    """
    types = (SIGNED_IN, SIGN_IN_FAILED, CODE_FAILED)
    rows = Event.objects.about("user", object_id=user_id, type__in=types).order_by("-id")
    latest = list(rows.values_list("type", flat=True)[:_LOOKED_AT])
    if latest and latest[0] == SIGNED_IN:  # the present one
        del latest[0]
    return list(takewhile(lambda type_: type_ != SIGNED_IN, latest))


def sessions_of(user: Any) -> list[StaffSession]:
    """The person's sessions that can still be used, the latest first."""
    now = timezone.now()
    return list(
        StaffSession.objects.filter(
            user_id=user.pk, seen_at__gt=now - timedelta(seconds=settings.SESSION_IDLE_SECONDS),
            started_at__gt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE),
        )
    )  # fmt: skip


def end(session_key: str) -> None:
    """End one session: its cookie is worth nothing from now on."""
    import_module(settings.SESSION_ENGINE).SessionStore(session_key).delete()
    StaffSession.objects.filter(session_key=session_key).delete()


def end_all(user: Any, *, keep: HttpRequest | None = None) -> None:
    """End every session of a person, whether it is on the list or not; `keep` is the request whose own goes on."""
    get_user_model().objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    kept = keep.session.session_key if keep else None
    for key in StaffSession.objects.filter(user_id=user.pk).values_list("session_key", flat=True):
        if key != kept:
            end(key)
    if keep is not None:
        update_session_auth_hash(keep, get_user_model().objects.get(pk=user.pk))


def device_word(user_agent: str) -> str:
    """Browser and system of a session, as far as they say so: `Chrome · Windows`."""
    browsers = (("Edg", "Edge"), ("MicroMessenger", "WeChat"), ("Firefox", "Firefox"), ("Chrome", "Chrome"),
                ("Safari", "Safari"))  # fmt: skip
    systems = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"),
               ("Mac OS", "macOS"), ("Linux", "Linux"))  # fmt: skip
    found = [next((word for mark, word in known if mark in user_agent), "") for known in (browsers, systems)]
    return " · ".join(filter(None, found)) or _("unknown device")


def forget_ended() -> int:
    """Delete the rows of sessions that can no longer be used; answers how many."""
    limit = timezone.now() - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    return StaffSession.objects.filter(seen_at__lt=limit).delete()[0]
