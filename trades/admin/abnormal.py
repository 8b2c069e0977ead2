"""Abnormal payments (异常款): money that arrived and settles no trade."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.forms import method_label
from paycenter.staff.acts import page_additions
from paycenter.staff.display import chip, money, state_chip
from paycenter.staff.lists import BoundedPaginator, DayFilter
from paycenter.staff.tenancy import ReadOnlyAdmin, tenant_of
from trades.finding import trade_ids
from trades.models import AbnormalPayment
from trades.states import AbnormalState


class OpenFilter(admin.SimpleListFilter):
    """What still needs somebody, unless everything is asked for."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*AbnormalState.choices, ("all", _("All"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": _("Unresolved")}, *others]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "all" or (request.GET.get("q") and not self.value()):
            return queryset
        wanted = (
            [self.value()] if self.value() else [AbnormalState.UNVERIFIED, AbnormalState.OPEN, AbnormalState.REFUNDING]
        )
        return queryset.filter(state__in=wanted)


class AnyDayFilter(DayFilter):
    default_days = None


@admin.register(AbnormalPayment)
class AbnormalPaymentAdmin(ReadOnlyAdmin):
    tenant_keys = {"merchant": "trade__merchant_id", "app": "trade__app_id"}
    list_display = [
        "created_at",
        "kind_label",
        "amount_label",
        "state_label",
        "trade_link",
        "channel_trade_no",
        "merchant_label",
    ]
    list_filter = [OpenFilter, "kind", AnyDayFilter]
    ordering = ["-id"]
    paginator = BoundedPaginator
    search_fields = ["channel_trade_no"]
    search_help_text = _("Any number of a payment")

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("trade__merchant", "trade__app", "attempt", "account")
        return rows.defer("trade__payer", "attempt__memo", "attempt__payer_id", "attempt__pay", "account__config")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return (queryset.filter(trade_id__in=trade_ids(search_term)) if search_term.strip() else queryset), False

    @display(description=_("kind"))
    def kind_label(self, obj: AbnormalPayment) -> str:
        return chip(obj.get_kind_display(), "warn")

    @display(description=_("amount"))
    def amount_label(self, obj: AbnormalPayment) -> str:
        return format_html("<b>{}</b>", money(obj.amount, obj.currency))

    @display(description=_("state"))
    def state_label(self, obj: AbnormalPayment) -> str:
        return state_chip(obj)

    @display(description=_("trade"))
    def trade_link(self, obj: AbnormalPayment) -> str:
        url = reverse("admin:trades_trade_change", args=[obj.trade_id])
        return format_html('<a class="text-primary-600 pc-mono" href="{}">{}</a>', url, obj.trade.trade_no)

    @display(description=_("merchant"))
    def merchant_label(self, obj: AbnormalPayment) -> str:
        return obj.trade.merchant.name

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """What arrived, through which account, and what became of it."""
        row = self.fetch(request, object_id)
        sums = [(_("Amount"), row.amount), (_("Refunded"), row.refunded_amount), (_("Refunding"), row.refunding_amount),
                (_("Refunded outside"), row.external_refunded)]  # fmt: skip
        context = self.page_context(
            request, row, title=row.get_kind_display(), row=row, method=method_label(row.attempt.method),
            sums=[(label, money(value, row.currency)) for label, value in sums if value],
            state_chip=state_chip(row), center=tenant_of(request.user) is None, **page_additions(request, row),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/abnormal.html", context)
