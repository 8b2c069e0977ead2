"""Which tables are logs, and which partitions the database has of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

# A row's time is near that of what it is about: a request is written down with the moment at which it began, and clocks
# differ. Whoever looks for rows about something leaves partitions out that ended so long before it.
SLACK = timedelta(hours=1)
LOCK_SECONDS = 3  # so long a change of partitions may wait for others; those behind it wait as well


@dataclass(frozen=True, slots=True)
class Log:
    """`column` is the time that a row belongs to; `keep` the setting with how many months are kept (0: all);
    `refers_to` the table that a foreign key of it leads to."""

    table: str
    column: str
    keep: str
    refers_to: str = ""

    @property
    def default(self) -> str:
        """The partition of rows whose month has none."""
        return f"{self.table}_default"

    @property
    def keep_months(self) -> int:
        return int(getattr(settings, self.keep))


EXCHANGES = Log("paycenter_exchange", "created_at", "KEEP_EXCHANGES_MONTHS")
DELIVERIES = Log("notifications_delivery", "started_at", "KEEP_DELIVERIES_MONTHS", "notifications_notification")
LOGS = (EXCHANGES, DELIVERIES)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month of UTC: no change of settings can make two of them overlap."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        there = moment.astimezone(UTC)
        return cls(there.year, there.month)

    def plus(self, months: int) -> Month:
        years, number = divmod(self.number - 1 + months, 12)
        return Month(self.year + years, number + 1)

    @property
    def start(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """Its first moment that is not in it any more."""
        return self.plus(1).start

    def __str__(self) -> str:
        return f"{self.year:04d}_{self.number:02d}"


@dataclass(frozen=True, slots=True)
class Partition:
    """Rows from `start` (None: the beginning) up to `end`; the default partition has neither."""

    name: str
    start: datetime | None
    end: datetime | None
    is_default: bool = False

    def holds(self, month: Month) -> bool:
        if self.is_default or self.end is None:
            return False
        return (self.start is None or self.start <= month.start) and month.end <= self.end


_PARTITIONS = """
    SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(%s) ORDER BY c.relname
"""
_BOUND = re.compile(r"FROM \((?:'([^']+)'|MINVALUE)\) TO \('([^']+)'\)")


def partitions(log: Log) -> list[Partition]:
    """By name; empty where the table is a plain one. Raises OperationalError where one is held by others."""
    if connection.vendor != "postgresql":
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        wait_briefly(cursor)  # to tell a partition's bounds takes a lock on it
        cursor.execute(_PARTITIONS, [log.table])
        return [_partition(name, bound) for name, bound in cursor.fetchall()]


def _partition(name: str, bound: str) -> Partition:
    found = _BOUND.search(bound)
    if found is None:
        return Partition(name, None, None, is_default=True)
    return Partition(name, _moment(found[1]) if found[1] else None, _moment(found[2]))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def literal(moment: datetime) -> str:
    """A moment in a statement that takes no values."""
    return f"'{moment.astimezone(UTC).isoformat()}'"


@contextmanager
def changing(log: Log, *, writers_wait: bool = False) -> Iterator[None]:
    """Inside a transaction: one changes the partitions of a table at a time, and waits for nobody long.

    `writers_wait`: nobody writes to the table meanwhile. Whoever has already looked for a row's partition when the row
    gets another one would be refused. Raises OperationalError where others hold the table for longer than LOCK_SECONDS.
    """
    mode = "SHARE ROW EXCLUSIVE" if writers_wait else "SHARE UPDATE EXCLUSIVE"
    with connection.cursor() as cursor:
        wait_briefly(cursor)
        lock_referred(cursor, log)
        cursor.execute(f"LOCK TABLE ONLY {quoted(log.table)} IN {mode} MODE")
        yield


def lock_referred(cursor: Any, log: Log) -> None:
    """As attaching and detaching will. First, because writers come to it first as well."""
    if log.refers_to:
        cursor.execute(f"LOCK TABLE {quoted(log.refers_to)} IN SHARE ROW EXCLUSIVE MODE")


def wait_briefly(cursor: Any) -> None:
    """For the rest of this transaction."""
    cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
