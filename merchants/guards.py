"""Merchants about which another part of the center decides as a whole (their application)."""

from __future__ import annotations

from collections.abc import Callable

from merchants.models import Merchant, PaymentAccount
from merchants.states import OPEN_STATES

# Gets the merchant and what is to be done: a transition's name, or EDIT.
MerchantGuard = Callable[[Merchant, str], str]
# Changing what is looked at as a whole: the merchant's names and contact, its accounts before they are active.
EDIT = "edit"
_guards: list[MerchantGuard] = []


def guards_merchant(guard: MerchantGuard) -> MerchantGuard:
    """Register what says in words why a transition, or EDIT, is not possible by itself, empty where it is."""
    _guards.append(guard)
    return guard


def why_merchant_not(merchant: Merchant, step: str) -> str:
    """Why this merchant cannot take the transition, or be edited (EDIT), by itself; empty where it can."""
    return next((words for guard in _guards if (words := guard(merchant, step))), "")


def why_account_not(account: PaymentAccount) -> str:
    """Why this account is not changed by itself: it is not in service yet and decided on with its merchant."""
    return why_merchant_not(account.merchant, EDIT) if account.state in OPEN_STATES else ""
