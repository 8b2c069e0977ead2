"""Pages about events, exchanges, exports, retry schedules, and the auditor's."""

from paycenter.admin import audit, exports, records, schedules

__all__ = ["audit", "exports", "records", "schedules"]
