"""Filters of lists by what merchants have."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from merchants.models import App, PaymentAccount
from paycenter.staff.tenancy import registered, tenant_of


class AccountFilter(admin.SimpleListFilter):
    """Payment accounts the user may see, by their number."""

    title = _("payment account")
    parameter_name = "account"
    LIMIT = 200

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        page = registered(PaymentAccount)
        if page is None or not page.has_view_permission(request):
            return []
        rows = page.get_queryset(request).order_by("name", "pk").defer("config")[: self.LIMIT]
        return [(account.payment_no, str(account)) for account in rows]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """By its key, which the index of its rows begins with."""
        if not self.value():
            return queryset
        found = PaymentAccount.objects.filter(payment_no=self.value()).values_list("pk", flat=True).first()
        return self.narrowed(queryset, found) if found is not None else queryset.none()

    def narrowed(self, rows: Any, account_id: int) -> Any:
        """The account's rows."""
        return rows.filter(account_id=account_id)


class AppFilter(admin.SimpleListFilter):
    """Apps, for people of the center; `column` is the list's key of its app."""

    title = _("app")
    parameter_name = "app"
    column = "app_id"
    LIMIT = 200

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        if tenant_of(request.user) is not None:
            return []
        return list(App.objects.order_by("name", "pk").values_list("app_id", "name")[: self.LIMIT])

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.value():
            return queryset
        found = App.objects.filter(app_id=self.value()).values_list("pk", flat=True).first()
        return queryset.filter(**{self.column: found}) if found is not None else queryset.none()
