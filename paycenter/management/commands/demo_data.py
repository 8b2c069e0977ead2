"""`manage.py demo_data --trades N`: a believable past for demonstrations and measurements."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from deploy.history.build import build


class Command(BaseCommand):
    help = (
        "Add a made-up past: merchants, apps, accounts, months of payments, refunds, bills and differences, "
        "applications of two companies, and the dashboards' sums. Log-like "
        "rows (events, messages, exchanges, alerts) are written for the last days only. Never for production."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--trades", type=int, required=True, help="how many trades to add")
        parser.add_argument("--seed", type=int, default=1, help="another number gives another past")
        parser.add_argument("--days", type=int, default=180, help="how far back it reaches")
        parser.add_argument("--log-days", type=int, default=14, help="how far back log-like rows reach")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.MODE == "production":
            raise CommandError("This is a production installation (PAYCENTER_MODE): no made-up data here.")
        if min(options["trades"], options["days"], options["log_days"]) < 1:
            raise CommandError("--trades, --days and --log-days must be at least 1.")
        began = time.monotonic()
        written = build(
            trades=options["trades"], seed=options["seed"], days=options["days"], log_days=options["log_days"],
            told=self._told if options["verbosity"] else _silent,
        )  # fmt: skip
        rows = ", ".join(f"{name.partition('_')[2]} {count:,}" for name, count in written.items() if count)
        self.stdout.write(f"{rows}\n{sum(written.values()):,} rows in {time.monotonic() - began:.1f} s")

    def _told(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _silent(_text: str) -> None:
    """Nothing is shown."""
