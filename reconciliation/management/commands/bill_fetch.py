"""`manage.py bill_fetch`: download one bill from its channel now, and read it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from channels.base.bills import BillKind
from reconciliation.bills import bill_fetch, bill_for, bill_import, bill_refetch
from reconciliation.management.arguments import ACTOR, account_of, add_bill_arguments, outcome, progress_on
from reconciliation.states import BillState


class Command(BaseCommand):
    help = "Download one bill from its channel and read it. Says so where the channel has none yet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_bill_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        bill = bill_for(account=account_of(options["account"]), day=options["day"], kind=BillKind(options["kind"]))
        bill = bill_fetch(bill_id=bill_refetch(bill=bill, actor=ACTOR).pk, actor=ACTOR)
        if bill.state == BillState.AWAITED:
            raise CommandError(f"no bill: {bill.fetch_error}")
        if bill.state == BillState.FETCHED:
            bill = bill_import(bill_id=bill.pk, actor=ACTOR, progress=progress_on(self.stderr, "rows read"))
        self.stdout.write(outcome(bill))
