"""Attempts (支付单): every try at a channel, for who looks at a channel or a method instead of at one order."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from channels.base.discovery import methods, providers
from merchants.admin.choosing import AccountFilter, MerchantFilter
from merchants.admin.days import MerchantDays
from merchants.forms import method_label, say
from paycenter.staff.display import money, state_chip
from paycenter.staff.exports import columns, major, moment
from paycenter.staff.lists import BoundedPaginator, NumberDayFilter
from paycenter.staff.tenancy import ReadOnlyAdmin, tenant_of
from trades.finding import trade_ids
from trades.models import Attempt
from trades.switching import NOT_SENT


def by_trade(request: HttpRequest) -> bool:
    """Whether the list comes in the order of its trades: those of one merchant or app have an index in that order."""
    if request.GET.get(AccountFilter.parameter_name):
        return False
    return tenant_of(request.user) is not None or bool(request.GET.get(MerchantFilter.parameter_name))


class AttemptMethodFilter(admin.SimpleListFilter):
    title = _("pay method")
    parameter_name = "method"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, method_label(code)) for code in sorted(methods())]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(method=self.value()) if self.value() else queryset


class AttemptMerchantFilter(MerchantFilter):
    column = "trade__merchant_id"


class SentFilter(admin.SimpleListFilter):
    """What its channel has seen; an attempt that another one overtook before was never sent."""

    title = _("sent to the channel")
    parameter_name = "sent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("sent")), ("0", _("never sent"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in ("0", "1"):
            return queryset
        return queryset.exclude(error_code=NOT_SENT) if self.value() == "1" else queryset.filter(error_code=NOT_SENT)


class AttemptDayFilter(MerchantDays, NumberDayFilter):
    """By the day of what the list is ordered by: the attempt's, or its order's."""

    merchant = "trade__merchant"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.column, self.kind = ("trade__trade_no", "P") if by_trade(request) else ("attempt_no", "A")
        self.exact = "trade__created_at" if by_trade(request) else "created_at"
        self.title = _("day of the order") if by_trade(request) else _("day")


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    tenant_keys = {"merchant": "trade__merchant_id", "app": "trade__app_id"}
    list_display = [
        "numbers", "state_label", "amount_label", "method_shown", "account_label", "channels_word", "created_time",
    ]  # fmt: skip
    list_filter = [
        "state", AttemptMerchantFilter, AccountFilter, AttemptDayFilter, SentFilter, AttemptMethodFilter,
    ]  # fmt: skip
    list_filter_sheet = True
    paginator = BoundedPaginator
    search_fields = ["attempt_no"]
    search_help_text = _("Any number of a payment, or the phone's last four digits")
    empty_text = _("An attempt is made when a payer chooses how to pay.")
    export_columns = columns(
        (_("attempt number"), lambda a: a.attempt_no), (_("trade number"), lambda a: a.trade.trade_no),
        (_("app order number"), lambda a: a.trade.app_order_no), (_("merchant"), lambda a: a.trade.merchant.name),
        (_("app"), lambda a: a.trade.app.name), (_("payment account"), lambda a: a.account.payment_no),
        (_("channel"), lambda a: channel_name(a)), (_("pay method"), lambda a: method_label(a.method)),
        (_("currency"), lambda a: a.currency), (_("amount"), lambda a: major(a.amount, a.currency)),
        (_("received"), lambda a: major(a.paid_amount, a.paid_currency or a.currency)),
        (_("state"), lambda a: str(a.get_state_display())), (_("channel's word"), lambda a: a.channel_state),
        (_("channel's code"), lambda a: a.error_code), (_("channel's message"), lambda a: a.error_message),
        (_("channel order number"), lambda a: a.channel_order_no),
        (_("channel's number"), lambda a: a.channel_trade_no), (_("created"), lambda a: moment(a.created_at)),
        (_("paid at"), lambda a: moment(a.paid_at)),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("trade__merchant", "trade__app", "account")
        return rows.defer("pay", "memo", "payer_id", "trade__payer", "trade__detail", "account__config")

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-trade__trade_no", "-id"] if by_trade(request) else ["-attempt_no"]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(Q(trade_id__in=trade_ids(term))) if term else queryset), False

    @display(description=_("attempt and trade number"))
    def numbers(self, obj: Attempt) -> str:
        return format_html(
            '<span class="pc-mono">{}</span><br><span class="pc-sub pc-mono">{}</span>',
            obj.attempt_no, obj.trade.trade_no,
        )  # fmt: skip

    @display(description=_("state"))
    def state_label(self, obj: Attempt) -> str:
        return state_chip(obj)

    @display(description=_("amount"))
    def amount_label(self, obj: Attempt) -> str:
        return format_html('<b class="pc-num">{}</b>', money(obj.amount, obj.currency))

    @display(description=_("pay method"))
    def method_shown(self, obj: Attempt) -> str:
        return method_label(obj.method)

    @display(description=_("payment account"))
    def account_label(self, obj: Attempt) -> str:
        merchant = obj.trade.merchant.short_name or obj.trade.merchant.name
        return format_html('<div>{}<br><span class="pc-sub">{}</span></div>', obj.account, merchant)

    @display(description=_("channel's word"))
    def channels_word(self, obj: Attempt) -> str:
        text = " ".join(filter(None, (obj.error_code, obj.error_message))) or obj.channel_state or "–"
        return text if len(text) <= 48 else text[:47] + "…"

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """An attempt stands on the page of its trade."""
        attempt = self.fetch(request, object_id)
        return HttpResponseRedirect(reverse("admin:trades_trade_change", args=[attempt.trade_id]))


def channel_name(attempt: Attempt) -> str:
    """The channel in words."""
    provider = providers().get(attempt.channel)
    return say(provider.name) if provider else attempt.channel
