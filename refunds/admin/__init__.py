"""Refunds as finance works with them: the work list, each refund's page, payouts by hand, figures and panels."""

from refunds.admin import panels, refund

__all__ = ["panels", "refund"]
