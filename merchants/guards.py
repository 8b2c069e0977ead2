"""Merchants about which another part of the center decides as a whole (their application)."""

from __future__ import annotations

from collections.abc import Callable

from merchants.models import Merchant

# Gets the merchant and the transition's name.
MerchantGuard = Callable[[Merchant, str], str]
_guards: list[MerchantGuard] = []


def guards_merchant(guard: MerchantGuard) -> MerchantGuard:
    """Register what says in words why a transition is not possible by itself, empty where it is."""
    _guards.append(guard)
    return guard


def why_merchant_not(merchant: Merchant, transition: str) -> str:
    """Why this merchant cannot take the transition by itself; empty where it can."""
    return next((words for guard in _guards if (words := guard(merchant, transition))), "")
