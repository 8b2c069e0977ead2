"""Merchants (商户): list, details, state buttons, their accounts and apps."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.admin.changes import waiting
from merchants.admin.states import StateButtonsAdmin
from merchants.changes import merchant_open_request
from merchants.guards import EDIT, why_merchant_not
from merchants.models import AppMerchant, Merchant, PaymentAccount
from merchants.services import OWN_COLUMNS, merchant_advance, merchant_create, merchant_update
from merchants.states import OPENING
from paycenter.staff.acts import page_additions
from paycenter.staff.display import copyable, state_chip
from paycenter.staff.tenancy import actor_of

_PLAIN = ("name", "short_name", "timezone", "contact_name", "contact_phone", "contact_email", "note")


class MerchantForm(forms.ModelForm):  # type: ignore[type-arg]
    """A merchant's own columns; days are counted in its time zone, so that has to be a real one."""

    def clean_timezone(self) -> str:
        name: str = self.cleaned_data["timezone"].strip()
        if name not in available_timezones():
            raise ValidationError(_("No such time zone. Write it like Asia/Shanghai."))
        return name


@admin.register(Merchant)
class MerchantAdmin(StateButtonsAdmin):
    form = MerchantForm
    asks = dict.fromkeys(OPENING, _("Payments can be taken once somebody else has confirmed it."))
    empty_text = _("A merchant is a company that takes payments.")
    empty_next = _("Register the first one; its owner fills in the rest.")
    tenant_keys = {"merchant": "pk"}
    can_add = can_change = True
    list_display = ["name", "number", "state_label", "account_count", "contact_name", "created_time"]
    list_filter = ["state"]
    ordering = ["-id"]
    search_fields = ["name", "short_name", "merchant_no"]
    search_help_text = _("Name or merchant number")
    fieldsets = [
        (None, {"fields": ["name", "short_name", "timezone"]}),
        (_("Contact"), {"fields": ["contact_name", "contact_phone", "contact_email", "note"]}),
    ]
    change_form_outer_before_template = "admin/pc/merchant_before.html"
    change_form_outer_after_template = "admin/pc/merchant_after.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(accounts_open=Count("accounts"))

    @display(description=_("merchant number"), ordering="merchant_no")
    def number(self, obj: Merchant) -> str:
        return copyable(obj.merchant_no)

    @display(description=_("state"), ordering="state")
    def state_label(self, obj: Merchant) -> str:
        return state_chip(obj)

    @display(description=_("payment accounts"), ordering="accounts_open")
    def account_count(self, obj: Any) -> int:
        return int(obj.accounts_open)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        extra = dict(extra_context or {})
        merchant = self.get_object(request, object_id) if object_id else None
        if merchant is not None:
            extra |= self.state_context(request, merchant)
            extra["accounts"] = PaymentAccount.objects.filter(merchant=merchant).defer("config").order_by("id")
            links = AppMerchant.objects.filter(merchant=merchant, is_active=True)
            extra["apps"] = [link.app for link in links.select_related("app")] if self._sees_apps(request) else []
            extra["show_apps"] = self._sees_apps(request)
            extra["merchant"] = merchant
            extra["pending"] = waiting(request, merchant.changes.all())
            extra |= page_additions(request, merchant)
        return super().changeform_view(request, object_id, form_url, extra)

    def get_readonly_fields(self, request: HttpRequest, obj: Merchant | None = None) -> Any:
        """What an application decides about as a whole is changed there."""
        present = super().get_readonly_fields(request, obj)
        closed = obj is not None and bool(why_merchant_not(obj, EDIT))
        return [*present, *(n for n in _PLAIN if closed and n not in OWN_COLUMNS and n not in present)]

    def _sees_apps(self, request: HttpRequest) -> bool:
        return request.user.has_perm("merchants.view_app")

    def save_model(self, request: HttpRequest, obj: Merchant, form: Any, change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in _PLAIN if name in form.cleaned_data}
        if change:
            merchant_update(merchant=Merchant(pk=obj.pk), values=values, actor=actor_of(request.user))
        else:
            made = merchant_create(actor=actor_of(request.user), **values)
            obj.__dict__.update(made.__dict__)

    def guarded(self, record: Any, transition: str) -> bool:
        return bool(why_merchant_not(record, transition))

    def advance_record(self, request: HttpRequest, record: Any, transition: str, reason: str) -> None:
        if transition not in self.asks:
            merchant_advance(merchant=record, transition=transition, actor=actor_of(request.user), reason=reason)
            return
        why = reason or gettext("Taken into use")
        merchant_open_request(merchant=record, transition=transition, user=request.user, reason=why)  # type: ignore[arg-type]
