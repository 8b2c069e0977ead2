"""Makes a plain log table a partitioned one: what it holds becomes its first partition, as it stands.

Nothing is copied and no index is made anew. PostgreSQL reads the table once, to see that every row is older than where
the months begin, unless `prepare` had it looked at before, beside everybody's work.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from paycenter.partitions.catalogue import Log, Month, literal, lock_referred, quoted, wait_briefly
from paycenter.partitions.keeping import AHEAD, partition_create

_INDEXES = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisprimary
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = %s::regclass
"""
_FOREIGN_KEYS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'
"""
_UNTIL = re.compile(r"_until_(\d{4})_(\d{2})$")


def prepare(log: Log) -> Month | None:
    """Have the rows of a large plain table looked at without holding anybody up; from which month on it has to be
    partitioned by then. None where the table is not a plain one. Leaves a check behind that `convert` takes away."""
    if not _is_plain(log):
        return None
    with connection.cursor() as cursor:
        ends = _prepared(cursor, log)
        if ends is None:
            ends = _first_free_month(cursor, log, Month.of(timezone.now()).plus(2))
            with transaction.atomic():
                wait_briefly(cursor)
                cursor.execute(_check(log, ends) + " NOT VALID")
        cursor.execute(f"ALTER TABLE {quoted(log.table)} VALIDATE CONSTRAINT {quoted(_check_name(log, ends))}")
    return ends


def convert(log: Log, now: datetime | None = None) -> None:
    """Partition a plain table, inside the caller's transaction. Does nothing elsewhere than on PostgreSQL."""
    if not _is_plain(log):
        return
    this = Month.of(now or timezone.now())
    with transaction.atomic(), connection.cursor() as cursor:
        wait_briefly(cursor)
        lock_referred(cursor, log)
        cursor.execute(f"LOCK TABLE {quoted(log.table)} IN ACCESS EXCLUSIVE MODE")
        ends = _prepared(cursor, log) or _first_free_month(cursor, log, this.plus(1))
        old = f"{log.table}_until_{ends}"
        indexes, foreign_keys, last = _described(cursor, log)
        _rename(cursor, log, old, indexes, ends)
        _make_parent(cursor, log, old, indexes, foreign_keys, last)
        _attach_old(cursor, log, old, ends)
    for months in range(AHEAD + 1):
        partition_create(log, this.plus(months))


def _is_plain(log: Log) -> bool:
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind = 'r' FROM pg_class WHERE oid = %s::regclass", [log.table])
        return bool(cursor.fetchone()[0])


def _check_name(log: Log, ends: Month) -> str:
    return f"{log.table}_until_{ends}"


def _check(log: Log, ends: Month) -> str:
    name = quoted(_check_name(log, ends))
    return f"ALTER TABLE {quoted(log.table)} ADD CONSTRAINT {name} CHECK ({log.column} < {literal(ends.start)})"


def _prepared(cursor: Any, log: Log) -> Month | None:
    cursor.execute("SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'", [log.table])
    found = [match for (name,) in cursor.fetchall() if (match := _UNTIL.search(name))]
    return Month(int(found[0][1]), int(found[0][2])) if found else None


def _first_free_month(cursor: Any, log: Log, earliest: Month) -> Month:
    """Where months may begin: no row is as late."""
    cursor.execute(f"SELECT max({log.column}) FROM {quoted(log.table)}")  # noqa: S608
    newest = cursor.fetchone()[0]
    return max(earliest, Month.of(newest).plus(1)) if newest else earliest


def _described(cursor: Any, log: Log) -> tuple[list[tuple[str, str, bool]], list[tuple[str, str]], int]:
    """Indexes (name, statement, primary), foreign keys (name, definition) and the last id."""
    cursor.execute(_INDEXES, [log.table])
    indexes = cursor.fetchall()
    cursor.execute(_FOREIGN_KEYS, [log.table])
    foreign_keys = cursor.fetchall()
    cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [log.table])
    cursor.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {cursor.fetchone()[0]}")  # noqa: S608
    return indexes, foreign_keys, cursor.fetchone()[0]


def _rename(cursor: Any, log: Log, old: str, indexes: list[tuple[str, str, bool]], ends: Month) -> None:
    cursor.execute(f"ALTER TABLE {quoted(log.table)} RENAME TO {quoted(old)}")
    cursor.execute(f"ALTER TABLE {quoted(old)} ALTER COLUMN id DROP IDENTITY")
    for name, _statement, _primary in indexes:
        cursor.execute(f"ALTER INDEX {quoted(name)} RENAME TO {quoted(f'{name[:46]}_until_{ends}')}")


def _make_parent(
    cursor: Any, log: Log, old: str, indexes: list[tuple[str, str, bool]], foreign_keys: list[tuple[str, str]],
    last: int,
) -> None:  # fmt: skip
    parent, sequence = quoted(log.table), quoted(f"{log.table}_id_seq")
    cursor.execute(
        f"CREATE TABLE {parent} (LIKE {quoted(old)} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)"
        f" PARTITION BY RANGE ({log.column})"
    )
    prepared = _prepared(cursor, log)
    if prepared is not None:  # of the old rows only
        cursor.execute(f"ALTER TABLE {parent} DROP CONSTRAINT {quoted(_check_name(log, prepared))}")
    cursor.execute(f"CREATE SEQUENCE {sequence} AS bigint OWNED BY {parent}.id")
    cursor.execute("SELECT setval(%s, %s, %s)", [sequence, max(last, 1), last > 0])
    cursor.execute(f"ALTER TABLE {parent} ALTER COLUMN id SET DEFAULT nextval('{sequence}')")
    for _name, statement, primary in indexes:
        if not primary:
            cursor.execute(statement)
    for name, definition in foreign_keys:
        cursor.execute(f"ALTER TABLE {parent} ADD CONSTRAINT {quoted(name)} {definition}")


def _attach_old(cursor: Any, log: Log, old: str, ends: Month) -> None:
    """The rows that were there, unless there are none; and the default partition."""
    cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {quoted(old)})")  # noqa: S608
    if cursor.fetchone()[0]:
        cursor.execute(
            f"ALTER TABLE {quoted(log.table)} ATTACH PARTITION {quoted(old)}"
            f" FOR VALUES FROM (MINVALUE) TO ({literal(ends.start)})"
        )
        cursor.execute(f"ALTER TABLE {quoted(old)} DROP CONSTRAINT IF EXISTS {quoted(_check_name(log, ends))}")
    else:
        cursor.execute(f"DROP TABLE {quoted(old)}")
    cursor.execute(f"CREATE TABLE {quoted(log.default)} PARTITION OF {quoted(log.table)} (PRIMARY KEY (id)) DEFAULT")
