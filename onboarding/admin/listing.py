"""The list of applications: what waits for a reviewer comes first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Case, IntegerField, Max, Value, When
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.states import MerchantState
from onboarding.models import Application
from paycenter.staff.display import copyable, state_chip
from paycenter.staff.tenancy import TenantAdmin


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(MerchantState.choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(merchant__state=self.value()) if self.value() else queryset


class ApplicationListing(TenantAdmin):
    empty_text = _("No company has applied yet.")
    empty_next = _("Open one: its owner then fills in the application step by step.")
    tenant_keys = {"merchant": "merchant_id"}
    can_add = can_change = True
    list_display = ["company", "number", "state_label", "last_number", "last_submitted", "created_time"]
    list_filter = [StateFilter]
    search_fields = ["merchant__name", "merchant__short_name", "merchant__merchant_no"]
    search_help_text = _("Name or merchant number")

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("merchant")
        return rows.annotate(last=Max("versions__number"), submitted=Max("versions__submitted_at"))

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """What waits for a reviewer comes first."""
        waiting = Case(When(merchant__state=MerchantState.REVIEW, then=Value(0)), default=Value(1),
                       output_field=IntegerField())  # fmt: skip
        return [waiting.asc(), "-id"]

    @display(description=_("company"))
    def company(self, obj: Application) -> str:
        return obj.merchant.name

    @display(description=_("merchant number"))
    def number(self, obj: Application) -> str:
        return copyable(obj.merchant.merchant_no)

    @display(description=_("state"))
    def state_label(self, obj: Application) -> str:
        return state_chip(obj.merchant)

    @display(description=_("version"))
    def last_number(self, obj: Any) -> Any:
        return obj.last or "–"

    @display(description=_("submitted at"))
    def last_submitted(self, obj: Any) -> Any:
        return obj.submitted or "–"
