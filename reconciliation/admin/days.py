"""Reconciliation by day (对账日): both sides' sums next to each other, and what is still open."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
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


def _cases(*states: CaseState) -> Any:
    found = Case.objects.filter(account=OuterRef("account"), day=OuterRef("day"), state__in=states)
    return Coalesce(Subquery(found.order_by().values("account").annotate(n=Count("pk")).values("n")), 0)


@admin.register(ReconciliationDay)
class ReconciliationDayAdmin(ReadOnlyAdmin):
    tenant_keys = {"merchant": "account__merchant_id"}
    list_display = ["day", "account_label", "result", "ours_label", "theirs_label", "matched_at"]
    list_filter = [BillDayFilter]
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
            request, day, title=str(day), day=day, result=self.result(day), rows=_side_by_side(day),
            bills=[(bill, state_chip(bill)) for bill in Bill.objects.filter(account=day.account, day=day.day)],
            cases=[(case, state_chip(case), money(case.difference, case.currency))
                   for case in cases.filter(unresolved).order_by("-difference")[:200]],
            finished=cases.exclude(unresolved).count(), may_act=request.user.has_perm("reconciliation.settle_case"),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/reconciliation/day.html", context)

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
    lines = [f"{money(one['paid'], currency)} − {money(one['refunded'], currency)}" for currency, one in sums.items()]
    return format_html("{}", " · ".join(lines)) if lines else "–"


def _side_by_side(day: ReconciliationDay) -> list[tuple[str, str, str, str, bool]]:
    """(currency, what, here, at the channel, whether they differ)."""
    rows = []
    for currency in sorted(day.ours.keys() | day.theirs.keys()):
        for name, word in _WORDS.items():
            mine, theirs = day.ours.get(currency, {}).get(name), day.theirs.get(currency, {}).get(name)
            shown = [_shown(value, name, currency) for value in (mine, theirs)]
            differ = name != "fee" and (mine or 0) != (theirs or 0)
            rows.append((currency, str(word), shown[0], shown[1], differ))
    return rows


def _shown(value: int | None, name: str, currency: str) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if name in ("count", "refunds") else money(value, currency)
