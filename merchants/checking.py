"""Asking a channel whether an account's parameters work, and for what it signs with."""

from __future__ import annotations

import structlog
from django.db import transaction
from django.utils import timezone, translation

from channels.base.fields import Label
from channels.base.results import CheckResult
from channels.base.storable import storable
from merchants.channels import provider_of
from merchants.models import PaymentAccount
from merchants.services import account_store_fetched
from paycenter.errors import ChannelError
from paycenter.exchange import record_channel_calls
from paycenter.http import recording
from paycenter.transitions import lock, record_event, save_changed

log = structlog.get_logger(__name__)


def account_check(*, account: PaymentAccount, actor: str) -> CheckResult:
    """Ask the channel whether address, identity and keys work, and keep its answer on the account.

    Never raises for what the channel or the network does: that is the answer. It waits for the channel,
    so inside a transaction it raises RuntimeError. An answer to parameters changed meanwhile is not kept.
    """
    with transaction.atomic(durable=True):
        account = PaymentAccount.objects.select_related("merchant").get(pk=account.pk)
    result = _ask(account)
    text = result.message.text(translation.get_language())[:300]
    with transaction.atomic():
        locked = lock(PaymentAccount, pk=account.pk)
        if locked.config_version == account.config_version:
            locked.checked_at, locked.check_ok, locked.check_message = timezone.now(), result.ok, text
            save_changed(locked, ["checked_at", "check_ok", "check_message"])
        detail = {"payment_no": locked.payment_no, "ok": result.ok, "message": text}
        record_event(locked, "paymentaccount.checked", actor=actor, detail=detail)
    if result.ok:
        account_refresh_certificates(account=account)
    return result


def account_refresh_certificates(*, account: PaymentAccount) -> bool:
    """Fetch and keep the certificates a channel signs with, where it hands them out; False where it does not.

    Trouble is logged, never raised. It waits for the channel: not inside a transaction.
    """
    try:
        fetch = getattr(provider_of(account), "refresh_certificates", None)
        if fetch is None:
            return False
        if found := fetch():
            chain = "".join(certificate.pem for certificate in found)
            account_store_fetched(account=account, values={"platform_certificates": chain})
    except (ChannelError, KeyError) as exc:
        log.warning("certificates not refreshed", payment_no=account.payment_no, error=type(exc).__name__)
    return True


def _ask(account: PaymentAccount) -> CheckResult:
    provider = provider_of(account)
    try:
        with recording() as calls:
            return storable(provider.check())
    except ChannelError as exc:
        label = Label(f"没有得到渠道的有效应答：{exc}", f"no usable answer from the channel: {exc}")
        return CheckResult(ok=False, message=label)
    finally:
        record_channel_calls(
            calls, channel=account.channel, merchant_no=account.merchant.merchant_no, masked_keys=provider.masked_keys
        )
