"""`manage.py after_restore`: what has to be done once before a restored center meets channels and apps again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from paycenter.models import EventHead
from paycenter.sequencer import HEAD_ID
from refunds.restored import everything_due_now, numbers_skip, refunds_hold


class Command(BaseCommand):
    help = (
        "Ask about everything open at once, hold refunds that were not sent yet, and skip order numbers that were given"
        " out after the backup. Safe to run twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--skip", type=int, default=10_000,
                            help="order numbers of today to leave out where a channel has a format of its own")

    def handle(self, *args: Any, skip: int, **options: Any) -> None:
        asked, told = everything_due_now()
        self.stdout.write(f"{asked} payments and refunds are asked about at once, {told} notifications sent again")
        self.stdout.write(f"{refunds_hold()} refunds that were not sent yet are on hold: compare them with the channel")
        self.stdout.write(f"{numbers_skip(skip)} counters of order numbers were moved on by {skip}")
        head = EventHead.objects.filter(pk=HEAD_ID).values_list("seq", flat=True).first() or 0
        self.stdout.write(f"the last event is {head}: an app whose cursor is beyond it has to read from there again")
