"""Back to a moment: files copied under load, a log that was archived, a second server brought to where the first was"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from deploy.checks import services
from deploy.demo.layout import ROOT, Trouble
from deploy.hosts.site import Site, until
from deploy.soak import commits

# A commit's time is taken just before its place in the log: so close to the moment both sides are right.
CLOSE = 0.1  # seconds
FULL = {"fsync": "on", "full_page_writes": "on", **commits.SETTINGS}


class Recovery:
    """`copy` and `mark` while everything works, then `prove`."""

    def __init__(self, site: Site, wal: Path) -> None:
        self._site, self._wal, self._folder = site, wal, site.layout.var / "recovery"
        self._url = site.environment["DATABASE_URL"]
        self.wrong: list[str] = []

    def copy(self) -> str:
        began = time.monotonic()
        self._command({}, "copy", str(self._folder / "copies"))
        self._copied_at = time.time()
        return f"copied in {time.monotonic() - began:.1f} s"

    def mark(self) -> None:
        """This is the moment that will be gone back to."""
        self._moment = datetime.now(UTC)

    def prove(self) -> str:
        """Whatever was committed until the moment is there, nothing later, and the center can go on with it."""
        self._archive()
        with _asked(self._url) as cursor:
            committed = commits.moments(cursor)
        began = time.monotonic()
        with services.recovered_server(self._recover, **FULL) as (_server, url):
            with _asked(url) as cursor:
                until("the recovery ends", lambda: _ends(cursor))
                took = time.monotonic() - began
                said, wrong = judge(committed, _rows(cursor), self._copied_at, self._moment.timestamp())
            self.wrong += wrong
            try:
                self._command({"DATABASE_URL": url, "REPLICA_DATABASE_URL": ""}, "verify")
            except Trouble as exc:
                self.wrong.append(f"recovery: {exc}")
        return f"{said}; there after {took:.1f} s, then verified"

    def _archive(self) -> None:
        """Let the log until now be archived, as archive_timeout would do within a minute."""
        with _asked(self._url) as cursor:
            cursor.execute("SELECT pg_walfile_name(pg_current_wal_lsn()), pg_switch_wal()")
            ((name, _place),) = cursor.fetchall()
        until("the log is archived", lambda: (self._wal / name).exists())

    def _recover(self, data: Path) -> None:
        files = Path(self._site.environment["PAYCENTER_FILES"])
        if files.exists():
            shutil.copytree(files, self._folder / "files", dirs_exist_ok=True)
        (copy,) = (self._folder / "copies").iterdir()
        moment = self._moment.isoformat()
        self._command({}, "recover", str(copy), "--wal", str(self._wal), "--data", str(data), "--to", moment)

    def _command(self, changed: dict[str, str], *arguments: str) -> None:
        """One command of docs/backup.md, as an operator gives it. Raises Trouble with what it said."""
        (self._folder / "files").mkdir(parents=True, exist_ok=True)
        secrets = self._site.secrets()
        environment = {**self._site.environment, **secrets, "PAYCENTER_FILES": str(self._folder / "files"), **changed}
        done = subprocess.run([sys.executable, "-m", "deploy.backup", *arguments], cwd=ROOT, env=environment,
                              capture_output=True, text=True, check=False)  # fmt: skip
        (self._folder / f"{arguments[0]}.txt").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-3000:]
            raise Trouble(f"deploy.backup {arguments[0]} ended with {done.returncode}:\n{said}")


def judge(
    committed: commits.Moments, there: set[tuple[str, int]], copied: float, moment: float
) -> tuple[str, list[str]]:
    """What was compared, and what is wrong: `committed` is what the first server knows, `there` what the second has."""
    due = {row for row, at in committed.items() if at < moment - CLOSE}
    late = {row for row, at in committed.items() if at > moment + CLOSE}
    since = sum(copied < committed[row] for row in due)
    checks = {f"{len(due - there)} rows committed before the moment are missing": due - there,
              f"{len(late & there)} rows committed after the moment are there": late & there,
              "nothing was committed between the copy and the moment": not since,
              "nothing was committed after the moment": not late}  # fmt: skip
    said = f"{len(due)} rows of before the moment ({since} since the copy), {len(late)} later ones looked for"
    return said, [f"recovery: {words}" for words, bad in checks.items() if bad]


def _rows(cursor: Any) -> set[tuple[str, int]]:
    there = set()
    for table in commits.WATCHED:
        cursor.execute(f"SELECT id FROM {table}")  # noqa: S608 -- our own list
        there |= {(table, number) for (number,) in cursor.fetchall()}
    return there


def _ends(cursor: Any) -> bool:
    cursor.execute("SELECT NOT pg_is_in_recovery()")
    return bool(cursor.fetchone()[0])


@contextmanager
def _asked(url: str) -> Iterator[Any]:
    """A cursor of a connection of its own, each statement committed by itself."""
    with psycopg.connect(url.replace("postgres://", "postgresql://"), autocommit=True) as link:
        yield link.cursor()
