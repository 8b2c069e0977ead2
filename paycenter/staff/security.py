"""The second factor: who needs one, setting it up, recovery codes."""

from __future__ import annotations

from typing import Any, cast

import segno
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from django_otp import login as otp_login
from django_otp.plugins.otp_totp.models import TOTPDevice

from paycenter import trail
from paycenter.staff import sessions, stepup
from paycenter.staff.codes import codes_left, forget_devices, has_device, matching_device, new_recovery_codes
from paycenter.staff.tenancy import TENANT_ROLES, actor_of
from paycenter.transitions import record_event

_ENROLLING = "enrolling_device"  # which key this session was shown
# Who can move money or open doors; the others may set up a second factor if they like.
MONEY_ROLES = ("operator", "finance", "owner")


def entrance_admits(user: Any) -> bool:
    """The portal is for staff of merchants and apps only; the other entrances take everybody."""
    if settings.ENTRANCE != "portal":
        return True
    return bool(not user.is_superuser and getattr(user, "role", "") in TENANT_ROLES)


def is_required(user: Any) -> bool:
    """Whether this person cannot work without a second factor here."""
    if settings.ENTRANCE == "portal":
        return True
    return bool(settings.REQUIRE_TOTP and (user.is_superuser or user.role in MONEY_ROLES))


def is_satisfied(user: Any) -> bool:
    """Whether the session's second factor is good enough for this person."""
    if user.is_verified():
        return True
    return not is_required(user) and not has_device(user)


def admits(user: Any) -> bool:
    """Whether this person, signed in this way, may use the staff pages at this entrance."""
    return bool(user.is_active and user.is_staff and entrance_admits(user) and is_satisfied(user))


def must_enrol(user: Any) -> bool:
    """Signed in, needs a second factor and has none yet."""
    return bool(
        user.is_authenticated and user.is_staff and entrance_admits(user)
        and is_required(user) and not has_device(user)
    )  # fmt: skip


@never_cache
def overview(request: HttpRequest) -> HttpResponse:
    """The signed-in person's own second factor and sessions."""
    context = {
        "title": _("Security of your account"), "has_device": has_device(request.user),
        "required": is_required(request.user), "codes_left": codes_left(request.user),
        "sessions": [
            (row, sessions.device_word(row.user_agent), row.session_key == request.session.session_key)
            for row in sessions.sessions_of(request.user)
        ],
    }  # fmt: skip
    return _page(request, "admin/security/overview.html", context)


@never_cache
@sensitive_post_parameters()
def enrol(request: HttpRequest) -> HttpResponse:
    """Show the key as a QR code, and take it into use once a code made with it comes back.

    Open to staff who are signed in by password only: it is where they get their second factor.
    """
    user = request.user
    if not (user.is_authenticated and user.is_staff and entrance_admits(user)):
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    if has_device(user):
        return HttpResponseRedirect(reverse("admin:security"))
    device = _device_to_enrol(request)
    error = ""
    if request.method == "POST":
        if matching_device(user, request.POST.get("otp_token", ""), confirmed=False):
            return _taken_into_use(request, device)
        error = _("Wrong code. Check the clock of your phone and use the code shown now.")
    return _page(request, "admin/security/enrol.html", _enrol_context(device, error))


def _device_to_enrol(request: HttpRequest) -> TOTPDevice:
    """The key of this session. One that another session was shown is no secret of this one: it is thrown away."""
    shown = TOTPDevice.objects.filter(user=request.user, confirmed=False)
    found = shown.filter(pk=request.session.get(_ENROLLING, 0)).first()
    if found is None:
        shown.delete()
        found = TOTPDevice.objects.create(user=request.user, confirmed=False, name="app")
        request.session[_ENROLLING] = found.pk
    else:
        shown.exclude(pk=found.pk).delete()
    return found


def _enrol_context(device: TOTPDevice, error: str) -> dict[str, Any]:
    image = segno.make(device.config_url, error="m").svg_data_uri(scale=5, border=2, dark="#0f172a", light="#fff")
    secret = device.config_url.split("secret=")[1].split("&")[0]
    groups = " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))
    return {"title": _("Set up two-step verification"), "qr_code": image, "secret": groups, "error": error}


def _taken_into_use(request: HttpRequest, device: TOTPDevice) -> HttpResponse:
    with transaction.atomic():
        TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
        codes = new_recovery_codes(request.user)
        _noted(request, "user.second_factor_added")
    otp_login(request, device)
    stepup.note_code(request)
    return _show_codes(request, codes)


def _show_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    return _page(request, "admin/security/recovery.html", {"title": _("Recovery codes"), "codes": codes})


@never_cache
@require_POST
def renew_recovery(request: HttpRequest) -> HttpResponse:
    """New recovery codes against a valid code."""
    if not _token_fits(request):
        return HttpResponseRedirect(reverse("admin:security"))
    with transaction.atomic():
        codes = new_recovery_codes(request.user)
        _noted(request, "user.recovery_codes_renewed")
    return _show_codes(request, codes)


@never_cache
@require_POST
def remove(request: HttpRequest) -> HttpResponse:
    """Take the second factor away against a valid code; not for those who cannot work without it."""
    if not is_required(request.user) and _token_fits(request):
        with transaction.atomic():
            forget_devices(request.user)
            _noted(request, "user.second_factor_removed")
        messages.success(request, _("Two-step verification is off."))
    return HttpResponseRedirect(reverse("admin:security"))


@never_cache
@require_POST
def end_session(request: HttpRequest) -> HttpResponse:
    """End one of one's own sessions."""
    chosen = request.POST.get("session", "")
    for row in sessions.sessions_of(request.user):
        if str(row.pk) == chosen:
            sessions.end(row.session_key)
            _noted(request, "user.session_ended")
            messages.success(request, _("Signed out there."))
    return HttpResponseRedirect(reverse("admin:security"))


@never_cache
@require_POST
def end_others(request: HttpRequest) -> HttpResponse:
    """End all of one's own sessions but this one."""
    person: Any = get_user_model()._default_manager.get(pk=cast(int, request.user.pk))
    trail.remember(person)
    sessions.end_all(person, keep=request)
    person.refresh_from_db(fields=["session_epoch"])
    record_event(person, "user.sessions_ended", actor=actor_of(person))
    messages.success(request, _("Signed out everywhere else."))
    return HttpResponseRedirect(reverse("admin:security"))


def _noted(request: HttpRequest, word: str) -> None:
    record_event(cast(Any, request.user), word, actor=actor_of(request.user))


def _token_fits(request: HttpRequest) -> bool:
    fits = stepup.code_fits(request, request.POST.get("otp_token", ""))
    if not fits:
        messages.error(request, _("Wrong code, or one already used. Wait for the next one."))
    return fits


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    response = TemplateResponse(request, template, {**admin.site.each_context(request), **context})
    response.headers["Cache-Control"] = "no-store"
    return response
