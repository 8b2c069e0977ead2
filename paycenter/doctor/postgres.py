"""How PostgreSQL is set up and how it fares. Everything is read from its own catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.db import Error, connection, connections
from django.utils.translation import gettext as _

from paycenter.doctor.finding import Finding, error, note, ok, unreachable, warning
from paycenter.replica import PRIMARY, replica_lag, reporting

OLDEST = 140_000  # server_version_num that Django supports
TESTED = 150_000  # the oldest that the tests run on
LAG = 60.0  # seconds
Rows = list[tuple[Any, ...]]


def postgres() -> Iterator[Finding]:
    """Nothing on SQLite, and nothing where the server is away: `database` says so."""
    if connection.vendor != "postgresql":
        return
    try:
        for question in (_version, _durability, _connections, _compiling, _vacuum, _broken, _waiting, _archive):
            yield from question()
    except Error as exc:
        yield unreachable("postgres.questions", "PostgreSQL", exc, _("Its role may need pg_monitor."))
    yield from replica()


def replica() -> Iterator[Finding]:
    """How far the database of reports is behind, where there is one."""
    if reporting() == PRIMARY:
        return
    try:
        lag = replica_lag()
    except Error as exc:
        yield unreachable("postgres.replica", _("The database of reports"), exc,
                          _("Start it, or unset REPLICA_DATABASE_URL: reports then read from the primary."))
        return
    if lag is None:
        yield warning("postgres.replica", _("REPLICA_DATABASE_URL leads to a server that is no standby."),
                      _("Let it lead to a streaming standby of the primary."))  # fmt: skip
    elif lag > LAG:
        yield warning("postgres.replica", _("Reports are %(lag).0f s behind.") % {"lag": lag},
                      _("Look at the standby's load, and at the connection between the two."))  # fmt: skip
    else:
        yield ok("postgres.replica", _("Reports are %(lag).1f s behind.") % {"lag": lag})


def _rows(sql: str, parameters: Sequence[Any] = ()) -> Rows:
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall())


def _settings(*names: str) -> dict[str, str]:
    return dict(_rows("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(names)]))


def _version() -> Iterator[Finding]:
    found = _settings("server_version_num", "server_version", "TimeZone")
    number, words = int(found["server_version_num"]), {"version": found["server_version"]}
    if number < OLDEST:
        yield error("postgres.version", _("PostgreSQL %(version)s is too old.") % words, _("Upgrade to 15 or newer."))
    elif number < TESTED:
        yield warning("postgres.version", _("PostgreSQL %(version)s is older than what is tested.") % words,
                      _("Upgrade to 15 or newer."))  # fmt: skip
    else:
        yield ok("postgres.version", _("PostgreSQL %(version)s.") % words)
    if found["TimeZone"] != "UTC":
        yield note("postgres.time_zone", _("Sessions are in %(zone)s; times are kept in UTC anyway.") % {
            "zone": found["TimeZone"]})  # fmt: skip
    zone = settings.TIME_ZONE
    if not _rows("SELECT 1 FROM pg_timezone_names WHERE name = %s", [zone]):
        yield error("postgres.time_zone", _("PostgreSQL knows no time zone %(zone)s.") % {"zone": zone},
                    _("Install the server's time zone data (tzdata)."))  # fmt: skip


def _durability() -> Iterator[Finding]:
    found = _settings("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if found.get(name) == "off":
            yield error("postgres.durability", _("%(name)s is off: a crash may lose what was acknowledged.") % {
                "name": name}, _("Set it to on and restart the server."))  # fmt: skip
    if found.get("data_checksums") == "off":
        yield note("postgres.checksums", _("The server does not check its pages for decay."),
                   _("Stop it and run pg_checksums --enable."))  # fmt: skip


def _connections() -> Iterator[Finding]:
    found = _settings("max_connections", "superuser_reserved_connections")
    room = int(found["max_connections"]) - int(found["superuser_reserved_connections"])
    ((used,),) = _rows("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    pool = settings.DATABASES[PRIMARY].get("OPTIONS", {}).get("pool", {})
    size = pool["max_size"] if isinstance(pool, dict) and "max_size" in pool else 1
    words = {"room": room, "used": used, "size": size, "processes": room // size}
    text = _("Room for %(room)d connections, %(used)d in use; a process takes up to %(size)d: enough for"
             " %(processes)d processes.") % words  # fmt: skip
    if used > 0.85 * room or words["processes"] < 4:
        yield warning("postgres.connections", text, _("Raise max_connections, or lower PAYCENTER_DB_POOL."))
    else:
        yield ok("postgres.connections", text)


def _compiling() -> Iterator[Finding]:
    """Our own sessions turn it off, except where a pooler lets them say nothing."""
    ((compiles,),) = _rows("SELECT pg_jit_available()")
    if compiles:
        yield warning("postgres.jit", _("jit is on: compiling our statements takes longer than running them."),
                      _("ALTER ROLE … SET jit = off, for the role of DATABASE_URL."))  # fmt: skip


def _vacuum() -> Iterator[Finding]:
    found = _settings("autovacuum", "track_counts", "autovacuum_freeze_max_age")
    if "off" in (found["autovacuum"], found["track_counts"]):
        yield error("postgres.autovacuum", _("autovacuum is off: tables grow and slow down, until writing stops."),
                    _("Set autovacuum and track_counts to on."))  # fmt: skip
    ((age,),) = _rows("SELECT max(age(datfrozenxid)) FROM pg_database")
    if age > 1_000_000_000:
        yield error("postgres.wraparound", _("The oldest transaction id is %(age)d old.") % {"age": age},
                    _("Run VACUUM in all databases, and look for old transactions and slots that hold it back."))
    dead = _rows("""SELECT relname, n_dead_tup FROM pg_stat_user_tables
                    WHERE n_dead_tup > 100000 AND n_dead_tup > n_live_tup ORDER BY n_dead_tup DESC LIMIT 5""")
    for name, count in dead:
        yield warning("postgres.dead_rows", _("%(name)s holds %(count)d dead rows, more than live ones.") % {
            "name": name, "count": count}, _("Run VACUUM on it, and look for old transactions."))  # fmt: skip


def _broken() -> Iterator[Finding]:
    """What the catalogue itself knows to be unusable."""
    invalid = [name for (name,) in _rows("""SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT i.indisvalid AND n.nspname = ANY(current_schemas(false))""")]
    for name in invalid:
        yield error("postgres.index", _("Index %(name)s is invalid and answers nothing.") % {"name": name},
                    _("Run REINDEX INDEX CONCURRENTLY on it."))  # fmt: skip
    unchecked = [name for (name,) in _rows("""SELECT c.conname FROM pg_constraint c
        JOIN pg_namespace n ON n.oid = c.connamespace
        WHERE NOT c.convalidated AND n.nspname = ANY(current_schemas(false))""")]
    for name in unchecked:
        yield error("postgres.constraint", _("Constraint %(name)s was never checked against old rows.") % {
            "name": name}, _("Run ALTER TABLE … VALIDATE CONSTRAINT; what it names has to be explained first."))


def _waiting() -> Iterator[Finding]:
    ((idle,),) = _rows("""SELECT count(*) FROM pg_stat_activity
        WHERE state LIKE 'idle in transaction%' AND state_change < now() - interval '5 minutes'""")
    if idle:
        yield warning("postgres.idle", _("%(count)d sessions have held a transaction open for minutes.") % {
            "count": idle}, _("Find them in pg_stat_activity and end them (pg_terminate_backend)."))  # fmt: skip
    ((prepared,),) = _rows("SELECT count(*) FROM pg_prepared_xacts WHERE prepared < now() - interval '5 minutes'")
    if prepared:
        yield warning("postgres.prepared", _("%(count)d prepared transactions were forgotten; they hold locks.") % {
            "count": prepared}, _("Look at pg_prepared_xacts; ROLLBACK PREPARED what nobody will finish."))  # fmt: skip
    for (name,) in _rows("SELECT slot_name FROM pg_replication_slots WHERE NOT active"):
        yield warning("postgres.slot", _("Nobody reads replication slot %(name)s; WAL piles up for it.") % {
            "name": name}, _("Start its standby, or drop it (pg_drop_replication_slot)."))  # fmt: skip


def _archive() -> Iterator[Finding]:
    mode = _settings("archive_mode")["archive_mode"]
    ((failing, when),) = _rows("""SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
        to_char(last_failed_time, 'YYYY-MM-DD HH24:MI') FROM pg_stat_archiver""")
    if mode == "off":
        yield note("postgres.archive", _("WAL is not archived: a restore goes back to the last backup."),
                   _("See docs/backup.md for restoring to a point in time."))  # fmt: skip
    elif failing:
        yield error("postgres.archive", _("Archiving WAL fails since %(when)s; the disk fills up.") % {"when": when},
                    _("Look at archive_command and at the server's log."))  # fmt: skip
    else:
        yield ok("postgres.archive", _("WAL is archived."))


