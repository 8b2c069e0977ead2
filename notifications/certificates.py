"""Tells people in time that a payment account's certificate runs out."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base.discovery import provider_for
from merchants.models import PaymentAccount
from merchants.onboarding import HeldCertificate, certificates_of
from merchants.states import MerchantState
from notifications.alerts import alert
from notifications.models import Alert

log = structlog.get_logger(__name__)
# Days before the end at which somebody is told, once each; from the second on it is critical.
STEPS = (30, 7, 1, 0)
_ENDS = gettext_noop("Certificate of %(account)s ends on %(day)s")
_ENDED = gettext_noop("Certificate of %(account)s expired on %(day)s")
_TEXT = gettext_noop(
    "%(merchant)s, account %(payment_no)s (%(channel)s): %(parameter)s, issued to %(subject)s, "
    "serial number %(serial)s."
)


def watch_certificates() -> int:
    """One alert per certificate and step that was reached; answers how many were raised.

    Looks only at accounts whose first certificate ends within the first step, and there at every one.
    """
    now = timezone.now()
    accounts = (
        PaymentAccount.objects.filter(certificate_expires_at__lte=now + timedelta(days=STEPS[0]))
        .exclude(state__in=[MerchantState.CLOSED, MerchantState.DRAFT])
        .select_related("merchant")
    )
    return sum(_tell(account, held, now) for account in accounts.iterator(200) for held in _held_by(account))


def _held_by(account: PaymentAccount) -> list[HeldCertificate]:
    try:
        return certificates_of(provider_for(account.channel), account.config)
    except KeyError:
        log.warning("certificates not watched: no such channel", payment_no=account.payment_no, channel=account.channel)
        return []


def _tell(account: PaymentAccount, held: HeldCertificate, now: datetime) -> bool:
    days_left = max((held.ends_at - now) / timedelta(days=1), 0)
    if days_left > STEPS[0]:
        return False
    step = min(limit for limit in STEPS if limit >= days_left)
    key = f"certificate:{account.payment_no}:{held.field.name}:{held.serial[-40:]}:{step}"
    if Alert.objects.filter(key=key).exists():
        return False
    alert(
        kind="certificate", key=key, title=_ENDED if step == 0 else _ENDS, text=_TEXT,
        context={
            "account": str(account)[:100], "day": timezone.localtime(held.ends_at).date().isoformat(),
            "merchant": account.merchant, "payment_no": account.payment_no, "channel": account.channel,
            "parameter": held.field.label.text(settings.LANGUAGE_CODE), "subject": held.subject, "serial": held.serial,
        },
        severity="warning" if step == STEPS[0] else "critical", merchant_no=account.merchant.merchant_no,
        record=account,
    )  # fmt: skip
    return True
