"""Reconciliation by day (对账日): both sides' sums next to each other, and what is still open."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from paycenter.staff.display import chip, money, state_chip
from paycenter.staff.lists import BoundedPaginator
from paycenter.staff.tenancy import ReadOnlyAdmin, actor_of
from paycenter.transitions import record_event
from reconciliation.admin.bills import BillDayFilter
from reconciliation.days import day_touch
from reconciliation.models import Bill, Case, ReconciliationDay
from reconciliation.states import UNRESOLVED_CASE_STATES, BillState, CaseState

_WORDS = {
    "count": _("payments"), "paid": _("paid"), "refunds": _("refunds"), "refunded": _("refunded"), "fee": _("fee"),
}  # fmt: skip
Line = tuple[str, str, str, bool]


def _cases(*states: CaseState) -> Any:
    found = Case.objects.filter(account=OuterRef("account"), day=OuterRef("day"), state__in=states)
    return Coalesce(Subquery(found.order_by().values("account").annotate(n=Count("pk")).values("n")), 0)


class ResultFilter(admin.SimpleListFilter):
    """Which days need somebody."""

    title = _("result")
    parameter_name = "result"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("with open differences")), ("waiting", _("not compared yet")), ("agrees", _("agrees"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        unresolved = Exists(
            Case.objects.filter(account=OuterRef("account"), day=OuterRef("day"), state__in=UNRESOLVED_CASE_STATES)
        )
        if self.value() == "open":
            return queryset.filter(unresolved)
        if self.value() == "waiting":
            return queryset.filter(matched_at__isnull=True)
        return queryset.filter(~unresolved, matched_at__isnull=False) if self.value() == "agrees" else queryset


@admin.register(ReconciliationDay)
class ReconciliationDayAdmin(ReadOnlyAdmin):
    tenant_keys = {"merchant": "account__merchant_id"}
    list_display = ["day", "account_label", "result", "ours_label", "theirs_label", "matched_at"]
    list_filter = [ResultFilter, BillDayFilter]
    empty_text = _("Days appear here as soon as an account has taken money; each is compared when its bill is there.")
    ordering = ["-day", "-id"]
    paginator = BoundedPaginator

    def get_queryset(self, request: HttpRequest) -> Any:
        bill = Bill.objects.filter(account=OuterRef("account"), day=OuterRef("day"), kind="trade")
        rows = super().get_queryset(request).select_related("account__merchant").defer("account__config")
        return rows.annotate(
            bill_state=Subquery(bill.values("state")[:1]), open_cases=_cases(*UNRESOLVED_CASE_STATES),
            carried_cases=_cases(CaseState.CARRIED),
        )  # fmt: skip

    @display(description=_("payment account"))
    def account_label(self, obj: ReconciliationDay) -> str:
        return str(obj.account)

    @display(description=_("result"))
    def result(self, obj: Any) -> str:
        if obj.open_cases:
            return chip(gettext("%(n)s open") % {"n": obj.open_cases}, "bad")
        if obj.matched_at is None:
            word = dict(BillState.choices).get(obj.bill_state, _("no bill"))
            return chip(word, "bad" if obj.bill_state == BillState.REFUSED else "warn")
        if obj.carried_cases:
            return chip(gettext("%(n)s carried over") % {"n": obj.carried_cases}, "info")
        return chip(_("agrees"), "good")

    @display(description=_("here"))
    def ours_label(self, obj: ReconciliationDay) -> str:
        return _sum_text(obj.ours)

    @display(description=_("at the channel"))
    def theirs_label(self, obj: ReconciliationDay) -> str:
        return _sum_text(obj.theirs)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.compare_view)
        return [path("<path:object_id>/compare/", view, name=self.view_name("compare")), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The day: sums of both sides, the bill, the cases."""
        day = self.fetch(request, object_id)
        cases = Case.objects.filter(account=day.account, day=day.day)
        unresolved = Q(state__in=[*UNRESOLVED_CASE_STATES, CaseState.CARRIED])
        context = self.page_context(
            request, day, title=str(day), day=day, result=self.result(day), tables=_side_by_side(day),
            **self._neighbours(request, day), may_upload=request.user.has_perm("reconciliation.upload_bill"),
            sees_bills=request.user.has_perm("reconciliation.view_bill"),
            bills=[(bill, state_chip(bill)) for bill in Bill.objects.filter(account=day.account, day=day.day)],
            cases=[(case, state_chip(case), money(case.difference, case.currency))
                   for case in cases.filter(unresolved).order_by("-difference")[:200]],
            finished=cases.exclude(unresolved).count(), may_act=request.user.has_perm("reconciliation.settle_case"),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/reconciliation/day.html", context)

    def _neighbours(self, request: HttpRequest, day: ReconciliationDay) -> dict[str, Any]:
        """The account's days before and after, to go through a week without going back to the list."""
        days = self.get_queryset(request).filter(account=day.account)
        return {"earlier": days.filter(day__lt=day.day).order_by("-day").first(),
                "later": days.filter(day__gt=day.day).order_by("day").first()}  # fmt: skip

    def compare_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Compare the day again, in the background. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        day = self.fetch(request, object_id)
        self.require(request, "reconciliation.settle_case")
        with transaction.atomic():
            day_touch(account_id=day.account_id, day=day.day)
            record_event(day, "reconciliation.asked", actor=actor_of(request.user))
        messages.success(request, gettext("The day is being compared."))
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[day.pk]))


def _sum_text(sums: dict[str, dict[str, int]]) -> str:
    """What came in, and below it what was given back, where something was."""
    return format_html_join("", "<div class='pc-sum'>{}{}</div>", (
        (money(one["paid"], currency), _given_back(one["refunded"], currency)) for currency, one in sums.items()
    )) or "–"  # fmt: skip


def _given_back(amount: int, currency: str) -> str:
    words = gettext("refunded %(amount)s") % {"amount": money(amount, currency)}
    return format_html("<span class='pc-sub'>{}</span>", words) if amount else ""


def _side_by_side(day: ReconciliationDay) -> list[tuple[str, list[Line]]]:
    """By currency: (what, here, at the channel, whether they differ)."""
    return [
        (currency, [_line(day, currency, name) for name in _WORDS])
        for currency in sorted(day.ours.keys() | day.theirs.keys())
    ]


def _line(day: ReconciliationDay, currency: str, name: str) -> Line:
    mine, theirs = day.ours.get(currency, {}).get(name), day.theirs.get(currency, {}).get(name)
    shown = [_shown(value, name, currency) for value in (mine, theirs)]
    return str(_WORDS[name]), shown[0], shown[1], name != "fee" and (mine or 0) != (theirs or 0)


def _shown(value: int | None, name: str, currency: str) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if name in ("count", "refunds") else money(value, currency)
