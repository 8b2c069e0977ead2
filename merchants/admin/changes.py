"""Changes waiting for a second person: side by side, confirmed or rejected by somebody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from channels.base.discovery import providers
from channels.base.fields import Field, FieldKind
from channels.base.keys import KeyProblem
from merchants.changes import (
    asker_may,
    change_confirm,
    change_reject,
    change_withdraw,
    fingerprint,
    is_overdue,
    is_stale,
)
from merchants.forms import method_label, say
from merchants.models import ChangeRequest, Role
from merchants.onboarding import ON_FILE, certificate_in
from merchants.people.reach import CONFIRM_PERMISSION
from merchants.states import ChangeState, MerchantState
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.staff.acts import written_reason
from paycenter.staff.display import chip, state_chip
from paycenter.staff.landing import Card, Panel, contributes
from paycenter.staff.lists import DayFilter
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import ReadOnlyAdmin, name_for, registered, tenant_of

_DECISIONS = {"confirm": change_confirm, "reject": change_reject, "withdraw": change_withdraw}
_FIELD_WORDS = {
    "notify_url": _("Default notification address"), "return_url": _("Default return address"),
    "allowed_ips": _("Allowed source addresses"), "secret": _("Secret"), "public_key": _("RSA public key of the app"),
    "username": _("User name"), "name": _("Name"), "role": _("Role"), "merchant": _("Merchant"), "app": _("App"),
    "email": _("E-mail"), "is_superuser": _("Superuser"), "is_active": _("Active"), "password": _("Password"),
    "methods": _("Pay methods"), "merchants": _("May collect for"), "state": _("State"),
    "second_factor": _("Two-step verification"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChangeWords:
    """How a kind of change is shown whose record this part of the center does not know (a refund policy).

    `rows` gives (field, before, after) in the reader's language, `about` says which record, `link` leads to it.
    """

    rows: Callable[[ChangeRequest], list[tuple[str, str, str]]]
    about: Callable[[ChangeRequest], str]
    link: Callable[[ChangeRequest], str]


_words: dict[str, ChangeWords] = {}


def words_of_change(kind: str, words: ChangeWords) -> None:
    """Register how changes of this kind are shown."""
    _words[ChangeRequest.Kind(kind)] = words


class WhoseFilter(admin.SimpleListFilter):
    """What the reader can decide, and what the reader asked for."""

    title = _("whose")
    parameter_name = "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        decide = [("decide", _("for me to decide"))] if request.user.has_perm(CONFIRM_PERMISSION) else []
        return [*decide, ("mine", _("asked for by me"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        me = request.user.pk
        if self.value() == "mine":
            return queryset.filter(requested_by=me)
        if self.value() == "decide":
            return queryset.filter(state=ChangeState.PENDING).exclude(Q(requested_by=me) | Q(person=me))
        return queryset


class AskedFilter(DayFilter):
    column = "requested_at"
    default_days = None


# What a merchant's or an app's own records are, of those that changes are about.
_OWN_RECORDS: Mapping[str, tuple[str, ...]] = {
    "merchant": ("person__merchant_id", "account__merchant_id", "merchant_id"), "app": ("person__app_id", "app_id"),
}  # fmt: skip


@admin.register(ChangeRequest)
class ChangeRequestAdmin(ReadOnlyAdmin):
    """Tenants see what their own people asked for about their own records, and take back what they asked for
    themselves; they decide on nothing. Who moved to another tenant takes no request along."""

    empty_text = _("Nothing waits for a second person. Changes that move money or open doors appear here to be"
                   " confirmed.")  # fmt: skip
    tenant_keys = {"merchant": "requested_by__merchant_id", "app": "requested_by__app_id"}
    list_display = ["what", "target", "state_label", "requested_by", "requested_at", "decided_by", "decided_at"]
    list_filter = [WhoseFilter, "state", "kind", AskedFilter]
    search_fields = ["account__payment_no", "account__name", "app__app_id", "app__name", "person__username",
                     "merchant__merchant_no", "merchant__name",
                     "requested_by__username"]  # fmt: skip
    search_help_text = _("Account, app, staff member, or who asked")

    def get_list_display(self, request: HttpRequest) -> Any:
        """Tenants are not told who of the center decided."""
        center = tenant_of(request.user) is None
        return [name for name in self.list_display if center or name != "decided_by"]

    def scope(self, user: Any, rows: QuerySet[Any]) -> QuerySet[Any]:
        found, tenant = super().scope(user, rows), tenant_of(user)
        if tenant is None:
            return found
        lookups = [Q((name, tenant.pk)) for name in _OWN_RECORDS[tenant.kind]]
        return found.filter(reduce(or_, lookups))

    def get_queryset(self, request: HttpRequest) -> Any:
        related = ("account__merchant", "app", "person", "merchant", "requested_by", "decided_by")
        return super().get_queryset(request).select_related(*related).defer("payload")

    @display(description=_("change"))
    def what(self, obj: ChangeRequest) -> str:
        return obj.get_kind_display()

    @display(description=_("concerns"))
    def target(self, obj: ChangeRequest) -> str:
        return " · ".join(filter(None, (str(obj.target), obj.scope)))

    @display(description=_("state"))
    def state_label(self, obj: ChangeRequest) -> str:
        return chip(_("waited too long"), "bad") if is_overdue(obj) else state_chip(obj)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        own = path("<path:object_id>/decide/<slug:decision>/", view, name=self.view_name("decide"))
        return [own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        change = self.fetch(request, object_id)
        mine = change.requested_by_id == request.user.pk
        pending = change.state == ChangeState.PENDING
        words = _words.get(change.kind)
        context = self.page_context(
            request, change, title=change.get_kind_display(), change_request=change,
            rows=words.rows(change) if words else _rows(change),
            about=words.about(change) if words else str(change.target),
            about_url=words.link(change) if words else _link(change), plain=words is not None,
            state_chip=self.state_label(change), mine=mine, may_withdraw=pending and mine,
            may_decide=pending and not mine and change.person_id != request.user.pk
            and request.user.has_perm(CONFIRM_PERMISSION),
            asker_gone=pending and not asker_may(change), stale=pending and is_stale(change),
            overdue=is_overdue(change), decider=name_for(request.user, change.decided_by) if change.decided_by else "",
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/change_request.html", context)

    @sensitive(when=lambda _page, _request, decision, **_more: decision == "confirm")
    def decide_view(self, request: HttpRequest, object_id: str, decision: str) -> HttpResponse:
        """Confirm, reject or withdraw. POST only; the service checks who."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        change = self.fetch(request, object_id)
        if decision not in _DECISIONS:
            raise Http404
        comment = written_reason(request)
        if decision == "reject" and not comment:
            messages.error(request, gettext("Please give a reason."))
        else:
            self._run(request, change, decision, comment)
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[change.pk]))

    def _run(self, request: HttpRequest, change: ChangeRequest, decision: str, comment: str) -> None:
        try:
            _DECISIONS[decision](change=change, user=request.user, comment=comment)  # type: ignore[arg-type]
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        except ChannelConfigInvalid as exc:
            messages.error(request, "; ".join(say(r) for reasons in exc.problems.values() for r in reasons))
        else:
            messages.success(request, gettext("Done."))


def _rows(change: ChangeRequest) -> list[tuple[str, str, str]]:
    """(field, before, after) in the reader's language."""
    provider = providers().get(change.account.channel) if change.account else None
    fields = {f.name: f for f in provider.fields} if provider is not None else {}
    words = {n: str(word) for n, word in _FIELD_WORDS.items()} | {n: say(f.label) for n, f in fields.items()}
    sides = [(n, *(_shown(fields.get(n), side.get(n)) for side in (change.before, change.after))) for n in change.after]
    return [(words.get(name, name), before, after) for name, before, after in sides]


def _shown(field: Field | None, value: Any) -> str:
    """A value as people compare it: of a certificate whose it is and until when, of it and of a key the fingerprint."""
    if field is None or not value:
        return _text(value)
    if field.kind in ON_FILE:
        return _certificate(field, str(value))
    if field.kind is FieldKind.PUBLIC_KEY:
        return fingerprint(str(value))
    return {code: say(label) for code, label in field.choices}.get(value) or _text(value)


def _certificate(field: Field, pem: str) -> str:
    try:
        held = certificate_in(field, pem)
    except KeyProblem:
        held = None
    if held is None:
        return fingerprint(pem)
    ends = timezone.localtime(held.ends_at).date().isoformat()
    said = gettext("serial %(serial)s, valid until %(day)s") % {"serial": held.serial, "day": ends}
    return f"{held.subject}\n{said}\n{fingerprint(pem)}"


def _link(change: ChangeRequest) -> str:
    """The page of the record the change is about."""
    target = change.target
    return reverse(f"admin:merchants_{target._meta.model_name}_change", args=[target.pk])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if value in Role.values:
        return str(Role(value).label)
    if value in MerchantState.values:
        return str(MerchantState(value).label)
    if isinstance(value, list):
        return "\n".join(map(_line, value))
    return "" if value is None else str(value)


def _line(value: Any) -> str:
    """One of a list: a method by its name, with the account it leads to where there is one."""
    if isinstance(value, list):
        method, account = value
        return f"{method_label(method)} → {account}"
    return method_label(str(value))


def waiting(request: HttpRequest, rows: QuerySet[ChangeRequest]) -> QuerySet[ChangeRequest]:
    """Which of these wait for a second person, for `pending.html`; `opens` says whether the reader may look at it."""
    shown = _visible(request, ChangeRequest.objects.filter(pk=OuterRef("pk")))
    found = rows.filter(state=ChangeState.PENDING).defer("payload").select_related("requested_by")
    return found.annotate(opens=Exists(shown))


def _visible(request: HttpRequest, rows: QuerySet[ChangeRequest]) -> QuerySet[ChangeRequest]:
    """Those that have a page for the reader."""
    page = registered(ChangeRequest)
    if page is None or not page.has_view_permission(request):
        return rows.none()
    return page.scope(request.user, rows)


_NEWS = timedelta(days=7)  # how long a decision is shown to who asked
_SHOWN = 200
_ROWS = 8


@contributes
def changes_of_the_reader(request: HttpRequest) -> list[Card | Panel]:
    """What waits to be confirmed, and what becomes of the reader's own requests; one query."""
    me = request.user.pk
    if not request.user.has_perm("merchants.view_changerequest"):
        return []
    news = Q(requested_by=me, decided_at__gt=timezone.now() - _NEWS)
    rows = _visible(request, ChangeRequest.objects.filter(news | Q(state=ChangeState.PENDING)))
    related = ("account", "app", "person", "merchant")
    found = list(rows.defer("payload").order_by("-id").select_related(*related)[:_SHOWN])
    mine = sorted((c for c in found if c.requested_by_id == me), key=lambda c: c.state != ChangeState.PENDING)
    place = reverse("admin:merchants_changerequest_changelist")
    asked = [_news_row(change) for change in mine[:_ROWS]]
    panels = [Panel(gettext("What you asked for"), asked, "", f"{place}?whose=mine", order=70)] if asked else []
    return [_card(request, [c for c in found if c.state == ChangeState.PENDING], place), *panels]


def _card(request: HttpRequest, pending: list[ChangeRequest], place: str) -> Card:
    """How many wait for the reader to decide; for who decides on none, how many wait at all."""
    me = request.user.pk
    if not request.user.has_perm(CONFIRM_PERMISSION):
        return Card(gettext("Waiting to be confirmed"), str(len(pending)), f"{place}?state__exact=pending", icon="rule")
    count = sum(me not in (c.requested_by_id, c.person_id) for c in pending)
    tone = "warn" if count else "calm"
    return Card(gettext("Changes to confirm"), str(count), f"{place}?whose=decide", tone=tone, icon="rule")


def _news_row(change: ChangeRequest) -> tuple[Any, str, str, str]:
    place = reverse("admin:merchants_changerequest_change", args=[change.pk])
    word = gettext("waited too long") if is_overdue(change) else str(change.get_state_display())
    return change.decided_at or change.requested_at, str(change), word, place
