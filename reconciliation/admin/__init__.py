"""Bills, days, cases and settlement batches, and what finance sets for them."""

from reconciliation import timeline
from reconciliation.admin import batches, bills, cases, days, terms

__all__ = ["batches", "bills", "cases", "days", "terms", "timeline"]
