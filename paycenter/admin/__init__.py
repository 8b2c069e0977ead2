"""Pages about events, exchanges, retry schedules, and the auditor's."""

from paycenter.admin import audit, records, schedules

__all__ = ["audit", "records", "schedules"]
