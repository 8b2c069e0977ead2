"""From a payment account to the provider that speaks for it, keys parsed once per process."""

from __future__ import annotations

import threading

from channels.base import Provider
from channels.base.discovery import provider_code_of, provider_for
from merchants.api.errors import NotPermitted
from merchants.models import AccountMethod, App, AppMerchant, Merchant, PaymentAccount
from merchants.states import MerchantState
from paycenter.outbound import client

_lock = threading.Lock()
_cache: dict[int, tuple[int, Provider]] = {}
_CACHE_LIMIT = 2000


def provider_of(account: PaymentAccount) -> Provider:
    """The account's provider; made anew when its configuration changed.

    Raises KeyError if the channel's folder is gone.
    """
    cached = _cache.get(account.pk)
    if cached is not None and cached[0] == account.config_version:
        return cached[1]
    provider = provider_for(account.channel)(account.config, http=client())
    with _lock:
        if len(_cache) >= _CACHE_LIMIT:
            _cache.clear()
        _cache[account.pk] = (account.config_version, provider)
    return provider


def active_merchant(app: App, merchant_no: str) -> Merchant:
    """The merchant, if this app may collect for it now. Raises NotPermitted."""
    link = (
        AppMerchant.objects.select_related("merchant")
        .filter(app=app, is_active=True, merchant__merchant_no=merchant_no, merchant__state=MerchantState.ACTIVE)
        .first()
    )
    if link is None:
        raise NotPermitted
    return link.merchant


def active_account(merchant: Merchant, method: str, payment_no: str | None = None) -> PaymentAccount:
    """The merchant's active account with this method: the named one, or the only one.

    Raises NotPermitted when there is none, or several and none is named.
    """
    found = PaymentAccount.objects.filter(
        merchant=merchant, state=MerchantState.ACTIVE, channel=provider_code_of(method),
        methods__method=method, methods__is_active=True,
    )  # fmt: skip
    if payment_no is not None:
        found = found.filter(payment_no=payment_no)
    accounts = list(found[:2])
    if len(accounts) != 1:
        raise NotPermitted
    accounts[0].merchant = merchant
    return accounts[0]


def account_has_method(account: PaymentAccount, method: str) -> bool:
    """Whether the account is active and its contract covers the scene now."""
    return (
        account.state == MerchantState.ACTIVE
        and AccountMethod.objects.filter(account=account, method=method, is_active=True).exists()
    )
