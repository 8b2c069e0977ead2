"""Rows by the million: COPY on PostgreSQL with the indexes made afterwards, `executemany` elsewhere.

A row is a tuple of texts, numbers and None in the order of a table's columns; columns that are not named get their
field's default. Ids are given here, which needs the tables locked against other writers until the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, JSONField, Max, Model

from deploy.history.lines import packed, plain_lines, with_times
from deploy.history.links import Links, begin, chained_lines, last_link

PORTION = 5_000  # rows that are handed over at once
_WAITING = 24  # portions the database may lag behind, a day's worth of a million trades: it works while days are told
_AT_ONCE = 1 << 20  # bytes


class Table:
    """One model's rows on their way. `links`: what is added are events that still have to be chained."""

    links: Links | None = None

    def __init__(self, model: type[Model], *columns: str) -> None:
        fields = {field.attname: field for field in model._meta.concrete_fields}
        composite = model._meta.pk is not None and model._meta.pk.attname not in fields
        rest = [
            (field, default) for name, field in fields.items()
            if name not in columns and not field.primary_key and (default := _default(field)) is not None
        ]  # fmt: skip
        self.model, self.name = model, model._meta.db_table
        self.moments = [at for at, name in enumerate(columns) if isinstance(fields[name], DateTimeField)]
        self.columns = [str(fields[name].column) for name in columns] + [str(field.column) for field, _value in rest]
        self.defaults = tuple(default for _field, default in rest)
        last = None if composite or "id" not in columns else model._default_manager.aggregate(last=Max("pk"))["last"]
        self.last_id: int = last or 0
        self.rows: list[tuple[Any, ...]] = []
        self.written = 0

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def add(self, *values: Any) -> None:
        """A row: the columns that were named, times as moments; the rest is the same in all."""
        self.rows.append(values)

    def ready(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The rows as the database takes them."""
        if self.links is not None:
            return self.links.rows(rows)
        return [with_times(row, self.moments) for row in rows]

    def take(self) -> list[tuple[Any, ...]]:
        rows, self.rows = self.rows, []
        self.written += len(rows)
        return rows


def _default(field: Any) -> Any:
    value = field.get_default()
    if isinstance(field, JSONField):
        return None if value is None else json.dumps(value)
    return field.get_prep_value(value)


class Sink:
    """Takes what tables hold. Used inside one transaction."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables

    def flush(self, *, least: int = PORTION) -> None:
        """Hand over what has come together, tables that others refer to first."""
        for table in self.tables:
            if len(table.rows) >= max(least, 1):
                self.write(table, table.take())

    def write(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        places = ", ".join(["%s"] * len(table.columns))
        with connection.cursor() as cursor:
            statement = f"INSERT INTO {table.name} ({_names(table)}) VALUES ({places})"  # noqa: S608
            cursor.executemany(statement, [row + table.defaults for row in table.ready(rows)])

    def finish(self) -> None:
        """Everything is there when this returns."""
        self.flush(least=1)

    def abort(self) -> None:
        """Nothing more is written from when this returns on. Called before the transaction is undone."""


class CopySink(Sink):
    """COPY in a thread of its own, of text made by processes of their own, one of which chains the events: the next
    rows are made meanwhile."""

    def __init__(self, tables: Sequence[Table]) -> None:
        super().__init__(tables)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._writer = ProcessPoolExecutor(1, get_context("spawn"))
        self._chaining: ProcessPoolExecutor | None = None
        self._folder = TemporaryDirectory()
        self._pending: list[Future[None]] = []
        connection.ensure_connection()
        self._driver: Any = connection.connection

    def write(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        while len(self._pending) >= _WAITING:
            self._pending.pop(0).result()
        end = "".join([f"\t{value}" for value in table.defaults]) + "\n"
        if table.links is None:
            lines = self._writer.submit(plain_lines, table.name, packed(rows, self._folder.name), table.moments, end)
        else:
            events = packed([tuple(row) for row in rows], self._folder.name)
            lines = self._process(table.links).submit(chained_lines, table.name, events, end)
        self._pending.append(self._thread.submit(self._copy, table, lines))

    def _process(self, links: Links) -> ProcessPoolExecutor:
        if self._chaining is None:
            self._chaining = ProcessPoolExecutor(1, get_context("spawn"), begin, astuple(links))
        return self._chaining

    def _copy(self, table: Table, lines: Future[str]) -> None:
        statement = f"COPY {table.name} ({_names(table)}) FROM STDIN WITH (NULL 'None')"
        path = Path(lines.result())
        with path.open("rb", buffering=0) as text, self._driver.cursor() as cursor, cursor.copy(statement) as copy:
            while part := text.read(_AT_ONCE):
                copy.write(part)
        path.unlink()

    def finish(self) -> None:
        super().finish()
        for done in self._pending:
            done.result()
        self._pending.clear()
        self._thread.shutdown()
        self._writer.shutdown()
        if self._chaining is not None:
            self._bring_back(self._chaining)
        self._folder.cleanup()
        with connection.cursor() as cursor:
            for table in self.tables:
                if table.last_id:
                    cursor.execute(
                        "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table.name, table.last_id]
                    )

    def abort(self) -> None:
        for done in self._pending:
            done.cancel()
        self._thread.shutdown(cancel_futures=True)
        for process in (self._writer, self._chaining):
            if process is not None:
                process.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def _bring_back(self, chaining: ProcessPoolExecutor) -> None:
        """The last link, to where it was given from."""
        for table in self.tables:
            if table.links is not None:
                table.links = Links(*chaining.submit(last_link).result())
        chaining.shutdown()


def _names(table: Table) -> str:
    return ", ".join(table.columns)


def sink_for(tables: Sequence[Table]) -> Sink:
    return CopySink(tables) if connection.vendor == "postgresql" else Sink(tables)


def keep_others_out(tables: Iterable[Table]) -> None:
    """Nobody else writes to these until the transaction ends: ids and the chain of events are ours."""
    if connection.vendor == "postgresql":
        names = ", ".join(sorted({table.name for table in tables}))
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


_INDEXES = """
    SELECT c.relname, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = %s::regclass AND NOT i.indisprimary
      AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
"""
_CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid), contype FROM pg_constraint
    WHERE conrelid = %s::regclass AND contype IN ('f', 'u') ORDER BY contype DESC
"""


@contextmanager
def without_indexes(tables: Sequence[Table], *, told: Any) -> Iterator[None]:
    """Secondary indexes, unique and foreign keys are made anew after the block, which checks every row at once.

    In the caller's transaction: whatever fails leaves everything as it was. Only on PostgreSQL.
    """
    if connection.vendor != "postgresql":
        yield
        return
    again: list[tuple[str, str]] = []
    with connection.cursor() as cursor:
        for table in tables:
            again += _drop(cursor, table.name)
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        # Indexes before the foreign keys that are checked through them.
        for number, (_name, statement) in enumerate(sorted(again, key=lambda one: "FOREIGN KEY" in one[1]), start=1):
            if number % 10 == 1:
                told(f"index or constraint {number} of {len(again)}")
            cursor.execute(statement)


def _drop(cursor: Any, table: str) -> list[tuple[str, str]]:
    again = []
    cursor.execute(_CONSTRAINTS, [table])
    for name, definition, _kind in sorted(cursor.fetchall(), key=lambda row: row[2]):
        cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        again.append((name, f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'))
    cursor.execute(_INDEXES, [table])
    for name, definition in cursor.fetchall():
        cursor.execute(f'DROP INDEX "{name}"')
        again.append((name, definition))
    return again


def analyse(tables: Iterable[Table]) -> None:
    """Let the planner know what was loaded, from a smaller sample than the server's own, which comes by later."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET default_statistics_target = 40")
            for table in tables:
                cursor.execute(f"ANALYZE {table.name}")
            cursor.execute("RESET default_statistics_target")
