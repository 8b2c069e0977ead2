"""The page behind an invitation: open to whoever has the link, which works once."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.auth.forms import SetPasswordForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from merchants.models import Invitation, User
from merchants.people.invitations import invitation_accept, invitation_find
from paycenter.errors import TransitionRefused
from paycenter.staff.security import entrance_admits


@never_cache
@sensitive_post_parameters()
@csrf_protect
def join_view(request: HttpRequest, secret: str) -> HttpResponse:
    """Choose a password. A link that is unknown, used, taken back or too old is all one answer."""
    invitation = invitation_find(secret)
    if invitation is None or not entrance_admits(invitation.person):
        return _page(request, status=404, title=_("This link is not valid any more"))
    form = SetPasswordForm(invitation.person, request.POST or None)
    if request.method == "POST" and form.is_valid() and _accepted(request, invitation, form):
        return HttpResponseRedirect(reverse("admin:login"))
    return _page(request, title=_("Choose your password"), form=form, person=invitation.person)


def _accepted(request: HttpRequest, invitation: Invitation, form: SetPasswordForm[User]) -> bool:
    try:
        invitation_accept(invitation=invitation, password=form.cleaned_data["new_password1"])
    except TransitionRefused as exc:
        form.add_error(None, str(exc))
        return False
    messages.success(request, _("Your password is set. Sign in with it now."))
    return True


def _page(request: HttpRequest, *, status: int = 200, **context: object) -> HttpResponse:
    context = {**admin.site.each_context(request), **context}
    response = TemplateResponse(request, "admin/security/join.html", context, status=status)
    response.headers["Referrer-Policy"] = "no-referrer"  # the address is the secret
    response.headers["Cache-Control"] = "no-store"
    return response
