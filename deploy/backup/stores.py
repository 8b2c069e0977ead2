"""The two kinds of database, each copied by its own means."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from deploy.checks.services import find_postgres


class Trouble(Exception):
    """Why there is no backup or no restore, in words for whoever typed the command; never with a password."""


class Store(Protocol):
    @property
    def kind(self) -> str:
        """Written into the backup, so that it is restored into the same."""

    def dump(self, into: Path) -> None:
        """Write a consistent copy; everything else goes on working. Raises Trouble."""

    def is_empty(self) -> bool:
        """Whether a restore would destroy nothing. Raises Trouble."""

    def load(self, dump: Path) -> None:
        """Put the copy in place of everything that is there. Nothing else may be connected. Raises Trouble."""


def store_of(url: str) -> Store:
    """By DATABASE_URL. Raises Trouble."""
    parts = urlsplit(url)
    if parts.scheme.startswith("postgres"):
        return Postgres({
            "PGHOST": parts.hostname or "", "PGPORT": str(parts.port or 5432), "PGUSER": unquote(parts.username or ""),
            "PGPASSWORD": unquote(parts.password or ""), "PGDATABASE": unquote(parts.path.lstrip("/")),
        })  # fmt: skip
    if parts.scheme == "sqlite":
        return Sqlite(Path(unquote(parts.path)))
    raise Trouble(f"DATABASE_URL begins with {parts.scheme or 'nothing'}; it has to be postgres:// or sqlite:///")


@dataclass(frozen=True)
class Postgres:
    """By pg_dump and pg_restore. The password travels in the environment, which no other user can read."""

    environment: Mapping[str, str]
    kind: str = "postgresql"

    def dump(self, into: Path) -> None:
        self._run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={into}")

    def is_empty(self) -> bool:
        return self._ask("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == "0"

    def load(self, dump: Path) -> None:
        self._ask("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
        self._run("pg_restore", "--exit-on-error", "--no-owner", "--no-privileges", "--single-transaction",
                  f"--dbname={self.environment['PGDATABASE']}", str(dump))  # fmt: skip

    def copy_files(self, into: Path) -> None:
        """Copy the whole server, with the log of the copying time; everything else goes on working. Raises Trouble."""
        self._run("pg_basebackup", f"--pgdata={into}", "--checkpoint=fast", "--wal-method=stream")

    def _ask(self, sql: str) -> str:
        return self._run("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1",
                         "-c", sql).strip()  # fmt: skip

    def _run(self, program: str, *arguments: str) -> str:
        return run_program(program, *arguments, environment=self.environment)


def run_program(program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What one of PostgreSQL's programs says. Raises Trouble."""
    folder = find_postgres()
    found = shutil.which(program) or (str(folder / program) if folder else "")
    if not found:
        raise Trouble(f"{program} is not installed (sudo apt-get install postgresql)")
    return run([found, *arguments], {**os.environ, **(environment or {})})


def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Its output. Raises Trouble with its last words."""
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"{Path(command[0]).name} failed: {done.stderr.strip()[-600:]}")
    return done.stdout


@dataclass(frozen=True)
class Sqlite:
    """By SQLite's own backup, which copies a database in use."""

    path: Path
    kind: str = "sqlite"

    def dump(self, into: Path) -> None:
        if not self.path.exists():
            raise Trouble(f"there is no {self.path}")
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(into)) as copy:
            source.backup(copy)

    def is_empty(self) -> bool:
        return not self.path.exists()

    def load(self, dump: Path) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in (self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm")):
            leftover.unlink(missing_ok=True)
        shutil.copyfile(dump, self.path)
