"""Refunds in the admin: asking for them, and policies."""

from refunds.admin import asking, policies

__all__ = ["asking", "policies"]
