"""Months get their partitions before they begin; what was written without one is moved to its own."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.utils import timezone

from paycenter.partitions.catalogue import LOGS, Log, Month, changing, literal, partitions, quoted

log = structlog.get_logger(__name__)
AHEAD = 3  # months that have a partition before they begin
SOON = timedelta(days=1)  # before a month begins somebody's clock may be in it
MOVED_AT_ONCE = 100_000  # rows of one month; whoever writes to the default partition waits meanwhile


def keep_ahead(now: datetime | None = None, *, moved_at_once: int = MOVED_AT_ONCE) -> list[str]:
    """Make what is missing of this month's and the following AHEAD months' partitions, and of months that rows of the
    default partition belong to; their names. Months with more such rows than `moved_at_once` are left alone.

    Raises OperationalError where a table is held by others.
    """
    this = Month.of(now or timezone.now())
    return [name for each in LOGS if partitions(each) for name in _complete(each, this, moved_at_once)]


def _complete(each: Log, this: Month, moved_at_once: int) -> list[str]:
    strays = stray_months(each)
    left = {month for month, rows in strays.items() if rows > moved_at_once}
    wanted = {*strays, *(this.plus(months) for months in range(AHEAD + 1))} - left
    return [name for month in sorted(wanted) if (name := partition_create(each, month))]


def cover(since: datetime) -> list[str]:
    """Make the partitions of all months from `since` to this one, for whoever writes a past; their names.

    Raises OperationalError where a table is held by others.
    """
    month, made = Month.of(since), []
    while month <= Month.of(timezone.now()):
        made += [name for each in LOGS if partitions(each) and (name := partition_create(each, month))]
        month = month.plus(1)
    return made


def stray_months(each: Log) -> dict[Month, int]:
    """Months of the rows in the default partition, and how many rows each has."""
    counted = (
        f"SELECT date_trunc('month', {each.column} AT TIME ZONE 'UTC') AS month, count(*)"  # noqa: S608
        f" FROM {quoted(each.default)} GROUP BY month"
    )
    with connection.cursor() as cursor:
        cursor.execute(counted)
        return {Month(month.year, month.month): rows for month, rows in cursor.fetchall()}


def missing_months(each: Log, now: datetime | None = None) -> list[Month]:
    """Which of this month and the next have no partition; none for a plain table."""
    there, this = partitions(each), Month.of(now or timezone.now())
    return [month for month in (this, this.plus(1)) if there and not any(one.holds(month) for one in there)]


def partition_create(each: Log, month: Month) -> str:
    """Make a month's partition with what the default partition has of it; its name, empty where it is there already.

    Writers are held up only where they may be writing rows of this very month. Raises OperationalError where the table
    is held by others.
    """
    if any(one.holds(month) for one in partitions(each)):
        return ""
    name = f"{each.table}_{month}"
    writers_wait = month.start <= timezone.now() + SOON or month in stray_months(each)
    with transaction.atomic(), changing(each, writers_wait=writers_wait), connection.cursor() as cursor:
        if any(one.holds(month) for one in partitions(each)):
            return ""  # somebody else just did
        # First, as the next statement and attaching take weaker and stronger locks on it.
        cursor.execute(f"LOCK TABLE {quoted(each.default)} IN ACCESS EXCLUSIVE MODE")
        for statement in _statements(each, name, month):
            cursor.execute(statement)
    log.info("partition made", table=each.table, partition=name)
    return name


def _statements(each: Log, name: str, month: Month) -> list[str]:
    parent, new, default = quoted(each.table), quoted(name), quoted(each.default)
    start, end = literal(month.start), literal(month.end)
    return [
        f"CREATE TABLE {new} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)",
        f"ALTER TABLE {new} ADD PRIMARY KEY (id)",
        f"WITH moved AS (DELETE FROM {default} WHERE {each.column} >= {start} AND {each.column} < {end} RETURNING *)"  # noqa: S608
        f" INSERT INTO {new} SELECT * FROM moved",
        f"ALTER TABLE {parent} ATTACH PARTITION {new} FOR VALUES FROM ({start}) TO ({end})",
    ]
