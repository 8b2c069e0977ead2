"""Refunds in the admin: policies."""

from refunds.admin import policies

__all__ = ["policies"]
