"""Onboarding pages: merchants, payment accounts, apps and their cashier, changes to confirm, staff."""

from merchants.admin import account, app, changes, merchant, staff

__all__ = ["account", "app", "changes", "merchant", "staff"]
