"""From a payment account to the provider that speaks for it, keys parsed once per process."""

from __future__ import annotations

import threading

from channels.base import Provider
from channels.base.discovery import provider_code_of, provider_for
from merchants.api.errors import NotPermitted
from merchants.models import AccountMethod, App, AppMerchant, Merchant, PaymentAccount
from merchants.states import MerchantState
from paycenter import compiled
from paycenter.memory import Memory
from paycenter.outbound import client

_lock = threading.Lock()
_cache: dict[int, tuple[int, Provider]] = {}
_CACHE_LIMIT = 2000
# By app and merchant number; by merchant and method.
_merchants: Memory[Merchant] = Memory()
_accounts: Memory[tuple[PaymentAccount, ...]] = Memory()
_LINK = compiled.Select(
    lambda app, merchant_no: AppMerchant.objects.select_related("merchant").filter(
        app_id=app, is_active=True, merchant__merchant_no=merchant_no, merchant__state=MerchantState.ACTIVE
    ),
    app=int, merchant_no=str,
)  # fmt: skip
_ACCOUNTS = compiled.Select(
    lambda merchant, channel, method: PaymentAccount.objects.select_related("merchant").filter(
        merchant_id=merchant, state=MerchantState.ACTIVE, channel=channel,
        methods__method=method, methods__is_active=True,
    ),
    merchant=int, channel=str, method=str,
)  # fmt: skip


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
    found = _merchants.get((app.pk, merchant_no), lambda: _load_merchant(app, merchant_no))
    if found is None:
        raise NotPermitted
    return found


def _load_merchant(app: App, merchant_no: str) -> Merchant | None:
    link = _LINK.first(app=app.pk, merchant_no=merchant_no)
    return link.merchant if link is not None else None


def active_account(merchant: Merchant, method: str, payment_no: str | None = None) -> PaymentAccount:
    """The merchant's active account with this method: the named one, or the only one.

    Raises NotPermitted when there is none, or several and none is named.
    """
    found = _accounts.get((merchant.pk, method), lambda: _load_accounts(merchant, method)) or ()
    accounts = [account for account in found if payment_no in (None, account.payment_no)]
    if len(accounts) != 1:
        raise NotPermitted
    return accounts[0]


def _load_accounts(merchant: Merchant, method: str) -> tuple[PaymentAccount, ...] | None:
    """The merchant's active accounts with this method; None where there are none."""
    return tuple(_ACCOUNTS.rows(merchant=merchant.pk, channel=provider_code_of(method), method=method)) or None


def account_has_method(account: PaymentAccount, method: str) -> bool:
    """Whether the account is active and its contract covers the scene now."""
    return (
        account.state == MerchantState.ACTIVE
        and AccountMethod.objects.filter(account=account, method=method, is_active=True).exists()
    )
