"""Times as the contract writes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection
from django.utils import timezone

from paycenter import compiled


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in the center's zone with its offset, to the millisecond; None stays None."""
    return None if moment is None else timezone.localtime(moment).isoformat(timespec="milliseconds")


def iso_sql(moment: str) -> str:
    """The same in SQL (PostgreSQL), for a statement inside `in_the_centers_zone`."""
    return f"to_char({moment}, 'YYYY-MM-DD\"T\"HH24:MI:SS.MSTZH:TZM')"


@contextmanager
def in_the_centers_zone() -> Iterator[None]:
    """Inside, `iso_sql` says times in the center's zone. What fails inside is to be rolled back.

    No time may be read inside: Django takes the connection's zone to be its own.
    """
    _set_zone(timezone.get_current_timezone_name())
    yield
    _set_zone(connection.timezone_name)


def _set_zone(name: str) -> None:
    """For the rest of the transaction."""
    compiled.row("SELECT set_config('TimeZone', %s, true)", [name])
