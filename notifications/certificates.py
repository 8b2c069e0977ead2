"""Tells people in time that a payment account's certificate runs out."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from merchants.models import PaymentAccount
from merchants.states import MerchantState
from notifications.alerts import alert
from notifications.models import Alert

# Days before the end at which somebody is told, once each; from the second on it is critical.
STEPS = (30, 7, 1, 0)


def watch_certificates() -> int:
    """One alert per certificate and step that was reached; answers how many were raised."""
    now = timezone.now()
    accounts = (
        PaymentAccount.objects.filter(certificate_expires_at__lt=now + timedelta(days=STEPS[0]))
        .exclude(state__in=[MerchantState.CLOSED, MerchantState.DRAFT])
        .select_related("merchant")
        .defer("config")
    )
    return sum(_tell(a, a.certificate_expires_at, now) for a in accounts if a.certificate_expires_at)


def _tell(account: PaymentAccount, end: datetime, now: datetime) -> bool:
    days_left = max((end - now) / timedelta(days=1), 0)
    step = min(limit for limit in STEPS if limit >= days_left)
    day = timezone.localtime(end).date().isoformat()
    key = f"certificate:{account.payment_no}:{day}:{step}"
    if Alert.objects.filter(key=key).exists():
        return False
    words = _("Certificate of %(account)s ends on %(day)s")
    if step == 0:
        words = _("Certificate of %(account)s expired on %(day)s")
    alert(
        kind="certificate", key=key, title=words % {"account": str(account)[:100], "day": day},
        severity="warning" if step == STEPS[0] else "critical", merchant_no=account.merchant.merchant_no,
    )  # fmt: skip
    return True
