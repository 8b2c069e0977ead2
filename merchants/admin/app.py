"""Apps (业务应用): registering one, its keys and addresses, which merchants it may collect for."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.views import ChangeList

from merchants.admin.changes import waiting
from merchants.admin.states import history_of
from merchants.changes import (
    app_addresses_request,
    app_open_request,
    app_rsa_request,
    app_secret_request,
    fingerprint,
)
from merchants.forms import AddressesForm, AppForm, ReasonForm, RsaKeyForm, field_errors
from merchants.keys import app_key_forget_previous, webhook_secret_forget_previous
from merchants.models import App, AppKey, AppMerchant, ChangeRequest, Merchant
from merchants.offer_changes import app_merchants_change
from merchants.services import IssuedApp, app_create, app_update
from paycenter.crypto import decrypt, encrypt
from paycenter.errors import TransitionRefused
from paycenter.staff.acts import written_reason
from paycenter.staff.display import chip, copyable
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import TenantAdmin, actor_of, registered, tenant_of

_ONCE = "shown_once"


class AppDetailsForm(forms.Form):
    """What opens no doors."""

    name = forms.CharField(label=_("Name"), max_length=64)
    requests_per_second = forms.IntegerField(label=_("Requests per second"), min_value=1, max_value=100_000)
    is_active = forms.BooleanField(
        label=_("Active"), required=False, help_text=_("Switched off, every request of the app is refused.")
    )


class AppList(ChangeList):
    """Reads whom the page's apps collect for; nothing else that looks for apps needs it."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        return super().get_queryset(request, exclude_parameters).prefetch_related("appmerchant_set__merchant")


@admin.register(App)
class AppAdmin(TenantAdmin):
    empty_text = _("An app is a business line that asks for payments.")
    empty_next = _("Register the first one to get its keys.")
    tenant_keys = {"app": "pk"}
    can_add = can_change = True
    list_display = ["name", "number", "active_label", "merchant_names", "requests_per_second", "created_time"]
    list_filter = ["is_active"]
    search_fields = ["name", "app_id"]
    search_help_text = _("Name or app id")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[AppList]:
        return AppList

    @display(description=_("app id"))
    def number(self, obj: App) -> str:
        return copyable(obj.app_id)

    @display(description=_("state"))
    def active_label(self, obj: App) -> str:
        return chip(_("active"), "good") if obj.is_active else chip(_("switched off"), "warn")

    @display(description=_("collects for"))
    def merchant_names(self, obj: App) -> str:
        names = [link.merchant.name for link in obj.appmerchant_set.all() if link.is_active]
        return "、".join(names) or "–"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<path:object_id>/details/", wrap(self.details_view), name=self.view_name("details")),
            path("<path:object_id>/merchants/", wrap(self.merchants_view), name=self.view_name("merchants")),
            path("<path:object_id>/addresses/", wrap(self.addresses_view), name=self.view_name("addresses")),
            path("<path:object_id>/rsa/", wrap(self.rsa_view), name=self.view_name("rsa")),
            path("<path:object_id>/secret/<slug:kind>/", wrap(self.secret_view), name=self.view_name("secret")),
            path("<path:object_id>/forget/<slug:kind>/", wrap(self.forget_view), name=self.view_name("forget")),
            path("<path:object_id>/shown-once/", wrap(self.once_view), name=self.view_name("once")),
        ]
        return [*own, *super().get_urls()]

    @sensitive
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Register an app with its secrets; it is taken into use once somebody else confirms it."""
        self.require(request, "merchants.add_app")
        form = AppForm(request.POST or None, merchants=_all_merchants(request))
        if request.method == "POST" and form.is_valid():
            issued = self._register(request, form)
            secrets = {"HMAC-SHA256": issued.hmac_secret, "Webhook": issued.webhook_secret}
            return self._show_once(request, issued.app, secrets, pending=True)
        intro = gettext("It is taken into use once somebody else confirms it.")
        return self._form(
            request, None, form, title=gettext("Register an app"), submit=gettext("Register"), intro=intro
        )

    @transaction.atomic
    def _register(self, request: HttpRequest, form: AppForm) -> IssuedApp:
        issued = app_create(actor=actor_of(request.user), is_active=False, **form.cleaned_data)
        app_open_request(app=issued.app, user=request.user, reason=gettext("New app"))  # type: ignore[arg-type]
        return issued

    def _form(
        self, request: HttpRequest, app: App | None, form: Any, *, title: str, submit: str, **extra: Any
    ) -> HttpResponse:
        context = self.page_context(request, app, title=title, forms=[form], submit=submit, **extra)
        return TemplateResponse(request, "admin/pc/form.html", context)

    def _show_once(self, request: HttpRequest, app: App, secrets: dict[str, str], *, pending: bool) -> HttpResponse:
        """Keep fresh secrets, encrypted, in the session until the next page has shown them."""
        request.session[_ONCE] = encrypt(json.dumps({"app": app.pk, "secrets": secrets, "pending": pending}))
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('once')}", args=[app.pk]))

    @sensitive(looking=True)
    def once_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The secrets that were just issued, this once."""
        app = self.fetch(request, object_id, change=True)
        kept = json.loads(decrypt(token)) if (token := request.session.pop(_ONCE, "")) else {}
        if kept.get("app") != app.pk:
            return self._back(app)
        context = self.page_context(
            request, app, title=gettext("Secrets of %(app)s") % {"app": app.name}, app=app,
            secrets=kept["secrets"].items(), pending=kept["pending"],
        )  # fmt: skip
        response = TemplateResponse(request, "admin/pc/shown_once.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        app = self.fetch(request, object_id)
        may_change = self.has_change_permission(request, app)
        links = AppMerchant.objects.filter(app=app, is_active=True).select_related("merchant")
        context = self.page_context(
            request, app, title=app.name, app=app, may_change=may_change, links=links, keys=_keys(app),
            details=AppDetailsForm(initial={n: getattr(app, n) for n in AppDetailsForm.base_fields}),
            all_merchants=_all_merchants(request).order_by("name") if may_change else [],
            linked=[link.merchant_id for link in links], state_chip=self.active_label(app),
            pending=waiting(request, app.changes.all()),
            may_cashier=request.user.has_perm("merchants.change_cashiermethod"),
            is_tenant=tenant_of(request.user) is not None,
            history=history_of(app, with_staff=tenant_of(request.user) is None),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/app.html", context)

    def details_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        app = self._posted(request, object_id)
        form = AppDetailsForm(request.POST)
        if form.is_valid():
            self._store_details(request, app, form.cleaned_data)
        else:
            messages.error(request, " ".join(field_errors(form)))
        return self._back(app)

    def _store_details(self, request: HttpRequest, app: App, values: dict[str, Any]) -> None:
        """Switching on opens a door, so it waits for a second person; the rest is stored at once."""
        opens = values["is_active"] and not app.is_active
        values = {**values, "is_active": app.is_active} if opens else values
        app_update(app=app, values=values, actor=actor_of(request.user))
        messages.success(request, gettext("Saved."))
        if not opens:
            return
        try:
            app_open_request(app=app, user=request.user, reason=gettext("Switched on"))  # type: ignore[arg-type]
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        else:
            messages.success(request, gettext("Asked for. It takes effect once somebody else confirms it."))

    def merchants_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        app = self._posted(request, object_id)
        chosen = _all_merchants(request).filter(pk__in=[n for n in request.POST.getlist("merchants") if n.isdecimal()])
        try:
            asked = app_merchants_change(app=app, merchants=chosen, user=request.user, reason=written_reason(request))  # type: ignore[arg-type]
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        else:
            waits = gettext("Asked for. It takes effect once somebody else confirms it.")
            messages.success(request, gettext("Saved.") if asked is None else waits)
        return self._back(app)

    def addresses_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Other callback or source addresses: asked for here, confirmed by somebody else."""
        app = self.fetch(request, object_id, change=True)
        initial = {**vars(app), "allowed_ips": "\n".join(app.allowed_ips)}
        form, reason = AddressesForm(request.POST or None, initial=initial), ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and reason.is_valid():
            ask = {"values": form.cleaned_data, "reason": reason.cleaned_data["reason"]}
            if self._ask(request, form, lambda: app_addresses_request(app=app, user=request.user, **ask)):  # type: ignore[arg-type]
                return self._back(app)
        return self._form(request, app, form, title=gettext("Addresses of %(app)s") % {"app": app.name},
                          submit=gettext("Ask for confirmation"), reason=reason)  # fmt: skip

    @sensitive
    def rsa_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Another RSA public key: asked for here, confirmed by somebody else."""
        app = self.fetch(request, object_id, change=True)
        form, reason = RsaKeyForm(request.POST or None), ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and reason.is_valid():
            ask = {"public_key": form.cleaned_data["public_key"], "reason": reason.cleaned_data["reason"]}
            if self._ask(request, form, lambda: app_rsa_request(app=app, user=request.user, **ask)):  # type: ignore[arg-type]
                return self._back(app)
        return self._form(request, app, form, title=gettext("RSA public key of %(app)s") % {"app": app.name},
                          submit=gettext("Ask for confirmation"), reason=reason)  # fmt: skip

    def _ask(self, request: HttpRequest, form: forms.Form, ask: Any) -> bool:
        try:
            ask()
        except TransitionRefused as exc:
            form.add_error(None, str(exc))
            return False
        messages.success(request, gettext("Asked for. It takes effect once somebody else confirms it."))
        return True

    @sensitive
    def secret_view(self, request: HttpRequest, object_id: str, kind: str) -> HttpResponse:
        """A new HMAC or webhook secret, shown once; valid after somebody else confirmed. POST only."""
        app = self._posted(request, object_id)
        if kind not in (ChangeRequest.Kind.APP_HMAC, ChangeRequest.Kind.APP_WEBHOOK):
            raise Http404
        reason = ReasonForm(request.POST)
        if not reason.is_valid():
            messages.error(request, gettext("Please give a reason."))
            return self._back(app)
        try:
            _request, secret = app_secret_request(
                app=app,
                kind=kind,
                user=request.user,  # type: ignore[arg-type]
                reason=reason.cleaned_data["reason"],
            )
        except TransitionRefused as exc:
            messages.error(request, str(exc))
            return self._back(app)
        name = "HMAC-SHA256" if kind == ChangeRequest.Kind.APP_HMAC else "Webhook"
        return self._show_once(request, app, {name: secret}, pending=True)

    def forget_view(self, request: HttpRequest, object_id: str, kind: str) -> HttpResponse:
        """Stop accepting a previous key: closes a door, so one person may. POST only."""
        app = self._posted(request, object_id)
        if kind == "webhook":
            webhook_secret_forget_previous(app=app, actor=actor_of(request.user))
        elif kind in AppKey.Kind.values:
            app_key_forget_previous(app=app, kind=kind, actor=actor_of(request.user))
        else:
            raise Http404
        messages.success(request, gettext("The previous key is not accepted any more."))
        return self._back(app)

    def _posted(self, request: HttpRequest, object_id: str) -> App:
        app: App = self.fetch(request, object_id, change=True)
        if request.method != "POST":
            raise Http404
        return app

    def _back(self, app: App) -> HttpResponse:
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[app.pk]))


def _all_merchants(request: HttpRequest) -> Any:
    page = registered(Merchant)
    rows = page.get_queryset(request) if page else Merchant.objects.none()
    return rows if tenant_of(request.user) is None else rows.none()


def _keys(app: App) -> list[dict[str, Any]]:
    """What is known about the app's keys, without any secret."""
    rows = AppKey.objects.filter(app=app).order_by("kind", "slot")
    return [
        {
            "kind": row.get_kind_display(), "slot": row.get_slot_display(), "at": row.created_at,
            "forget": row.kind if row.slot == AppKey.Slot.PREVIOUS else "",
            "shown": fingerprint(row.value) if row.kind == AppKey.Kind.RSA else "••••••",
        }
        for row in rows
    ]  # fmt: skip
