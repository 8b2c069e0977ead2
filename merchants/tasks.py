"""Background work about merchants: spent nonces, certificates that channels renew."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from merchants.checking import account_refresh_certificates
from merchants.models import Nonce, PaymentAccount
from merchants.people.mail import send_due
from merchants.states import MerchantState

_BATCH = 5000
# Two clocks may differ a little; a nonce is kept somewhat longer than its timestamp can pass.
_MARGIN = timedelta(seconds=60)


@shared_task(ignore_result=True)
def forget_nonces() -> int:
    """Delete nonces whose timestamp cannot pass any more, in short transactions; answers how many."""
    forgotten, limit = 0, timezone.now() - _MARGIN
    while True:
        due = Nonce.objects.filter(expires_at__lt=limit).order_by("expires_at")
        old = list(due.values_list("pk", flat=True)[:_BATCH])
        if not old:
            return forgotten
        with transaction.atomic():
            forgotten += Nonce.objects.filter(pk__in=old).delete()[0]


@shared_task(ignore_result=True)
def refresh_certificates() -> int:
    """Fetch and store the certificates of channels that renew them; answers how many accounts were asked.

    One account's trouble is logged and does not stop the others.
    """
    asked = 0
    accounts = PaymentAccount.objects.filter(state__in=(MerchantState.ACTIVE, MerchantState.SUSPENDED)).order_by("pk")
    # Numbers first: no cursor stays open while channels are asked.
    for pk in list(accounts.values_list("pk", flat=True)):
        account = PaymentAccount.objects.select_related("merchant").get(pk=pk)
        asked += account_refresh_certificates(account=account)
    return asked


@shared_task(ignore_result=True)
def send_letters() -> int:
    """Send mail to staff that is due; answers how many letters went out."""
    return send_due()
