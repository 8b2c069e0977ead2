"""Events are append-only: the database itself refuses to delete or change one.

The only update allowed gives `seq` and `hash` to a row that has none. On SQLite a later migration that
rebuilds the table loses the triggers: repeat `install` after it.
"""

from django.db import migrations

TABLE = "paycenter_event"
# Everything but seq and hash. A new column must be added here by its own migration.
LASTING = (
    "id", "type", "created_at", "object_type", "object_id", "app_id", "merchant_no", "trade_no", "attempt_no",
    "refund_no", "from_state", "to_state", "actor", "reason", "detail", "data", "public",
)

_SQLITE = (
    f"""CREATE TRIGGER paycenter_event_no_delete BEFORE DELETE ON {TABLE}
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    f"""CREATE TRIGGER paycenter_event_no_update BEFORE UPDATE ON {TABLE}
    WHEN OLD.seq IS NOT NULL OR NEW.seq IS NULL OR {" OR ".join(f"NEW.{c} IS NOT OLD.{c}" for c in LASTING)}
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
)
_SQLITE_REMOVE = (
    "DROP TRIGGER IF EXISTS paycenter_event_no_delete",
    "DROP TRIGGER IF EXISTS paycenter_event_no_update",
)
_POSTGRESQL = (
    """CREATE OR REPLACE FUNCTION paycenter_event_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
    f"""CREATE TRIGGER paycenter_event_no_delete BEFORE DELETE ON {TABLE}
    FOR EACH ROW EXECUTE FUNCTION paycenter_event_refuse()""",
    f"""CREATE TRIGGER paycenter_event_no_truncate BEFORE TRUNCATE ON {TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION paycenter_event_refuse()""",
    f"""CREATE TRIGGER paycenter_event_no_update BEFORE UPDATE ON {TABLE} FOR EACH ROW
    WHEN (OLD.seq IS NOT NULL OR NEW.seq IS NULL
    OR {" OR ".join(f"NEW.{c} IS DISTINCT FROM OLD.{c}" for c in LASTING)})
    EXECUTE FUNCTION paycenter_event_refuse()""",
)
_POSTGRESQL_REMOVE = (
    f"DROP TRIGGER IF EXISTS paycenter_event_no_delete ON {TABLE}",
    f"DROP TRIGGER IF EXISTS paycenter_event_no_truncate ON {TABLE}",
    f"DROP TRIGGER IF EXISTS paycenter_event_no_update ON {TABLE}",
    "DROP FUNCTION IF EXISTS paycenter_event_refuse()",
)
INSTALL = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}
REMOVE = {"sqlite": _SQLITE_REMOVE, "postgresql": _POSTGRESQL_REMOVE}


def _run(connection, statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def install(apps, schema_editor):
    _run(schema_editor.connection, INSTALL[schema_editor.connection.vendor])


def remove(apps, schema_editor):
    _run(schema_editor.connection, REMOVE[schema_editor.connection.vendor])


class Migration(migrations.Migration):
    dependencies = [("paycenter", "0001_initial")]
    operations = [migrations.RunPython(install, remove)]
