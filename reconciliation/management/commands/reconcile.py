"""`manage.py reconcile`: compare days with their bills now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reconciliation.management.arguments import ACTOR, account_of, day_argument, progress_on
from reconciliation.models import Case, ReconciliationDay
from reconciliation.reconciling import day_match
from reconciliation.states import UNRESOLVED_CASE_STATES


class Command(BaseCommand):
    help = "Compare an account's day with its bill, or, without a day, every day that is due."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", help="payment number")
        parser.add_argument("--day", type=day_argument, help="the channel's day, YYYY-MM-DD")

    def handle(self, *args: Any, **options: Any) -> None:
        days = ReconciliationDay.objects.select_related("account").order_by("day", "pk")
        if options["account"]:
            days = days.filter(account=account_of(options["account"]))
        days = days.filter(day=options["day"]) if options["day"] else days.filter(next_match_at__isnull=False)
        found = list(days)
        if options["day"] and not found:
            raise CommandError("nothing is known of that day: fetch or import its bill first")
        for day in found:
            self._one(day)
        if not found:
            self.stdout.write("no day is due")

    def _one(self, day: ReconciliationDay) -> None:
        new = day_match(day_id=day.pk, actor=ACTOR, progress=progress_on(self.stderr, "differences looked at"))
        if new is None:
            self.stdout.write(f"{day.account.payment_no} {day.day}: no usable bill")
            return
        live = Case.objects.filter(account=day.account, day=day.day, state__in=UNRESOLVED_CASE_STATES).count()
        self.stdout.write(f"{day.account.payment_no} {day.day}: {new} new differences, {live} open")
