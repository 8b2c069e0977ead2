"""Refunds as finance works with them: the work list, each refund's page, payouts by hand, asking, policies."""

from refunds.admin import asking, panels, policies, refund

__all__ = ["asking", "panels", "policies", "refund"]
