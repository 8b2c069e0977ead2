"""Abnormal payments (异常款): money that arrived and settles no trade. Two people keep it, or it goes back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.admin.choosing import MerchantFilter
from merchants.forms import ReasonForm, method_label
from paycenter.errors import TransitionRefused
from paycenter.staff.acts import page_additions
from paycenter.staff.display import chip, money, state_chip
from paycenter.staff.exports import columns, major, moment
from paycenter.staff.landing import Card, contributes
from paycenter.staff.lists import BoundedPaginator, SerialDayFilter
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import ReadOnlyAdmin, registered, tenant_of
from trades.accepting import ACCEPT_PERMISSION, acceptance_ask, acceptance_confirm, acceptance_withdraw
from trades.finding import trade_ids
from trades.models import AbnormalPayment
from trades.states import AbnormalState
from trades.timeline import money_timeline

_DECISIONS = {"ask": acceptance_ask, "confirm": acceptance_confirm, "withdraw": acceptance_withdraw}
_UNRESOLVED = (AbnormalState.UNVERIFIED, AbnormalState.OPEN, AbnormalState.REFUNDING)
_WAITING = Q(state__in=(AbnormalState.OPEN, AbnormalState.UNVERIFIED))
_ASKED = Q(state=AbnormalState.OPEN, acceptance_asked_by__isnull=False)
_NOBODY_YET = Q(state=AbnormalState.OPEN, acceptance_asked_by__isnull=True, next_policy_at__isnull=True)


class OpenFilter(admin.SimpleListFilter):
    """What still needs somebody, unless everything is asked for."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        work = [("waiting", _("Not decided")), ("person", _("Needs a person")),
                ("confirm", _("Keeping to be confirmed"))]  # fmt: skip
        return [*work, *AbnormalState.choices, ("all", _("All"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": _("Unresolved")}, *others]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "all" or (request.GET.get("q") and not self.value()):
            return queryset
        work = {"waiting": _WAITING, "person": _NOBODY_YET, "confirm": _ASKED}
        if self.value() in work:
            return queryset.filter(work[self.value() or ""])
        return queryset.filter(state__in=[self.value()] if self.value() else _UNRESOLVED)


class TradesMerchantFilter(MerchantFilter):
    column = "trade__merchant_id"


@admin.register(AbnormalPayment)
class AbnormalPaymentAdmin(ReadOnlyAdmin):
    empty_text = _("No money arrived that settles no order. What does appears here and waits for a decision.")
    tenant_keys = {"merchant": "trade__merchant_id", "app": "trade__app_id"}
    list_display = ["kind_label", "amount_label", "state_label", "next_label", "age", "trade_link", "merchant_label"]
    list_filter = [OpenFilter, "kind", TradesMerchantFilter, SerialDayFilter]
    ordering = ["-id"]
    paginator = BoundedPaginator
    search_fields = ["channel_trade_no"]
    search_help_text = _("Any number of a payment")
    export_columns = columns(
        (_("trade number"), lambda a: a.trade.trade_no), (_("attempt number"), lambda a: a.attempt.attempt_no),
        (_("channel's number"), lambda a: a.channel_trade_no), (_("merchant"), lambda a: a.trade.merchant.name),
        (_("kind"), lambda a: str(a.get_kind_display())), (_("state"), lambda a: str(a.get_state_display())),
        (_("currency"), lambda a: a.currency), (_("amount"), lambda a: major(a.amount, a.currency)),
        (_("refunded"), lambda a: major(a.refunded_amount, a.currency)),
        (_("recorded"), lambda a: moment(a.created_at)), (_("resolved"), lambda a: moment(a.resolved_at)),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        related = ("trade__merchant", "trade__app", "attempt", "account", "acceptance_asked_by")
        rows = super().get_queryset(request).select_related(*related)
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

    @display(description=_("outcome"))
    def next_label(self, obj: AbnormalPayment) -> str:
        return format_html("<div>{}</div>", outcome(obj))

    @display(description=_("age"), ordering="created_at")
    def age(self, obj: AbnormalPayment) -> str:
        until = obj.resolved_at or timezone.now()
        recorded = timezone.localtime(obj.created_at).strftime("%Y-%m-%d %H:%M:%S")
        return format_html('<span title="{}">{}</span>', recorded, timesince(obj.created_at, until, depth=1))

    @display(description=_("trade"))
    def trade_link(self, obj: AbnormalPayment) -> str:
        url = reverse("admin:trades_trade_change", args=[obj.trade_id])
        return format_html(
            '<div><a class="text-primary-600 pc-mono" href="{}">{}</a><br><span class="pc-sub pc-mono">{}</span></div>',
            url, obj.trade.trade_no, obj.channel_trade_no,
        )  # fmt: skip

    @display(description=_("merchant"))
    def merchant_label(self, obj: AbnormalPayment) -> str:
        return obj.trade.merchant.name

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.keep_view)
        own = path("<path:object_id>/keep/<slug:decision>/", view, name=self.view_name("keep"))
        return [own, *super().get_urls()]

    @sensitive(when=lambda _page, _request, decision, **_more: decision != "withdraw")
    def keep_view(self, request: HttpRequest, object_id: str, decision: str) -> HttpResponse:
        """Ask to keep the money, confirm it, or take the request back. POST only; the service checks who."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.fetch(request, object_id)
        self.require(request, ACCEPT_PERMISSION)
        if decision not in _DECISIONS:
            raise Http404
        form = ReasonForm(request.POST)
        if not form.is_valid():
            messages.error(request, gettext("Please give a reason."))
        else:
            self._decide(request, row, decision, form.cleaned_data["reason"])
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[row.pk]))

    def _decide(self, request: HttpRequest, row: AbnormalPayment, decision: str, reason: str) -> None:
        done = {
            "ask": gettext("Asked for. The money is kept once somebody else confirms it."),
            "confirm": gettext("The money is kept."), "withdraw": gettext("The request to keep it is withdrawn."),
        }  # fmt: skip
        try:
            _DECISIONS[decision](abnormal=row, user=request.user, reason=reason)  # type: ignore[arg-type]
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        else:
            messages.success(request, done[decision])

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """What arrived, through which account, and what became of it."""
        row = self.fetch(request, object_id)
        sums = [(_("Amount"), row.amount), (_("Refunded"), row.refunded_amount), (_("Refunding"), row.refunding_amount),
                (_("Refunded outside"), row.external_refunded)]  # fmt: skip
        context = self.page_context(
            request, row, title=row.get_kind_display(), row=row, method=method_label(row.attempt.method),
            sums=[(label, money(value, row.currency)) for label, value in sums if value],
            state_chip=state_chip(row), center=tenant_of(request.user) is None, outcome=outcome(row),
            timeline=money_timeline(row, with_staff=tenant_of(request.user) is None), **page_additions(request, row),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/abnormal.html", context)


def outcome(row: AbnormalPayment) -> str:
    """What happens next with the money, or what became of it, in words."""
    if row.state == AbnormalState.UNVERIFIED:
        return gettext("the channel is being asked")
    if row.state == AbnormalState.OPEN:
        return _next(row)
    if row.state == AbnormalState.ACCEPTED:
        return _kept(row)
    return str(row.get_state_display())


def _next(row: AbnormalPayment) -> str:
    if row.acceptance_asked_by_id is not None:
        return gettext("a second person has to confirm keeping it")
    if row.next_policy_at is not None:
        return gettext("the policy decides shortly")
    return gettext("somebody has to keep it or give it back")


def _kept(row: AbnormalPayment) -> str:
    paid = row.trade.settled_attempt_id == row.attempt_id
    if row.acceptance_asked_by_id is None:  # people always leave their name
        return gettext("kept by policy, the order is paid")
    return gettext("kept, the order is paid") if paid else gettext("kept, the order is not paid by it")


@contributes
def keeping_to_confirm(request: HttpRequest) -> list[Card]:
    """How many requests to keep money wait for this person."""
    page = registered(AbnormalPayment)
    if page is None or not request.user.has_perm(ACCEPT_PERMISSION):
        return []
    rows = AbnormalPayment.objects.filter(_ASKED).exclude(acceptance_asked_by=request.user.pk)
    count = page.scope(request.user, rows)[:1000].count()
    link = reverse("admin:trades_abnormalpayment_changelist") + "?state=confirm"
    tone = "warn" if count else "calm"
    return [Card(gettext("Keeping to be confirmed"), str(count), link, tone=tone, icon="savings", order=21)]
