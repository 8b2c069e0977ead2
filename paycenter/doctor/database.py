"""Whether the database is there and is what the code expects: migrations, tables, indexes, triggers, the chain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from django.apps import apps
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext as _

from notifications.models import AlertRoute
from paycenter.doctor.finding import Finding, Level, error, in_production, ok, unreachable, warning
from paycenter.models import AuditVerification, Event

TRIGGERS = {
    "sqlite": {"paycenter_event_no_delete", "paycenter_event_no_update"},
    "postgresql": {"paycenter_event_no_delete", "paycenter_event_no_update", "paycenter_event_no_truncate"},
}
VERIFIED = timedelta(days=2)


def database() -> Iterator[Finding]:
    """Reachable; then everything that can be read from it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as exc:
        yield unreachable("database.reachable", _("The database"), exc,
                          _("Start it, or correct DATABASE_URL. Nothing is acknowledged while it is away."))
        return
    yield ok("database.reachable", _("The database answers."))
    behind = list(_migrations())
    yield from behind
    if not any(one.level == Level.ERROR for one in behind):
        yield from _schema()
        yield from _triggers()
        yield from _chain()
        yield from _receivers()


def _migrations() -> Iterator[Finding]:
    known = set(MigrationLoader(None).graph.nodes)
    applied = set(MigrationRecorder(connection).applied_migrations())
    ours = {config.label for config in apps.get_app_configs()}
    missing = sorted(f"{app}.{name}" for app, name in known - applied)
    ahead = sorted(f"{app}.{name}" for app, name in applied - known if app in ours)
    if missing:
        yield error("database.migrations", _("%(count)d migrations are missing: %(names)s.") % {
            "count": len(missing), "names": ", ".join(missing[:5])}, _("Run manage.py migrate."))  # fmt: skip
    if ahead:
        yield warning("database.ahead", _("The database is newer than this code: %(names)s.") % {
            "names": ", ".join(ahead[:5])}, _("Install the code that goes with it on this machine."))  # fmt: skip
    if not missing and not ahead:
        yield ok("database.migrations", _("All migrations are applied."))


def _schema() -> Iterator[Finding]:
    """Tables, indexes and constraints that the models declare and the database does not have."""
    there = _names()
    managed = [m for m in apps.get_models(include_auto_created=True) if m._meta.managed and not m._meta.proxy]
    wanted = {m._meta.db_table: {m._meta.db_table, *_declared(m)} for m in managed}
    missing = [name for names in wanted.values() for name in sorted(names - there)]
    if missing:
        yield error("database.schema", _("The database lacks: %(names)s.") % {"names": ", ".join(missing[:10])},
                    _("Constraints and indexes are part of what keeps sums right and sweeps fast. Create them anew"
                      " (manage.py sqlmigrate shows how), or restore a backup."))  # fmt: skip
    else:
        yield ok("database.schema", _("Every table, index and constraint is there."))


def _names() -> set[str]:
    """Of everything in the schema: tables, indexes, constraints."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("""SELECT relname FROM pg_class
                WHERE relnamespace = ANY(current_schemas(false)::text[]::regnamespace[])
                UNION SELECT conname FROM pg_constraint
                WHERE connamespace = ANY(current_schemas(false)::text[]::regnamespace[])""")
            return {str(name) for (name,) in cursor.fetchall()}
        cursor.execute("SELECT name, sql FROM sqlite_master")
        rows = cursor.fetchall()
    # SQLite keeps a constraint in the words of its table only.
    constraints = re.findall(r'CONSTRAINT "(\w+)"', " ".join(sql for _name, sql in rows if sql))
    return {name for name, _sql in rows} | set(constraints)


def _declared(model: type[Model]) -> set[str]:
    return {one.name for one in (*model._meta.indexes, *model._meta.constraints)}


def _triggers() -> Iterator[Finding]:
    sql = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled <> 'D'",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(sql, [Event._meta.db_table])
        missing = TRIGGERS[connection.vendor] - {name for (name,) in cursor.fetchall()}
    if missing:
        yield error("database.triggers", _("Events can be changed: %(names)s is missing or switched off.") % {
            "names": ", ".join(sorted(missing))},
            _("Run manage.py verify_audit, then install them as migration paycenter.0002 does."))  # fmt: skip


def _chain() -> Iterator[Finding]:
    last = AuditVerification.objects.order_by("-id").first()
    if last is None or last.finished_at < timezone.now() - VERIFIED:
        yield Finding("audit.verified", in_production(Level.WARNING),
                      _("The audit chain has not been verified for two days."),
                      _("The schedule does it every hour: see worker and beat. Or run manage.py verify_audit."))
    elif not last.ok:
        yield error("audit.verified", _("The audit chain did not hold: %(problem)s.") % {"problem": last.problem},
                    _("Keep the database and the copies of audit-heads.log; see Audit in the admin."))  # fmt: skip
    else:
        yield ok("audit.verified", _("The audit chain held at %(time)s.") % {
            "time": timezone.localtime(last.finished_at).strftime("%Y-%m-%d %H:%M")})  # fmt: skip


def _receivers() -> Iterator[Finding]:
    if not AlertRoute.objects.filter(is_active=True).exists():
        yield Finding("alerts.receivers", in_production(Level.WARNING), _("Nobody is told of alerts."),
                      _("Add a robot or a mailbox under Alert receivers."))  # fmt: skip
