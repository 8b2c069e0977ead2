"""The database of a history: where its processes may be overtaken, killed, or lose their connection.

SQLite lives in memory and is one connection for everybody: there, nobody is overtaken inside a transaction, as
IMMEDIATE has it in production. On PostgreSQL every process has a connection, and waits for locks like a real one.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus

from tests.simulation.scheduler import Died, Process, Scheduler, current

# Rows that a history makes; everything else is there before it and stays.
TABLES = (
    "refunds_payout", "refunds_approval", "refunds_refund", "refunds_refundceiling", "refunds_earlyrefund",
    "notifications_delivery",
    "notifications_notification", "notifications_alert", "trades_abnormalpayment", "trades_attempt", "trades_trade",
    "trades_channelhealth", "trades_channelcounter", "paycenter_exchange", "paycenter_event", "paycenter_eventhead",
)  # fmt: skip


# The table a statement writes to. Whatever else is no SELECT may write to any.
_WRITES = re.compile(r'(?:INSERT INTO|INSERT OR IGNORE INTO|UPDATE|DELETE FROM) "?(\w+)')
_WRITES_NOTHING = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN")
_ANY = "any table"
# What is written by COPY as well, which passes by the points: taken for written by every commit on PostgreSQL.
_COPIED = ("notifications_notification", "paycenter_event")


class Points:
    """The points of a connection. `commits` counts what was committed through any of them."""

    def __init__(self, scheduler: Scheduler, *, overtaken_inside: bool) -> None:
        self.scheduler, self._inside = scheduler, overtaken_inside
        self.commits = 0
        self._changes: Counter[str] = Counter()
        self._written: dict[int, set[str]] = {}  # by connection: since its last commit
        self._lock = Lock()

    def changes(self, table: str) -> int:
        """Another number than before where a commit may have changed the table."""
        with self._lock:
            return self._changes[table] + self._changes[_ANY]

    def changed(self) -> frozenset[str]:
        """Every table that was written to, at any time."""
        with self._lock:
            return frozenset(self._changes) - {_ANY, *_COPIED}

    def refuse_others(self) -> None:
        """Raises AssertionError where a table was written to that is not emptied between histories."""
        unknown = self.changed() - {*TABLES}
        if unknown:
            raise AssertionError(f"histories write to {sorted(unknown)}, which nobody empties")

    def _note(self, wrapper: BaseDatabaseWrapper, sql: str) -> None:
        if not sql.startswith(_WRITES_NOTHING):
            found = _WRITES.match(sql)
            self._written.setdefault(id(wrapper), set()).add(found[1] if found else _ANY)

    def _stands(self, wrapper: BaseDatabaseWrapper) -> None:
        """What was written through this connection is committed."""
        written = self._written.pop(id(wrapper), set())
        with self._lock:
            self.commits += 1
            self._changes.update({*written, *(_COPIED if self._inside else ())})

    def attach(self, wrapper: BaseDatabaseWrapper) -> None:
        """Once per connection."""
        wrapper.execute_wrappers.append(self._statement)
        wrapper._commit = self._committing(wrapper, wrapper._commit)  # type: ignore[method-assign]

    def _statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        process, wrapper = current(), context["connection"]
        if process is None:
            return execute(sql, params, many, context)
        if process.lost and not wrapper.in_atomic_block:
            process.lost = False  # a new connection
        if (process.dead or process.lost) and sql.startswith(("ROLLBACK", "RELEASE")):
            return None
        self.point(process, wrapper, may_switch=self._inside or not wrapper.in_atomic_block)
        self._note(wrapper, sql)
        process.statements += 1
        try:
            return execute(sql, params, many, context)
        finally:
            process.statements += 1
            if not wrapper.in_atomic_block:
                self._stands(wrapper)
            self._after(process)

    def _after(self, process: Process) -> None:
        """Whoever waited in that statement goes on only when its turn comes."""
        self.scheduler.resume(process)

    def point(self, process: Process, wrapper: BaseDatabaseWrapper, *, may_switch: bool) -> None:
        """Raises Died or OperationalError where the process, or its connection, ends here."""
        if process.dead:
            raise Died
        if process.lost:
            raise OperationalError("the connection is lost")
        self.scheduler.pause(may_switch=may_switch)
        if process.points == process.dies_at:
            if process.how == "lost":
                process.lost = wrapper.in_atomic_block
                raise OperationalError("the connection is lost")
            process.dead = True
            raise Died

    def _committing(self, wrapper: BaseDatabaseWrapper, commit: Callable[[], Any]) -> Callable[[], Any]:
        def committing() -> None:
            process = current()
            if process is None:
                return commit()
            try:
                self.point(process, wrapper, may_switch=self._inside)
            except (Died, OperationalError):
                undo(wrapper)
                raise
            process.statements += 1
            try:
                commit()
            finally:
                process.statements += 1
            self._stands(wrapper)
            self._after(process)
            self._committed(process, wrapper)
            return None

        return committing

    def _committed(self, process: Process, wrapper: BaseDatabaseWrapper) -> None:
        """The transaction stands; whoever asked for it may never hear so."""
        process.points += 1
        if process.points == process.dies_at:
            wrapper.run_on_commit = []
            if process.how == "lost":
                raise OperationalError("the connection is lost")
            process.dead = True
            raise Died


def undo(wrapper: BaseDatabaseWrapper) -> None:
    """As the server does for a client that is gone."""
    wrapper.run_on_commit = []
    if wrapper.connection is not None:
        wrapper.connection.rollback()


class InMemory:
    """SQLite: one connection that all threads share, with a copy of the migrated database."""

    overtaken_inside = False

    def __init__(self, points: Points) -> None:
        self._points = points
        options = {**connection.settings_dict["OPTIONS"], "cached_statements": 1000}
        settings = {**connection.settings_dict, "NAME": ":memory:", "OPTIONS": options}
        self._wrapper = type(connections["default"])(settings, "default")
        self._wrapper.inc_thread_sharing()
        self._wrapper.ensure_connection()
        with sqlite3.connect(connection.settings_dict["NAME"]) as migrated:
            migrated.backup(self._wrapper.connection)
        self._emptying = False
        self._wrapper.connection.create_function("emptying", 0, lambda: self._emptying)
        self._let_events_go()
        points.attach(self._wrapper)

    blockers = None

    def use(self) -> None:
        """In every thread, once."""
        connections["default"] = self._wrapper

    def restore(self) -> None:
        """Emptied, and counted from one again. Put back as a whole, or with a PRAGMA, every statement would have to be
        parsed again."""
        self._points.refuse_others()
        raw = self._wrapper.connection
        self._emptying = True
        raw.execute("BEGIN")
        for table in TABLES:
            raw.execute(f"DELETE FROM {table}")
        raw.execute(f"DELETE FROM sqlite_sequence WHERE name IN {TABLES}")
        raw.execute("COMMIT")
        self._emptying = False

    def _let_events_go(self) -> None:
        """Their trigger refuses every DELETE but ours between two histories."""
        raw, name = self._wrapper.connection, "paycenter_event_no_delete"
        ((refuses,),) = raw.execute(f"SELECT sql FROM sqlite_master WHERE name = '{name}'").fetchall()
        raw.execute(f"DROP TRIGGER {name}")
        raw.execute(refuses.replace("BEGIN", "WHEN NOT emptying() BEGIN", 1))

    def clean(self, _process: Process) -> None:
        """After each process: nothing of its transaction is left."""
        if self._wrapper.connection.in_transaction:
            undo(self._wrapper)

    def leave(self) -> None:
        """In every thread, at its end."""

    def read(self, statements: Sequence[str]) -> list[list[Any]]:
        """What each of them finds; with nobody running."""
        return [self._wrapper.connection.execute(sql).fetchall() for sql in statements]


class Server:
    """PostgreSQL: the test database itself, a connection per thread."""

    overtaken_inside = True

    def __init__(self, points: Points) -> None:
        self._points = points

    def use(self) -> None:
        wrapper = connections["default"]
        self._points.attach(wrapper)
        wrapper.execute_wrappers.append(_note_backend)

    def restore(self) -> None:
        self._points.refuse_others()
        empty = ";".join(f"DELETE FROM {table}" for table in TABLES)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SET session_replication_role = replica;{empty};SET session_replication_role = DEFAULT"
            )  # fmt: skip

    def clean(self, process: Process) -> None:
        """The next process of this thread gets its connection, as in a worker; not that of one that was killed, lost
        it, or left something open."""
        raw = connection.connection
        idle = raw is not None and raw.info.transaction_status == TransactionStatus.IDLE
        if process.dies_at or not idle or connection.in_atomic_block or connection.errors_occurred:
            connection.close()

    def leave(self) -> None:
        connection.close()

    def read(self, statements: Sequence[str]) -> list[list[Any]]:
        with connection.cursor() as cursor:
            cursor.execute(";".join(statements))
            found = [cursor.fetchall()]
            while cursor.nextset():
                found.append(cursor.fetchall())
            return found

    def blockers(self, process: Process) -> frozenset[int]:
        """The backends whose locks this process waits for."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_blocking_pids(%s)", [process.backend])
            return frozenset(cursor.fetchone()[0])


def _note_backend(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    process = current()
    if process is not None:
        process.backend = context["connection"].connection.info.backend_pid
    return execute(sql, params, many, context)
