"""`manage.py dashboards_rebuild`: count the dashboards' days afresh from the records."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dashboards.rebuilding import rebuild
from reconciliation.management.arguments import day_argument


class Command(BaseCommand):
    help = (
        "Count the dashboards' days afresh from the records, while payments go on. Needed for days before the"
        " dashboards were introduced, after records were loaded by hand, and when a merchant's time zone changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="first", type=day_argument, help="first day, YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=day_argument, help="last day; today unless given")
        parser.add_argument("--days", type=int, help="instead of --from: so many days up to the last")

    def handle(self, *args: Any, **options: Any) -> None:
        last: date = options["last"] or timezone.localdate()
        first: date | None = options["first"]
        if first is None and options["days"]:
            first = last - timedelta(days=options["days"] - 1)
        if first is None:
            raise CommandError("give --from or --days")
        try:
            days = rebuild(first, last, progress=lambda day: self.stdout.write(f"{day}"))
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(f"{days} days counted")
