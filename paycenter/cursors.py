"""The cursors that `paycenter.compiled` runs its statements on.

On PostgreSQL they bind on the server, so that what is run often gets prepared, and stay with their connection: Django
makes one, wraps it and hands it back for every statement, which costs several times what a statement prepared costs.
"""

from __future__ import annotations

import re
from asyncio import _get_running_loop
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from paycenter.pools import borrow, give_back

Values = Sequence[object] | Mapping[str, object]
# Types that psycopg reads from PostgreSQL's binary form as Django reads them from its text.
_BINARY = frozenset((
    "bigint", "boolean", "date", "integer", "jsonb", "smallint", "text", "timestamp with time zone", "varchar",
))  # fmt: skip
_KEPT, _READER = "_paycenter_cursor", "_paycenter_reader"
_of_thread: Any = connections._connections._storage  # type: ignore[attr-defined]
_PLACE = re.compile("%(s|%)")


def default_db() -> Any:
    """The thread's `connections[DEFAULT_DB_ALIAS]`.

    Django looks for an event loop first, each time, and learns from an exception that there is none.
    """
    if _get_running_loop() is None:
        try:
            return _of_thread.default
        except AttributeError:  # the thread has none yet
            pass
    return connections[DEFAULT_DB_ALIAS]


def reads_binary(columns: Iterable[Any], db: Any) -> bool:
    """Whether these columns of a query may be read in binary form."""
    fields = [getattr(column, "target", None) for column in columns]
    return all(field is not None and (field.db_type(db) or "").partition("(")[0] in _BINARY for field in fields)


def execute(db: Any, sql: str, values: Values, *, binary: bool = False) -> Any:
    """Run a statement; the cursor that holds its rows, to be read before the next statement. Raises Django's errors."""
    if db.vendor != "postgresql":
        return _read_at_once(db, sql, values)
    if db.connection is None:
        db.ensure_connection()
    if db.execute_wrappers or db.queries_logged:  # somebody watches the statements
        return _watched(db, sql, values)
    db.validate_no_broken_transaction()
    cursor = _cursor_of(db.connection)
    with db.wrap_database_errors:
        return cursor.execute(sql, values, binary=binary)


def first_row(
    db: Any, sql: str, values: Sequence[int | str], *, binary: bool = False, wait: float | None = None
) -> Any:
    """The first row of a statement that only reads, or None, on a connection taken from the pool for it.

    A thread that has no connection need not get one for this: Django makes much more of that than of the statement.
    `wait` is how many seconds it waits for one, the pool's own time unless given. Raises Django's errors.
    """
    pool = None if db.vendor != "postgresql" or db.connection is not None else db.pool
    if pool is None:
        return execute(db, sql, values, binary=binary).fetchone()
    try:
        connection = borrow(pool, wait)
        try:
            if not connection.autocommit:
                connection.autocommit = True
            if connection.prepare_threshold is None:
                return _cursor_of(connection).execute(sql, values, binary=binary).fetchone()
            reader = getattr(connection, _READER, None) or _read_with(connection)
            return reader.first(sql, values, binary)
        finally:
            give_back(pool, connection)
    except Exception:
        with db.wrap_database_errors:
            raise


class _Rows:
    """What a cursor held that is closed."""

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows, self.rowcount = rows, rowcount

    def fetchall(self) -> list[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None


def _read_at_once(db: Any, sql: str, values: Values) -> _Rows:
    """SQLite lets nobody write while a statement is not read to its end."""
    with db.cursor() as cursor:
        cursor.execute(sql, values)
        return _Rows(cursor.fetchall() if cursor.description else [], cursor.rowcount)


def _watched(db: Any, sql: str, values: Values) -> Any:
    from django.db.backends.postgresql.base import ServerBindingCursor

    with db.wrap_database_errors:
        cursor = db._prepare_cursor(ServerBindingCursor(db.connection))  # type: ignore[call-arg]
    cursor.execute(sql, values)
    return cursor


def _cursor_of(connection: Any) -> Any:
    """The cursor that stays with psycopg's connection."""
    return getattr(connection, _KEPT, None) or _keep(connection)


def _keep(connection: Any) -> Any:
    from psycopg import Cursor
    from psycopg.adapt import Loader
    from psycopg.pq import Format

    class JsonbText(Loader):
        """The JSON is read later. The binary form is its text behind a version byte."""

        format = Format.BINARY

        def load(self, data: Any) -> str:
            return str(data[1:], "utf-8")

    cursor: Cursor[Any] = Cursor(connection)
    cursor.adapters.register_loader("jsonb", JsonbText)
    setattr(connection, _KEPT, cursor)
    return cursor


def _read_with(connection: Any) -> Any:
    """A reader that stays with psycopg's connection."""
    from psycopg import DataError
    from psycopg import OperationalError as Lost
    from psycopg.adapt import Transformer
    from psycopg.errors import FeatureNotSupported, InvalidSqlStatementName, error_from_result
    from psycopg.pq import ConnStatus, ExecStatus

    class Reader:
        """Prepares each statement once and then does nothing but bind and wait. A cursor, which can also be
        interrupted, goes through twice as much Python, and gives the interpreter away three times instead of once."""

        def __init__(self) -> None:
            self._server = connection.pgconn
            self._adapters = _cursor_of(connection)
            self._names: dict[str, bytes] = {}
            # What reads a statement's rows, in text or binary: their types stay as they are while it is prepared.
            self._rows: dict[tuple[str, bool], Any] = {}
            self._numbers = count(1)  # of statements; a name is never given twice

        def first(self, sql: str, values: Sequence[int | str], binary: bool) -> tuple[Any, ...] | None:
            """The first row. Raises psycopg's errors.

            Outside transactions, so that it can be done again: psycopg forgets all that is prepared when it rolls back,
            ours with its own, and what a migration changed has to be prepared anew.
            """
            given = [_text(value) for value in values]
            try:
                return self._first(sql, given, binary)
            except (InvalidSqlStatementName, FeatureNotSupported):
                self._forget(sql)
                return self._first(sql, given, binary)

        def _first(self, sql: str, given: Sequence[bytes], binary: bool) -> tuple[Any, ...] | None:
            name = self._names.get(sql) or self._prepare(sql)
            found = self._server.exec_prepared(name, given, None, binary)
            if found.status != ExecStatus.TUPLES_OK:
                raise self._error(found)
            rows = self._rows.get((sql, binary))
            if rows is None:
                rows = Transformer(self._adapters)
                rows.set_pgresult(found)
                self._rows[sql, binary] = rows
            else:
                rows.set_pgresult(found, set_loaders=False)
            return rows.load_row(0, tuple) if found.ntuples else None

        def _prepare(self, sql: str) -> bytes:
            """The server knows the types of the values better than we do."""
            number = count(1)
            text = _PLACE.sub(lambda place: f"${next(number)}" if place[1] == "s" else "%", sql)
            name = f"paycenter_{next(self._numbers)}".encode()
            made = self._server.prepare(name, text.encode())
            if made.status != ExecStatus.COMMAND_OK:
                raise self._error(made)
            self._names[sql] = name
            return name

        def _forget(self, sql: str) -> None:
            for known in ((sql, True), (sql, False)):
                self._rows.pop(known, None)
            self._names.pop(sql, None)

        def _error(self, result: Any) -> Exception:
            """What libpq says of a connection that broke has no code, by which psycopg tells errors apart."""
            error = error_from_result(result)
            return error if self._server.status == ConnStatus.OK else Lost(str(error))

    def _text(value: int | str) -> bytes:
        text = str(value).encode()
        if b"\0" in text:  # libpq would end there
            raise DataError("PostgreSQL's texts cannot contain NUL")
        return text

    reader = Reader()
    setattr(connection, _READER, reader)
    return reader
