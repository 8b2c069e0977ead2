"""Staff: inviting, changing, links, the second factor, locks and sessions of others.

Operators keep everybody but superusers, owners the people of their merchant; what lets in anybody but a
clerk is a draft until a second person confirms it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_totp.admin import TOTPDevice
from unfold.decorators import display

from merchants.admin.changes import waiting
from merchants.admin.joining import join_view
from merchants.admin.states import history_of
from merchants.forms import ReasonForm
from merchants.models import User
from merchants.people import invitations, services
from merchants.people.forms import InviteForm, StaffForm
from merchants.people.links import link_for
from merchants.people.reach import keeps, needs_second
from paycenter.crypto import decrypt, encrypt
from paycenter.errors import TransitionRefused
from paycenter.staff import throttle
from paycenter.staff.codes import has_device
from paycenter.staff.display import chip
from paycenter.staff.sessions import device_word, sessions_of
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import TenantAdmin, actor_of, tenant_of
from paycenter.transitions import record_event

# Groups play no part; the devices' pages would show their keys.
for hidden in (Group, TOTPDevice):
    if admin.site.is_registered(hidden):
        admin.site.unregister(hidden)

_ONCE = "link_shown_once"


@admin.register(User)
class StaffAdmin(TenantAdmin):
    tenant_keys = {"merchant": "merchant_id", "app": "app_id"}
    can_add = can_change = True
    list_display = ["username", "full_name", "role_label", "tenant", "access_label", "factor_label", "last_login"]
    list_filter = ["role", "is_active"]
    search_fields = ["username", "first_name", "last_name", "email"]
    search_help_text = _("User name, name or e-mail")
    ordering = ["username"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("merchant", "app")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or keeps(_me(request), obj))

    @display(description=_("name"))
    def full_name(self, obj: User) -> str:
        return obj.get_full_name() or "–"

    @display(description=_("role"), ordering="role")
    def role_label(self, obj: User) -> str:
        return chip(_("superuser"), "warn") if obj.is_superuser else obj.get_role_display()

    @display(description=_("belongs to"))
    def tenant(self, obj: User) -> str:
        return str(obj.merchant or obj.app or "–")

    @display(description=_("access"), ordering="is_active")
    def access_label(self, obj: User) -> str:
        if obj.is_active:
            return chip(_("active"), "good")
        return chip(_("switched off"), "") if obj.has_usable_password() else chip(_("invited"), "info")

    @display(description=_("two-step verification"), boolean=True)
    def factor_label(self, obj: User) -> bool:
        return has_device(obj)

    def get_urls(self) -> list[URLPattern]:
        wrap, one = self.admin_site.admin_view, "<path:object_id>"
        acts = [
            path(f"{one}/{name}/", wrap(view), name=self.view_name(name.replace("-", "_")))
            for name, view in (
                ("link", self.link_view), ("link-shown", self.link_shown_view), ("revoke", self.revoke_view),
                ("ask-link", self.ask_link_view), ("reset-factor", self.reset_factor_view),
                ("unlock", self.unlock_view), ("sign-out", self.sign_out_view),
            )
        ]  # fmt: skip
        join = path("join/<str:secret>/", join_view, name=self.view_name("join"))  # open to whoever has the link
        return [join, *acts, *super().get_urls()]

    # ---- pages ----------------------------------------------------------------------------
    @sensitive
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Invite somebody."""
        self.require(request, "merchants.add_user")
        form = InviteForm(request.POST or None, by=_me(request))
        if request.method == "POST" and form.is_valid():
            made = self._run(request, lambda: services.staff_invite(by=_me(request), **form.person()), form)
            if made is not None:
                return self._invited(request, *made)
        context = self.page_context(
            request, title=gettext("Invite a staff member"), forms=[form], submit=gettext("Invite"),
            intro=gettext("They choose their own password with a link that works once."),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/form.html", context)

    def _invited(self, request: HttpRequest, person: User, change: Any) -> HttpResponse:
        if change is None:
            return self._give_link(request, person)
        messages.success(
            request, gettext("Asked for. Once somebody else confirms it, make the link on this page.")
        )
        return self._back(person)

    @sensitive
    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """A person: what they may do, links, second factor, sessions, what was done about them."""
        person = self.fetch(request, object_id)
        may = self.has_change_permission(request, person)
        form = StaffForm(request.POST or None, person=person, by=_me(request))
        if request.method == "POST":
            if not may:
                raise PermissionDenied
            if form.is_valid() and self._saved(request, person, form):
                return self._back(person)
        context = self.page_context(
            request, person, title=person.get_full_name() or person.username, person=person, form=form, may=may,
            **self._facts(request, person, may),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/staff.html", context)

    def _facts(self, request: HttpRequest, person: User, may: bool) -> dict[str, Any]:
        links = person.invitations.select_related("created_by")[:1]
        return {
            "role": self.role_label(person), "access": self.access_label(person), "tenant": self.tenant(person),
            "has_device": has_device(person), "is_self": person.pk == request.user.pk,
            "link": links[0] if links else None, "granted": invitations.is_granted(person),
            "second": needs_second(person.role, is_superuser=person.is_superuser),
            "first": invitations.purpose_for(person) == invitations.Purpose.JOIN,
            "locked": throttle.locked_places(person) if may else [],
            "sessions": [(row, device_word(row.user_agent)) for row in sessions_of(person)] if may else [],
            "pending": waiting(request, person.changes.all()),
            "history": history_of(person, with_staff=tenant_of(request.user) is None),
        }  # fmt: skip

    def _saved(self, request: HttpRequest, person: User, form: StaffForm) -> bool:
        values, reason = form.values(), form.cleaned_data["reason"]
        run = self._run(
            request, lambda: [services.staff_update(person=person, values=values, by=_me(request), reason=reason)], form
        )
        if run is None:
            return False
        asked = gettext("Asked for. It takes effect once somebody else confirms it.")
        messages.success(request, gettext("Saved.") if run[0] is None else asked)
        return True

    # ---- links ----------------------------------------------------------------------------
    @sensitive
    def link_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A fresh link with which the person chooses a password; the older one ends. POST only."""
        person = self._posted(request, object_id)
        return self._give_link(request, person) if not isinstance(person, HttpResponse) else person

    def _give_link(self, request: HttpRequest, person: User) -> HttpResponse:
        secret = self._run(request, lambda: invitations.invitation_issue(person=person, by=_me(request)))
        if secret is None:
            return self._back(person)
        link = link_for(request, person, secret)
        if invitations.invitation_mail(person=person, link=link):
            messages.success(request, gettext("The link is on its way to %(mail)s.") % {"mail": person.email})
        if invitations.is_mailed_only(person.role, is_superuser=person.is_superuser):
            return self._back(person)  # nobody but its owner reads it
        request.session[_ONCE] = encrypt(f"{person.pk} {link}")
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('link_shown')}", args=[person.pk]))

    @sensitive(looking=True)
    def link_shown_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The link that was just made, this once."""
        person = self.fetch(request, object_id, change=True)
        token = request.session.pop(_ONCE, "")
        owner, _space, link = decrypt(token).partition(" ") if token else ("", "", "")
        if owner != str(person.pk):
            return self._back(person)
        context = self.page_context(request, person, title=gettext("Link for %(who)s") % {"who": person}, link=link)
        response = TemplateResponse(request, "admin/pc/staff_link.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make the open link worthless. POST only."""
        return self._act(
            request, object_id, lambda person: invitations.invitation_revoke(person=person, by=_me(request))
        )

    @sensitive
    def ask_link_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a new password link of somebody whom nobody alone lets in. POST only."""
        return self._ask(request, object_id, services.password_link_request)

    # ---- second factor, locks, sessions ---------------------------------------------------------
    @sensitive
    def reset_factor_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask to forget a person's second factor (lost phone). POST only, not for oneself."""
        return self._ask(request, object_id, services.factor_reset_request)

    def unlock_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let a person who gave too many wrong passwords try again now. POST only."""

        def unlock(person: User) -> None:
            throttle.unlock(person)
            record_event(person, "user.unlocked", actor=actor_of(request.user), detail={"username": person.username})

        return self._act(request, object_id, unlock)

    def sign_out_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End every session of a person. POST only."""
        return self._act(request, object_id, lambda person: services.staff_sign_out(person=person, by=_me(request)))

    # ---- shared ---------------------------------------------------------------------------
    def _posted(self, request: HttpRequest, object_id: str) -> Any:
        """The person an act is about, whom the reader keeps; an answer where it was no POST."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return self.fetch(request, object_id, change=True)

    def _act(self, request: HttpRequest, object_id: str, run: Callable[[User], Any]) -> HttpResponse:
        person = self._posted(request, object_id)
        if isinstance(person, HttpResponse):
            return person
        if self._run(request, lambda: [run(person)]) is not None:
            messages.success(request, gettext("Done."))
        return self._back(person)

    def _ask(self, request: HttpRequest, object_id: str, ask: Callable[..., Any]) -> HttpResponse:
        person = self._posted(request, object_id)
        if isinstance(person, HttpResponse):
            return person
        form = ReasonForm(request.POST)
        if not form.is_valid():
            messages.error(request, gettext("Please give a reason."))
        elif self._run(request, lambda: ask(person=person, by=_me(request), reason=form.cleaned_data["reason"])):
            messages.success(request, gettext("Asked for. It takes effect once somebody else confirms it."))
        return self._back(person)

    def _run(self, request: HttpRequest, run: Callable[[], Any], form: Any = None) -> Any:
        """Its result; None where it was refused, which the form or a message says."""
        try:
            return run()
        except TransitionRefused as exc:
            if form is None:
                messages.error(request, str(exc))
            else:
                form.add_error(None, str(exc))
            return None

    def _back(self, person: User) -> HttpResponse:
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[person.pk]))


def _me(request: HttpRequest) -> User:
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied
    return user
