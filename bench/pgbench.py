"""The limit of writing: the same rows by pgbench, without any program in between.

Statements are made from rows that the center itself has written, so that both write the same columns and lengths and
the limit follows the schema.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from bench.processor import seconds_of_tree
from bench.table import Skipped
from deploy.checks.services import find_postgres

_PROGRESS = re.compile(r"progress: [\d.]+ s, ([\d.]+) tps")


@dataclass(frozen=True, slots=True)
class Limit:
    """Transactions a second, and PostgreSQL's milliseconds of processor time for one."""

    rate: float
    milliseconds: float


class Copier:
    """Writes INSERT statements like rows that exist."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def row(self, table: str, where: str, values: Sequence[Any] = ()) -> dict[str, Any]:
        """The newest such row, by column. Raises LookupError."""
        with self._connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            cursor.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY id DESC LIMIT 1", values)  # noqa: S608
            found = cursor.fetchone()
        if found is None:
            raise LookupError(f"no row of {table} where {where}")
        return found

    def insert(
        self, table: str, rows: Sequence[Mapping[str, Any]], changes: Mapping[str, str], source: str = ""
    ) -> str:
        """One INSERT of rows like these. `changes` are SQL by column; `source` is a FROM they may speak of."""
        types = self._types(table)
        kept = [name for name in types if name != "id" or "id" in changes]
        selects = [
            "SELECT " + ", ".join(changes.get(name) or self._literal(row[name], types[name]) for name in kept)  # noqa: S608
            + (f" FROM {source}" if source else "")
            for row in rows
        ]  # fmt: skip
        names = ", ".join(f'"{name}"' for name in kept)
        return f"INSERT INTO {table} ({names}) {' UNION ALL '.join(selects)}"

    def assignments(self, table: str, row: Mapping[str, Any], names: Sequence[str], changes: Mapping[str, str]) -> str:
        """`SET` of an UPDATE that makes a row like this one."""
        types = self._types(table)
        return ", ".join(f'"{name}" = {changes.get(name) or self._literal(row[name], types[name])}' for name in names)

    def _types(self, table: str) -> dict[str, str]:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum", [table],
            )  # fmt: skip
            return dict(cursor.fetchall())

    def _literal(self, value: Any, of: str) -> str:
        if isinstance(value, dict | list):
            value = Jsonb(value)
        text = re.sub(r"::[\w\" ]+$", "", sql.Literal(value).as_string(self._connection).strip())
        if text.startswith(("'", "E'")):  # pgbench would take a colon in a text for a variable of its own
            text = "E" + text.removeprefix("E").replace(":", "\\x3a")
        return f"CAST({text} AS {of})"


def program() -> Path:
    """Raises Skipped where PostgreSQL came without it."""
    folder = find_postgres()
    found = folder / "pgbench" if folder else None
    if found is None or not found.exists():
        on_path = shutil.which("pgbench")
        if on_path is None:
            raise Skipped("pgbench is not installed; it comes with PostgreSQL's own packages")
        return Path(on_path)
    return found


def run(url: str, script: str, *, clients: int, seconds: int, postmaster: int) -> Limit:
    """Run the script over and over, each statement prepared. Raises RuntimeError where it fails.

    Looked at between the reports of its first and its last full second: connecting and preparing are over then.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        command = [
            str(program()), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds + 2), "-P", "1",
            "-f", file.name, url.replace("postgres://", "postgresql://"),
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603
        used, rates, said = [], [], []
        for line in process.stderr or ():
            said.append(line)
            progress = _PROGRESS.match(line)
            if progress:
                used.append(seconds_of_tree(postmaster))
                rates.append(float(progress[1]))
        process.communicate()
    if process.returncode != 0 or len(rates) < 3:
        raise RuntimeError(f"pgbench: {''.join(said).strip()[-800:]}")
    transactions = sum(rates[1:-1])  # each of one second
    return Limit(transactions / len(rates[1:-1]), (used[-2] - used[0]) * 1000 / transactions)
