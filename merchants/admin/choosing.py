"""Filters of lists by what merchants have: looked for by name or number while one types, however many there are.

The names come from Django's own address for that (`admin:autocomplete`), which asks the page of what is looked for:
nobody is offered what that page would not show them. What is chosen is asked of the same page.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from merchants.models import AppMerchant, CashierMethod, Merchant
from paycenter.staff.tenancy import registered, tenant_of

# So many digits are a key in no database of ours.
_TOO_LONG = 19


class TypeAhead(AutocompleteSelect):
    """Says what can be typed."""

    def build_attrs(self, base_attrs: dict[str, Any], extra_attrs: dict[str, Any] | None = None) -> dict[str, Any]:
        found = super().build_attrs(base_attrs, extra_attrs=extra_attrs)
        return {**found, "data-placeholder": gettext("Name or number")}


def _widget(field: Any, **attrs: Any) -> TypeAhead:
    return TypeAhead(field, admin.site, attrs={"style": "width: 100%", **attrs})


class ChoosingFilter(admin.SimpleListFilter):
    """Rows of one record that somebody finds by typing, named in the address by its number or its key.

    `field` is any foreign key to what is chosen, `number` the chosen model's column with its number. With `center_only`
    tenants, who have one or few, look for none.
    """

    template = "admin/pc/choose_filter.html"
    parameter_name: str
    field: ClassVar[Any]
    number: ClassVar[str]
    column: str
    center_only = False

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any) -> None:
        self.request = request
        super().__init__(request, params, model, model_admin)
        left_out = (self.parameter_name, PAGE_VAR)
        self.others = [(k, v) for k, values in request.GET.lists() for v in values if k not in left_out]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """None: they are looked for."""
        return []

    def has_output(self) -> bool:
        return self.may_search or bool(self.value() and self.offered is not None)

    @property
    def may_search(self) -> bool:
        """Whether the reader may look for one; others may still follow a link."""
        page = registered(self.field.remote_field.model)
        kept_from = self.center_only and tenant_of(self.request.user) is not None
        return page is not None and not kept_from and page.has_view_permission(self.request)

    @property
    def offered(self) -> Any:
        """What the reader may choose from, None for nothing at all."""
        page = registered(self.field.remote_field.model)
        return page.get_queryset(self.request) if page is not None and self.may_search else None

    @cached_property
    def chosen(self) -> Any:
        """The record in the address; None where there is none such, or none that the reader may choose."""
        value, rows = self.value() or "", self.offered
        if rows is None or not value:
            return None
        found = rows.filter(**{self.number: value}).first()
        if found is None and value.isdecimal() and len(value) < _TOO_LONG:
            found = rows.filter(pk=int(value)).first()
        return found

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """By its key, which the index of its rows begins with."""
        if not self.value():
            return queryset
        return self.narrowed(queryset, self.chosen.pk) if self.chosen is not None else queryset.none()

    def narrowed(self, rows: Any, key: int) -> Any:
        """The rows of the chosen one."""
        return rows.filter(**{self.column: key})

    def choices(self, changelist: Any) -> Iterator[Any]:
        """What is chosen, and the way back to all."""
        if self.value():
            yield {"selected": False, "display": _("All"), "query_string": changelist.get_query_string(
                remove=[self.parameter_name])}  # fmt: skip
            yield {"selected": True, "display": str(self.chosen or self.value()), "query_string": ""}

    @classmethod
    def files(cls) -> forms.Media:
        """What the list loads for it; some of that is in the reader's language."""
        return _widget(cls.field).media + forms.Media(js=["admin/js/jquery.init.js", "admin-brand/choosing.js"])

    @cached_property
    def form(self) -> forms.Form | None:
        """The field to type into, with what is chosen; None for who may not look."""
        if not self.may_search:
            return None
        form = forms.Form({self.parameter_name: self.chosen.pk if self.chosen else ""}, auto_id="choose_%s")
        form.fields[self.parameter_name] = forms.ModelChoiceField(
            queryset=self.offered, required=False, label=self.title,
            widget=_widget(self.field, **{"aria-label": self.title}),
        )  # fmt: skip
        return form


class AccountFilter(ChoosingFilter):
    """Payment accounts the user may see, by their name, number or identity at the channel."""

    title, parameter_name, number, column = _("payment account"), "account", "payment_no", "account_id"
    field = CashierMethod._meta.get_field("account")

    @property
    def offered(self) -> Any:
        rows = super().offered
        return rows.defer("config") if rows is not None else None


class MerchantFilter(ChoosingFilter):
    """Merchants the user may see, by name or number; nothing to choose where that is one. App staff may follow a link
    to one that their app collects for. `column` is the list's key of its merchant."""

    title, parameter_name, number, column = _("merchant"), "merchant", "merchant_no", "merchant_id"
    field = AppMerchant._meta.get_field("merchant")
    center_only = True

    @property
    def offered(self) -> Any:
        tenant = tenant_of(self.request.user)
        if tenant is not None and tenant.kind == "app":
            return Merchant.objects.filter(pk__in=AppMerchant.objects.filter(app=tenant.pk).values("merchant"))
        return super().offered


class AppFilter(ChoosingFilter):
    """Apps, for people of the center, by name or number; `column` is the list's key of its app."""

    title, parameter_name, number, column = _("app"), "app", "app_id", "app_id"
    field = AppMerchant._meta.get_field("app")
    center_only = True
