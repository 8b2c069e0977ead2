"""Months that are past their retention leave the database: detached first, then written to a file, then dropped.

Each step can be repeated: what an interrupted run left detached is found again by its name.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from django.db import connection, transaction
from django.utils import timezone

from paycenter.partitions.catalogue import Log, Month, changing, partitions, quoted

log = structlog.get_logger(__name__)
_PART = 1024 * 1024  # bytes read at a time


class NotArchived(Exception):
    """An archive does not hold what the table holds; the table was kept."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What lies beside the file, as JSON. `sha256` is of the compressed file."""

    table: str
    file: str
    rows: int
    sha256: str


def past_retention(each: Log, now: datetime | None = None) -> list[str]:
    """Partitions of which every row is older than the months that are kept; none while the setting keeps all."""
    if each.keep_months <= 0:
        return []
    limit = Month.of(now or timezone.now()).plus(-each.keep_months).start
    return [one.name for one in partitions(each) if one.end is not None and one.end <= limit]


def detached(each: Log) -> list[str]:
    """Former partitions that are tables of their own."""
    attached = {one.name for one in partitions(each)}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname = current_schema() AND starts_with(c.relname, %s) ORDER BY 1",
            [each.table],
        )
        names = [name for (name,) in cursor.fetchall()]
    former = re.compile(rf"{re.escape(each.table)}_(until_)?\d{{4}}_\d{{2}}")
    return [name for name in names if name not in attached and former.fullmatch(name)]


def detach(each: Log, name: str) -> None:
    """Take a partition out of its table: from then on nobody sees or writes its rows there.

    Raises OperationalError where the table is held by others.
    """
    with transaction.atomic(), changing(each), connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {quoted(each.table)} DETACH PARTITION {quoted(name)}")
    log.info("partition detached", table=each.table, partition=name)


def archive(name: str, folder: Path) -> Archive:
    """Write a detached table as NAME.csv.gz (0600), and what it is as NAME.json, both on disk when this returns.

    Raises NotArchived, OSError.
    """
    target = folder / f"{name}.csv.gz"
    scratch = target.with_name(f".{target.name}")
    rows = _copy_out(name, scratch)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {quoted(name)}")  # noqa: S608
        stored = cursor.fetchone()[0]
    if rows != stored:
        raise NotArchived(f"{name} has {stored} rows, {rows} were written to {scratch}")
    _read_through(scratch)
    made = Archive(table=name, file=target.name, rows=rows, sha256=_digest(scratch))
    _written(folder / f"{name}.json", json.dumps(asdict(made), indent=2).encode() + b"\n")
    scratch.replace(target)
    _synced(folder)
    return made


def archived(name: str, folder: Path) -> bool:
    """Whether the folder has the table's archive, as it was written."""
    try:
        kept = json.loads((folder / f"{name}.json").read_text())
        return bool(kept["table"] == name and kept["sha256"] == _digest(folder / kept["file"]))
    except (OSError, ValueError, KeyError):
        return False


def drop(each: Log, name: str) -> None:
    """Delete a detached table. Raises ValueError where it is no such table."""
    if name not in detached(each):
        raise ValueError(f"{name} is not a detached partition of {each.table}")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {quoted(name)}")
    log.info("partition dropped", table=each.table, partition=name)


def _copy_out(name: str, target: Path) -> int:
    statement = f"COPY (SELECT * FROM {quoted(name)} ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"  # noqa: S608
    cursor: Any
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed, connection.cursor() as cursor:
            with connection.wrap_database_errors, cursor.copy(statement) as copy:
                for part in copy:
                    packed.write(part)
            rows = int(cursor.rowcount)
        file.flush()
        os.fsync(file.fileno())
    return rows


def _read_through(path: Path) -> None:
    try:
        with gzip.open(path, "rb") as packed:
            while packed.read(_PART):
                pass
    except (EOFError, gzip.BadGzipFile) as exc:
        raise NotArchived(f"{path} cannot be read back: {exc}") from exc


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _synced(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
