"""`manage.py dashboards_rebuild`: count the dashboards' days afresh from the records."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dashboards.rebuilding import rebuild, rebuild_everything
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

        parser.add_argument("--all", action="store_true", help="every day there is, also what was never added up")

    def handle(self, *args: Any, **options: Any) -> None:
        days = rebuild_everything(progress=self._tell) if options["all"] else self._range(options)
        self.stdout.write(f"{days} days counted")

    def _tell(self, day: date) -> None:
        self.stdout.write(f"{day}")

    def _range(self, options: dict[str, Any]) -> int:
        last: date = options["last"] or timezone.localdate()
        first: date | None = options["first"]
        if first is None and options["days"]:
            first = last - timedelta(days=options["days"] - 1)
        if first is None:
            raise CommandError("give --from, --days or --all")
        try:
            return rebuild(first, last, progress=self._tell)
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
