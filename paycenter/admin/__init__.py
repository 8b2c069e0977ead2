"""The staff site and the pages about events, exchanges and schedules."""

from paycenter.admin import records, schedules

__all__ = ["records", "schedules"]
