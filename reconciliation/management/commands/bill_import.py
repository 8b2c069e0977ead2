"""`manage.py bill_import FILE`: read a bill that somebody downloaded from the channel."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from channels.base.bills import BillKind
from reconciliation import files
from reconciliation.bills import BillConflict, bill_import, bill_upload
from reconciliation.management.arguments import ACTOR, account_of, add_bill_arguments, outcome, progress_on


class Command(BaseCommand):
    help = "Read a bill from a file. The same file again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="instead of another file imported for that day")
        add_bill_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        account, source = account_of(options["account"]), options["file"]
        try:
            with files.scratch_file() as path:
                shutil.copyfile(source, path)
                bill = bill_upload(
                    account=account, day=options["day"], kind=BillKind(options["kind"]), path=path, name=source.name,
                    actor=ACTOR, replace=options["replace"],
                )  # fmt: skip
        except OSError as exc:
            raise CommandError(f"{source}: {exc.strerror}") from exc
        except BillConflict as exc:
            raise CommandError(f"{exc}; say --replace") from exc
        self.stdout.write(
            outcome(bill_import(bill_id=bill.pk, actor=ACTOR, progress=progress_on(self.stderr, "rows read")))
        )
