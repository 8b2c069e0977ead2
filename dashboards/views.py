"""The dashboards' pages. Each is opened in a bounded number of queries, on the database of reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboards.business import business
from dashboards.finance import finance
from dashboards.look import Look
from dashboards.operations import operations
from dashboards.parts import Dashboard
from dashboards.periods import CHOICES, period_of
from merchants.models import Merchant
from merchants.zones import zone_named
from paycenter.replica import reports
from paycenter.staff.landing import adds_page
from paycenter.staff.sheets import csv_line
from paycenter.staff.tenancy import Tenant, tenant_of

_CHOICES_SHOWN = 30


def sees_operations(request: HttpRequest) -> bool:
    return tenant_of(request.user) is None and request.user.has_perm("trades.view_channelhealth")


def sees_finance(request: HttpRequest) -> bool:
    may = request.user.has_perm("reconciliation.view_settlementbatch") and request.user.has_perm("refunds.view_refund")
    return tenant_of(request.user) is None and may


def sees_business(request: HttpRequest) -> bool:
    return request.user.has_perm("trades.view_trade")


@adds_page("dashboards/operations/", name="dashboard_operations", opens=sees_operations)
@require_safe
def operations_page(request: HttpRequest) -> HttpResponseBase:
    """Volume, channels, backlog."""
    return _shown(request, operations, _look(request))


@adds_page("dashboards/finance/", name="dashboard_finance", opens=sees_finance)
@require_safe
def finance_page(request: HttpRequest) -> HttpResponseBase:
    """Approvals, abnormal money, differences."""
    return _shown(request, finance, _look(request))


@adds_page("dashboards/business/", name="dashboard_business", opens=sees_business)
@require_safe
def business_page(request: HttpRequest) -> HttpResponseBase:
    """One merchant's or one app's figures. Tenants see their own whatever the address says; others choose."""
    tenant = tenant_of(request.user)
    if tenant is not None:
        name, zone = _own(request.user, tenant)
        return _shown(request, lambda look: business(look, tenant, name), _look(request, zone))
    number = request.GET.get("merchant", "").strip()
    if not number or not request.user.has_perm("merchants.view_merchant"):
        return _choose(request, number)
    merchant = Merchant.objects.filter(merchant_no=number).first()
    if merchant is None:
        return _choose(request, number)
    chosen = Tenant("merchant", merchant.pk, merchant.merchant_no)
    kept = f"merchant={merchant.merchant_no}&"
    look = replace(_look(request, merchant.timezone), whose={"merchant": merchant.merchant_no})
    return _shown(request, lambda look: business(look, chosen, merchant.name), look, kept)


def _own(user: Any, tenant: Tenant) -> tuple[str, str]:
    """What a tenant's dashboard is called, and whose day it is."""
    if tenant.kind == "merchant" and user.merchant is not None:
        return user.merchant.name, user.merchant.timezone
    return (user.app.name if user.app is not None else ""), ""


def _look(request: HttpRequest, zone: str = "") -> Look:
    today = timezone.localdate(timezone=zone_named(zone)) if zone else timezone.localdate()
    return Look(request.user, period_of(request.GET, today), request.GET.get("currency", ""))


def _shown(
    request: HttpRequest, build: Callable[[Look], Dashboard], look: Look, chosen: str = ""
) -> HttpResponseBase:
    """The page, or as CSV the one panel that `csv` names (`figures`: those on top). `chosen` goes into every address on
    the page."""
    with reports():
        dashboard = build(look)
    if "csv" in request.GET:
        return _as_file(request, dashboard, look)
    context = {
        **admin.site.each_context(request), "title": dashboard.title, "dashboard": dashboard, "period": look.period,
        "presets": CHOICES, "chosen": chosen, "previous": look.period.previous,
        "address": f"{chosen}{look.period.query}", "today": timezone.localdate(),
    }  # fmt: skip
    return TemplateResponse(request, "admin/dashboards/page.html", context)


def _as_file(request: HttpRequest, dashboard: Dashboard, look: Look) -> HttpResponseBase:
    panels = (dashboard.headlines, *dashboard.panels)
    panel = next((panel for panel in panels if panel.id == request.GET["csv"]), None)
    if panel is None:
        raise Http404
    name = f"{panel.id}-{look.period.first}-{look.period.last}"
    lines = [csv_line(panel.heads), *(csv_line([cell.for_file for cell in row]) for row in panel.rows)]
    response = HttpResponse(f"\ufeff{''.join(lines)}", content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _choose(request: HttpRequest, number: str) -> HttpResponseBase:
    """Which merchant, for staff of the center: by number or part of the name, newest first."""
    found: list[Merchant] = []
    if request.user.has_perm("merchants.view_merchant"):
        rows = Merchant.objects.order_by("-pk")
        found = list(rows.filter(name__icontains=number)[:_CHOICES_SHOWN] if number else rows[:_CHOICES_SHOWN])
    context = {**admin.site.each_context(request), "title": _("Whose figures?"), "merchants": found, "term": number}
    return TemplateResponse(request, "admin/dashboards/choose.html", context)
