"""What happens when somebody is locked out of signing in: a page, an alert, a notice to the person."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from merchants.models import User
from merchants.people.mail import mail_person
from notifications.alerts import alert
from paycenter.middleware import client_ip
from paycenter.staff.throttle import refused_code

_TOLD_SECONDS = 3600


def locked_out(request: HttpRequest, _response: Any = None, credentials: Any = None) -> HttpResponse:
    """Answer a try that was refused: the same page, whether or not the name exists.

    Names that do not exist share one alert, so that nobody can fill the list by inventing names.
    """
    name = str((credentials or {}).get("username") or request.POST.get("username", "")).replace("\x00", "")[:150]
    person = User.objects.filter(username=name).first()
    address = client_ip(request)
    alert(
        kind="security", key=f"sign-in:{person.pk if person else 'unknown'}", severity="warning",
        title=gettext_noop("Too many wrong passwords or codes: %(name)s"),
        text=gettext_noop("Last from %(address)s. The staff page of the person has a button to unlock."),
        context={"name": name if person else "–", "address": address},
    )  # fmt: skip
    if person is not None and cache.add(f"sign-in-told:{person.pk}", 1, _TOLD_SECONDS):
        _tell(person, address, knows_password=bool(refused_code(request)))
    return render(request, "admin/locked_out.html", status=429)


def _tell(person: User, address: str, *, knows_password: bool) -> None:
    with translation.override(settings.LANGUAGE_CODE):
        text = _("Somebody at %(address)s gave too many wrong passwords or codes with your name, and is blocked for a "
                 "while. If it was not you, tell your operator.")  # fmt: skip
        if knows_password:
            text += "\n\n" + _("The password was the right one. If it was not you, change it at once.")
        mail_person(person, _("Too many wrong passwords or codes with your name"), text % {"address": address})
