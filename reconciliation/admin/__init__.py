"""Bills, days, cases and settlement batches, and what finance sets for them."""

from reconciliation import timeline
from reconciliation.admin import batches, bills, cases, days, rows, terms

__all__ = ["batches", "bills", "cases", "days", "rows", "terms", "timeline"]
