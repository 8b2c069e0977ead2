"""What finance sets: fee rates, settlement terms and calendars, formats of bank statements."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.http import HttpRequest

from paycenter.staff.lists import parse_day
from paycenter.staff.tenancy import TenantAdmin, actor_of
from paycenter.transitions import record_event
from reconciliation.settlement.models import BankProfile, FeeRate, SettlementCalendar, SettlementTerms


class _Settings(TenantAdmin):
    """Saved with an event that names the values, so that it is known who set which rate when."""

    can_add = can_change = True

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        values = {name: str(value) for name, value in form.cleaned_data.items()}
        record_event(obj, f"{obj._meta.model_name}.saved", actor=actor_of(request.user), detail=values)


@admin.register(FeeRate)
class FeeRateAdmin(_Settings):
    list_display = ["account", "method", "from_day", "ppm", "rounding", "fixed", "least", "most"]
    list_filter = ["rounding"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("account__merchant").defer("account__config")


@admin.register(SettlementTerms)
class SettlementTermsAdmin(_Settings):
    list_display = ["account", "days_after", "working_days", "calendar"]

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("account__merchant", "calendar")
        return rows.defer("account__config")


class CalendarForm(ModelForm):  # type: ignore[type-arg]
    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        for name in ("holidays", "workdays"):
            days = found.get(name)
            if days is not None and not (isinstance(days, list) and all(parse_day(day) for day in days)):
                raise ValidationError({name: 'Give a list of days such as ["2027-02-17"].'})
        return found


@admin.register(SettlementCalendar)
class SettlementCalendarAdmin(_Settings):
    form = CalendarForm
    list_display = ["name"]


@admin.register(BankProfile)
class BankProfileAdmin(_Settings):
    list_display = ["name", "currency", "date_column", "amount_column", "reference_column"]
