"""What was paid today, on the landing page: from the sums, however many trades there are."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from dashboards.models import AppDay, ChannelDay, PaymentDay
from paycenter.staff.display import money
from paycenter.staff.landing import Card, contributes
from paycenter.staff.tenancy import tenant_of


@contributes
def paid_today(request: HttpRequest) -> list[Card]:
    """One card for each currency in which somebody paid."""
    if not request.user.has_perm("trades.view_trade"):
        return []
    today = timezone.localdate()
    paid = _mine(request.user).filter(day=today, paid_count__gt=0).order_by().values("currency")
    sums = list(paid.annotate(total=Sum("paid_amount"), count=Sum("paid_count")).order_by("currency"))
    link = reverse("admin:trades_trade_changelist") + f"?paid_from={today}&paid_to={today}"
    return [
        Card(
            gettext("Paid today"), money(row["total"], row["currency"]),
            f"{link}&currency={row['currency']}" if len(sums) > 1 else link,
            ngettext("%(count)d payment", "%(count)d payments", row["count"]) % {"count": row["count"]},
            "good" if row["count"] else "calm", "payments", 10,
        )
        for row in sums or [{"currency": "CNY", "total": 0, "count": 0}]
    ]  # fmt: skip


def _mine(user: Any) -> Any:
    tenant = tenant_of(user)
    if tenant is None:
        return ChannelDay.objects
    if tenant.pk is None:
        return PaymentDay.objects.none()
    return (AppDay if tenant.kind == "app" else PaymentDay).objects.filter(**{f"{tenant.kind}_id": tenant.pk})
