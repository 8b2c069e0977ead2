"""Pages about events, exchanges, exports and retry schedules."""

from paycenter.admin import exports, records, schedules

__all__ = ["exports", "records", "schedules"]
