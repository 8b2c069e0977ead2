"""`manage.py log_partitions`: the months of the log tables; with options, makes, mends and retires them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from paycenter.partitions import converting, keeping, retiring
from paycenter.partitions.catalogue import LOGS, Log, partitions

_ACTS = {
    "ahead": "make the coming months' partitions now",
    "settle": "as --ahead, and move all rows of the default partition, however many; whoever writes them waits",
    "retire": "detach the months that are past PAYCENTER_KEEP_EXCHANGES_MONTHS, PAYCENTER_KEEP_DELIVERIES_MONTHS",
    "prepare": "before the migration that partitions them: look at large tables while they are in use",
}


class Command(BaseCommand):
    help = "Monthly partitions of the log tables (PostgreSQL): list, make ahead, move strays, retire."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        for name, meaning in _ACTS.items():
            what.add_argument(f"--{name}", action="store_true", help=meaning)
        parser.add_argument("--archive", type=Path, metavar="DIR", help="with --retire: write each as NAME.csv.gz")
        parser.add_argument("--drop", action="store_true", help="with --retire --archive: drop what was archived")

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "postgresql":
            raise CommandError("log tables have partitions on PostgreSQL only")
        if (options["archive"] or options["drop"]) and not options["retire"]:
            raise CommandError("--archive and --drop go with --retire")
        if options["drop"] and not options["archive"]:
            raise CommandError("--drop goes with --archive: nothing is dropped that was not written to a file")
        try:
            self._act(options)
        except (DatabaseError, OSError, retiring.NotArchived) as exc:
            raise CommandError(f"{exc}; what was done before stays done, run it again") from exc

    def _act(self, options: dict[str, Any]) -> None:
        if options["prepare"]:
            self._prepare()
        elif options["retire"]:
            for log in LOGS:
                self._retire(log, options["archive"], options["drop"])
        elif options["ahead"] or options["settle"]:
            limit = sys.maxsize if options["settle"] else keeping.MOVED_AT_ONCE
            for name in keeping.keep_ahead(moved_at_once=limit):
                self.stdout.write(f"made {name}")
        else:
            self._list()

    def _prepare(self) -> None:
        for log in LOGS:
            ends = converting.prepare(log)
            if ends is not None:
                self.stdout.write(f"{log.table}: looked at; migrate before {ends.start:%Y-%m-%d} (UTC), from when on"
                                  " it takes no rows until it is partitioned")  # fmt: skip

    def _retire(self, log: Log, folder: Path | None, drop: bool) -> None:
        for name in retiring.past_retention(log):
            retiring.detach(log, name)
            self.stdout.write(f"detached {name}")
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in retiring.detached(log):
            if not retiring.archived(name, folder):
                made = retiring.archive(name, folder)
                self.stdout.write(f"archived {name}: {made.rows} rows in {folder / made.file}")
            if drop:
                retiring.drop(log, name)
                self.stdout.write(f"dropped {name}")

    def _list(self) -> None:
        for log in LOGS:
            for one in partitions(log):
                self.stdout.write(f"{one.name:<44} {_size(one.name)}")
            for name in retiring.detached(log):
                self.stdout.write(f"{name:<44} {_size(name)}  detached")
            for month, rows in (keeping.stray_months(log) if partitions(log) else {}).items():
                self.stdout.write(f"{log.default} holds {rows} rows of {month}: --ahead moves them")
            for month in keeping.missing_months(log):
                self.stdout.write(f"{log.table} has no partition for {month}: --ahead makes it")


def _size(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_total_relation_size(%s::regclass))", [table])
        return f"{cursor.fetchone()[0]:>10}"
