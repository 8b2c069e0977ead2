"""Pages about events, exchanges and retry schedules."""

from paycenter.admin import records, schedules

__all__ = ["records", "schedules"]
