"""Sensitive acts ask for the code again when the last one was given too long ago.

`@sensitive` marks a view or a bulk action. The site asks before the view runs: it answers with a page that
wants a code and carries what was posted, encrypted; with a right code the view runs on it as if it had just
been posted, so nothing has to be filled in again.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.datastructures import MultiValueDict
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from paycenter import trail
from paycenter.crypto import decrypt, encrypt
from paycenter.errors import ConfigError
from paycenter.masking import mask_url
from paycenter.staff.codes import has_device, matching_device
from paycenter.transitions import record_event

_CODE_AT = "code_at"
_HELD, _TYPED = "held_form", "step_up_code"
_HELD_SECONDS = 600
_HELD_FILES = 512 * 1024  # bytes in all; with larger files the form has to be sent again
When = Callable[..., bool]
V = TypeVar("V", bound=Callable[..., Any])


def sensitive(view: V | None = None, *, when: When | None = None, looking: bool = False) -> Any:
    """Mark a view of a page, or a bulk action, as one that wants a fresh code.

    `when(page, request, **kwargs)` says which of the view's posts are; all of them without it. With `looking` the
    code is wanted for what the view shows as well; with a right one the view runs on a POST, and shows it then.
    """

    def mark(marked: V) -> V:
        marked.wants_code = when or _always  # type: ignore[attr-defined]
        marked.wants_code_to_look = looking  # type: ignore[attr-defined]
        return marked

    return mark(view) if view is not None else mark


def _always(_page: Any, _request: HttpRequest, **_kwargs: Any) -> bool:
    return True


def guarded(view: Callable[..., Any]) -> Callable[..., Any]:
    """The view, which asks for a code first where it is marked. `AdminSite.admin_view` calls this for every view,
    because a held form may come back to any of them: bulk actions are not marked on the view but on themselves."""
    marked = view.func if isinstance(view, partial) else view
    when: When = getattr(marked, "wants_code", _never)
    looking = getattr(marked, "wants_code_to_look", False)
    page = view.args[0] if isinstance(view, partial) and view.args else getattr(view, "__self__", None)

    def run(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method == "POST":
            asked = _resumed(request) if _HELD in request.POST else None
            if asked is None and when(page, request, **kwargs):
                asked = asked_again(request)
            if asked is not None:
                return asked
        elif looking and (asked := asked_again(request)) is not None:
            return asked
        return view(request, *args, **kwargs)

    return update_wrapper(run, marked)


def _never(_page: Any, _request: HttpRequest, **_kwargs: Any) -> bool:
    return False


def action_wants_code(action: Callable[..., Any]) -> bool:
    """Whether a bulk action is marked sensitive."""
    return hasattr(action, "wants_code")


def note_code(request: HttpRequest) -> None:
    """A code was right just now."""
    request.session[_CODE_AT] = int(time.time())


def code_fits(request: HttpRequest, typed: str) -> bool:
    """Whether this is a right code, which counts as given just now. A wrong one leaves an event."""
    from paycenter.staff.tenancy import actor_of  # its pages know the step-up

    if matching_device(request.user, typed) is not None:
        note_code(request)
        return True
    trail.remember(request.user)  # their own record says nothing here
    detail = {"path": mask_url(request.path, limit=300)}
    record_event(cast(Any, request.user), "user.code_failed", actor=actor_of(request.user), detail=detail)
    return False


def is_fresh(request: HttpRequest) -> bool:
    """Whether the last code is recent enough, or the person has no second factor that could be asked for."""
    given = request.session.get(_CODE_AT, 0)
    return time.time() - given < settings.CODE_FRESH_SECONDS or not has_device(request.user)


def asked_again(request: HttpRequest) -> HttpResponse | None:
    """The page that asks for a code and carries what was posted; None when the last code is recent enough."""
    return None if is_fresh(request) else _ask(request, _hold(request))


def _resumed(request: HttpRequest) -> HttpResponse | None:
    """None when the code was right, with the held form put back; else the page that asks again."""
    held = request.POST[_HELD]
    form = _held_form(request, held)
    if form is None:
        return _ask(request, "", _("This page is too old. Go back and send the form again."))
    if not is_fresh(request) and not code_fits(request, request.POST.get(_TYPED, "")):
        return _ask(request, held, _("Wrong code, or one already used. Wait for the next one."))
    _put_back(request, form)
    return None


def _ask(request: HttpRequest, held: str, error: str = "") -> HttpResponse:
    context = {
        **admin.site.each_context(request), "title": _("Confirm it is you"), "held": held, "error": error,
        "held_name": _HELD, "code_name": _TYPED, "minutes": settings.CODE_FRESH_SECONDS // 60,
        "files_lost": bool(request.FILES) and not held, "back": _referrer(request),
    }  # fmt: skip
    response = TemplateResponse(request, "admin/security/code.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


def _hold(request: HttpRequest) -> str:
    """What was posted, for this person and this address; empty when its files are too large to be carried along."""
    files = [(name, upload) for name, uploads in request.FILES.lists() for upload in uploads]
    if sum(upload.size or 0 for _name, upload in files) > _HELD_FILES:
        return ""
    form = {
        "user": request.user.pk, "path": request.get_full_path(), "at": int(time.time()),
        "post": [(name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken"],
        "files": [(name, f.name, f.content_type, base64.b64encode(f.read()).decode()) for name, f in files],
    }  # fmt: skip
    return encrypt(json.dumps(form))


def _held_form(request: HttpRequest, held: str) -> dict[str, Any] | None:
    """What was held; None for what is not ours, another person's, another address's or too old."""
    try:
        form: dict[str, Any] = json.loads(decrypt(held))
    except (ConfigError, ValueError):
        return None
    same = form.get("user") == request.user.pk and form.get("path") == request.get_full_path()
    return form if same and time.time() - form["at"] < _HELD_SECONDS else None


def _put_back(request: Any, form: dict[str, Any]) -> None:
    """Let the view find what was posted at first."""
    posted = QueryDict(mutable=True)
    for name, values in form["post"]:
        posted.setlist(name, values)
    posted._mutable = False
    request.POST = posted
    files: MultiValueDict[str, Any] = MultiValueDict()
    for name, file_name, content_type, content in form["files"]:
        files.appendlist(name, SimpleUploadedFile(file_name, base64.b64decode(content), content_type))
    request._files = files


def _referrer(request: HttpRequest) -> str:
    """The page the form was on; the overview where the browser does not say."""
    place = request.headers.get("referer", "")
    same = url_has_allowed_host_and_scheme(place, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return place if same else reverse("admin:index")
