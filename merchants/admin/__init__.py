"""Onboarding pages: merchants, payment accounts, apps and their cashier, changes to confirm, staff."""

from merchants.admin import account, app, changes, finding, merchant, staff

__all__ = ["account", "app", "changes", "finding", "merchant", "staff"]
