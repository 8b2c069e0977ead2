"""Trades (交易): found by any number, each with one timeline. Nothing about money is edited here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from channels.base.discovery import methods, providers
from merchants.admin.account import ending_certificates
from merchants.admin.choosing import AppFilter, MerchantFilter
from merchants.admin.days import MerchantDays
from merchants.forms import method_label, say
from merchants.models import PaymentAccount
from paycenter.admin.records import resolves_numbers
from paycenter.staff.acts import Answer, page_additions
from paycenter.staff.display import money, state_chip
from paycenter.staff.exports import columns, major, moment
from paycenter.staff.landing import Card, Panel, contributes
from paycenter.staff.lists import (
    BoundedPaginator,
    CurrencyFilter,
    NumberDayFilter,
    day_bounds,
    number_bound,
    parse_day,
)
from paycenter.staff.tenancy import ReadOnlyAdmin, registered, tenant_of
from paycenter.staff.words import names_states
from trades.finding import amount_and_time, trade_ids, trade_nos_of
from trades.models import AbnormalPayment, Attempt, Trade
from trades.states import AbnormalState, AttemptState, TradeState
from trades.timeline import timeline_page

resolves_numbers(trade_nos_of)
# Encrypted or large columns of the joined attempts that no list needs.
_HEAVY = [f"{a}_attempt__{name}" for a in ("current", "settled") for name in ("memo", "payer_id", "pay")]
_MANY = 20_000
names_states([*AbnormalState.choices, *AttemptState.choices, *TradeState.choices])


class MethodFilter(admin.SimpleListFilter):
    """How it was paid, else how it is being paid: the method that the list shows."""

    title = _("pay method")
    parameter_name = "method"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, method_label(code)) for code in sorted(methods())]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """An attempt is never older than its trade, so that the index of attempts by method may begin there, too. Few
        attempts lead to their trades; where there are many, the newest trades soon have enough of them."""
        if not self.value():
            return queryset
        if by_payment(request):
            return queryset.filter(settled_attempt__method=self.value())
        start, _end = day_bounds(parse_day(request.GET.get("day_from")), None)
        since = {"attempt_no__gte": number_bound("A", start)} if start else {}
        attempts = Attempt.objects.filter(method=self.value(), **since)
        if attempts[:_MANY].count() == _MANY:
            shown = Coalesce(OuterRef("settled_attempt"), OuterRef("current_attempt"))
            return queryset.filter(Exists(attempts.filter(pk=shown)))
        ours = Q(settled_attempt=F("attempts__pk")) | Q(settled_attempt=None, current_attempt=F("attempts__pk"))
        # In one call, so that it is of the same attempt and no trade comes twice.
        return queryset.filter(ours, attempts__method=self.value(), **{f"attempts__{k}": v for k, v in since.items()})


class ChannelFilter(admin.SimpleListFilter):
    """Which channel the money came through; of days of payment, as others have no index in their order."""

    title = _("channel")
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, say(cls.name)) for code, cls in sorted(providers().items())] if by_payment(request) else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(settled_attempt__channel=self.value()) if self.value() else queryset


class TradeDayFilter(MerchantDays, NumberDayFilter):
    """The day it was opened. Whoever asks for days of payment gets them whenever that was."""

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Trade], model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        if by_payment(request):
            self.searching, self.in_order = True, False


class PaidDayFilter(MerchantDays):
    """The day of the payment, as the channel has it: what figures of money count by."""

    title = _("day of payment")
    prefix = "paid"
    column = exact = "paid_at"
    default_days = None


def by_payment(request: HttpRequest) -> bool:
    """Whether days of payment are asked for, so that the list comes in the order of payments."""
    return any(parse_day(request.GET.get(f"paid_{end}")) for end in ("from", "to"))


@admin.register(Trade)
class TradeAdmin(ReadOnlyAdmin):
    empty_text = _("Orders appear here as soon as an app places one.")
    tenant_keys = {"merchant": "merchant_id", "app": "app_id"}
    list_display = [
        "numbers",
        "subject_label",
        "amount_label",
        "state_label",
        "method_shown",
        "merchant_label",
        "created_time",
    ]
    list_filter = [
        "state", MerchantFilter, AppFilter, TradeDayFilter, PaidDayFilter, CurrencyFilter, ChannelFilter,
        MethodFilter,
    ]  # fmt: skip
    list_filter_sheet = True
    paginator = BoundedPaginator
    search_fields = ["trade_no"]
    search_help_text = _("Any number, business number, phone tail, or amount and time: 128.50 2026-11-20 15:30")
    export_columns = columns(
        (_("trade number"), lambda t: t.trade_no), (_("app order number"), lambda t: t.app_order_no),
        (_("business number"), lambda t: t.business_no), (_("merchant"), lambda t: t.merchant.name),
        (_("app"), lambda t: t.app.name), (_("subject"), lambda t: t.subject), (_("currency"), lambda t: t.currency),
        (_("amount"), lambda t: major(t.amount, t.currency)), (_("paid"), lambda t: major(t.paid_amount, t.currency)),
        (_("refunded"), lambda t: major(t.refunded_amount, t.currency)),
        (_("refunding"), lambda t: major(t.refunding_amount, t.currency)),
        (_("state"), lambda t: str(t.get_state_display())), (_("pay method"), lambda t: method_label(_method(t))),
        (_("channel's number"), lambda t: t.settled_attempt.channel_trade_no if t.settled_attempt else None),
        (_("created"), lambda t: moment(t.created_at)), (_("paid at"), lambda t: moment(t.paid_at)),
        (_("closed at"), lambda t: moment(t.closed_at)),
    )  # fmt: skip

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-paid_at", "-id"] if by_payment(request) else ["-trade_no"]

    def get_sortable_by(self, request: HttpRequest) -> Any:
        return () if by_payment(request) else ("numbers",)

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("merchant", "app", "current_attempt", "settled_attempt")
        return rows.defer("payer", "detail", *_HEAVY)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        if not search_term.strip():
            return queryset, False
        wanted = amount_and_time(search_term)
        return queryset.filter(wanted if wanted is not None else Q(pk__in=trade_ids(search_term))), False

    @display(description=_("trade and app order number"), ordering="trade_no")
    def numbers(self, obj: Trade) -> str:
        return format_html(
            '<span class="pc-mono">{}</span><br><span class="pc-sub pc-mono">{}</span>', obj.trade_no, obj.app_order_no
        )

    @display(description=_("subject"))
    def subject_label(self, obj: Trade) -> str:
        return obj.subject if len(obj.subject) <= 24 else obj.subject[:23] + "…"

    @display(description=_("amount"))
    def amount_label(self, obj: Trade) -> str:
        return format_html('<b class="pc-num">{}</b>', money(obj.amount, obj.currency))

    @display(description=_("state"))
    def state_label(self, obj: Trade) -> str:
        return state_chip(obj)

    @display(description=_("pay method"))
    def method_shown(self, obj: Trade) -> str:
        return method_label(_method(obj))

    @display(description=_("merchant"))
    def merchant_label(self, obj: Trade) -> str:
        return format_html(
            '{}<br><span class="pc-sub">{}</span>', obj.merchant.short_name or obj.merchant.name, obj.app.name
        )

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The trade's page: what it is, every attempt, abnormal money, one timeline."""
        return self.trade_page(request, self.fetch(request, object_id))

    def trade_page(self, request: HttpRequest, trade: Trade, answers: Sequence[Answer] = ()) -> TemplateResponse:
        """`answers` are what the channel has just said, where it was asked."""
        attempts = (
            Attempt.objects.filter(trade=trade)
            .select_related("account")
            .defer("memo", "payer_id", "pay", "account__config")
        )
        center = tenant_of(request.user) is None
        sees_exchanges = center and request.user.has_perm("paycenter.view_exchange")
        line = timeline_page(
            trade, with_exchanges=sees_exchanges, with_staff=center, kind=request.GET.get("kind", ""),
            before=request.GET.get("before", ""),
        )  # fmt: skip
        context = self.page_context(
            request, trade, title=trade.trade_no, trade=trade, state_chip=state_chip(trade), sums=_sums(trade),
            attempts=[_attempt_row(a) for a in attempts.order_by("id")],
            abnormal=[_abnormal_row(a) for a in trade.abnormal_payments.select_related("attempt").order_by("id")],
            timeline=line.entries, line=line, line_kind=next((code for code, _word, now in line.kinds if now), ""),
            center=center, answers=answers, **page_additions(request, trade),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/trade.html", context)


def _method(trade: Trade) -> str | None:
    """How it was paid, else how it is being paid."""
    attempt = trade.settled_attempt or trade.current_attempt
    return attempt.method if attempt else None


def _sums(trade: Trade) -> list[tuple[Any, str]]:
    rows = [(_("Amount"), trade.amount), (_("Paid"), trade.paid_amount)]
    rows += [(_("Refunded"), trade.refunded_amount)] if trade.refunded_amount else []
    rows += [(_("Refunding"), trade.refunding_amount)] if trade.refunding_amount else []
    rows += [(_("Refunded outside"), trade.external_refunded)] if trade.external_refunded else []
    return [(label, money(amount, trade.currency)) for label, amount in rows]


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    provider = providers().get(attempt.channel)
    error = " ".join(filter(None, (attempt.error_code, attempt.error_message)))
    return {
        "attempt": attempt, "state": state_chip(attempt), "method": method_label(attempt.method),
        "channel": say(provider.name) if provider else attempt.channel, "error": error,
        "amount": money(attempt.amount, attempt.currency),
        "received": attempt.paid_amount and money(attempt.paid_amount, attempt.paid_currency or attempt.currency),
    }  # fmt: skip


def _abnormal_row(row: AbnormalPayment) -> dict[str, Any]:
    return {"row": row, "state": state_chip(row), "amount": money(row.amount, row.currency)}


@contributes
def money_figures(request: HttpRequest) -> list[Card | Panel]:
    """Open abnormal payments, certificates that run out, latest payments."""
    trades, abnormal = registered(Trade), registered(AbnormalPayment)
    if not (trades and abnormal and trades.has_view_permission(request)):
        return []
    found: list[Card | Panel] = [_open_abnormal(request, abnormal)]
    accounts = registered(PaymentAccount)
    if accounts and accounts.has_view_permission(request):
        found.append(_certificates(request, accounts))
    return [*found, _latest(request, trades)]


def _open_abnormal(request: HttpRequest, page: Any) -> Card:
    waiting = (AbnormalState.OPEN, AbnormalState.UNVERIFIED)
    count = page.scope(request.user, AbnormalPayment.objects.filter(state__in=waiting))[:1000].count()
    link = reverse("admin:trades_abnormalpayment_changelist") + "?state=waiting"
    return Card(
        gettext("Open abnormal payments"), str(count), link, tone="bad" if count else "calm", icon="report", order=20
    )


def _certificates(request: HttpRequest, page: Any) -> Card:
    count = ending_certificates(page.scope(request.user, PaymentAccount.objects.all())).count()
    link = reverse("admin:merchants_paymentaccount_changelist") + "?certificate=ending&o=7"
    tone = "warn" if count else "calm"
    note = gettext("within 30 days")
    return Card(gettext("Certificates expiring"), str(count), link, note, tone, "workspace_premium", 45)


def _latest(request: HttpRequest, page: Any) -> Panel:
    rows = page.get_queryset(request).order_by("-pk")[:6]
    lines = [
        (t.created_at, f"{t.subject} · {t.get_state_display()}", money(t.amount, t.currency),
         reverse("admin:trades_trade_change", args=[t.pk]))
        for t in rows
    ]  # fmt: skip
    link = reverse("admin:trades_trade_changelist")
    return Panel(gettext("Latest trades"), lines, gettext("Nothing yet."), link, order=10)
