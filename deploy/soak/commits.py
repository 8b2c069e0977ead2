"""When each row was committed, by PostgreSQL's own word.

The center's columns of time are set inside the transaction, and a row's `xmin` is the transaction that changed it
last. Triggers of a run's own therefore note each new row in a table that nothing ever changes, in the same
transaction: its `xmin` stays the one that wrote the row first, and the server remembers when that one committed.
"""

from __future__ import annotations

from typing import Any

SETTINGS = {"track_commit_timestamp": "on"}  # of the server
WATCHED = (
    "trades_trade", "trades_attempt", "refunds_refund", "refunds_approval", "notifications_notification",
    "paycenter_event",
)  # fmt: skip
_NOTE = """
CREATE TABLE soak_written (table_name text NOT NULL, row_id bigint NOT NULL);
CREATE FUNCTION soak_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO soak_written VALUES (TG_ARGV[0], NEW.id);
  RETURN NULL;
END $$;
"""
_READ = "SELECT table_name, row_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM soak_written"
Moments = dict[tuple[str, int], float]


def watch(cursor: Any, tables: tuple[str, ...] = WATCHED) -> None:
    """From now on every new row of these tables is noted."""
    cursor.execute(_NOTE)
    for table in tables:
        cursor.execute(
            f"CREATE TRIGGER soak_note AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION soak_note('{table}')"
        )


def moments(cursor: Any) -> Moments:
    """Unix seconds by table and id. Raises DatabaseError where nothing was watched."""
    cursor.execute(_READ)
    return {(table, row_id): at for table, row_id, at in cursor.fetchall()}
