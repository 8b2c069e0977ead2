"""Refunds on other pages: figures on the landing page, the refunds of a trade and of an abnormal payment."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from paycenter.admin.records import resolves_numbers
from paycenter.staff.acts import Section, adds_to_page
from paycenter.staff.landing import Card, contributes
from paycenter.staff.tenancy import registered, tenant_of
from refunds.admin.facts import refund_rows
from refunds.approvals import APPROVE_PERMISSION
from refunds.finding import trade_nos_of_refund
from refunds.models import WAITING, Refund, RefundRoute
from refunds.retrying import SEND_PERMISSION
from refunds.states import RefundState
from trades.models import AbnormalPayment, Trade

SHOWN = 50
resolves_numbers(trade_nos_of_refund)


@contributes
def refund_figures(request: HttpRequest) -> list[Card]:
    """What waits, for those who decide and send."""
    user = request.user
    if tenant_of(user) is not None or not (user.has_perm(APPROVE_PERMISSION) or user.has_perm(SEND_PERMISSION)):
        return []
    by_hand = Q(route__in=(RefundRoute.MANUAL, RefundRoute.BALANCE))
    count = Refund.objects.filter(WAITING).aggregate(
        pending=Count("pk", filter=Q(state=RefundState.PENDING_APPROVAL)),
        held=Count("pk", filter=Q(state=RefundState.ON_HOLD)), failed=Count("pk", filter=Q(state=RefundState.FAILED)),
        stuck=Count("pk", filter=Q(needs_attention=True)),
        to_pay=Count("pk", filter=by_hand & Q(state=RefundState.APPROVED)),
        to_check=Count("pk", filter=by_hand & Q(state=RefundState.PROCESSING)),
    )  # fmt: skip
    held = _("and %(n)d on hold") % {"n": count["held"]} if count["held"] else ""
    to_pay = _("and %(n)d to pay out") % {"n": count["to_pay"]} if count["to_pay"] else ""
    cards = (
        (_("Refunds to approve"), "pending", "pending_approval", held, "warn", "fact_check"),
        (_("Failed refunds"), "failed", "failed", "", "bad", "error"),
        (_("Stuck refunds"), "stuck", "stuck", "", "bad", "hourglass_disabled"),
        (_("Payouts to check"), "to_check", "to_check", to_pay, "warn", "receipt"),
    )
    link = reverse("admin:refunds_refund_changelist")
    return [
        Card(title, str(count[name]), f"{link}?state={state}", note, tone if count[name] else "calm", icon, 15)
        for title, name, state, note, tone, icon in cards
    ]


@adds_to_page(Trade)
def refunds_of_trade(request: HttpRequest, trade: Trade) -> list[Section]:
    """The trade's refunds, those of its abnormal payments among them."""
    return _section(request, Refund.objects.filter(trade=trade))


@adds_to_page(AbnormalPayment)
def refunds_of_abnormal(request: HttpRequest, abnormal: AbnormalPayment) -> list[Section]:
    """The refunds that give back this payment."""
    return _section(request, Refund.objects.filter(abnormal=abnormal))


def _section(request: HttpRequest, rows: Any) -> list[Section]:
    page = registered(Refund)
    if page is None or not page.has_view_permission(request):
        return []
    found = refund_rows(page.scope(request.user, rows).order_by("-id")[:SHOWN])
    return [Section("admin/pc/refunds_section.html", {"rows": found}, order=20)] if found else []
