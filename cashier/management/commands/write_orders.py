"""`manage.py write_orders`: writes cashier orders that were taken through the Redis stream. Runs until SIGTERM."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cashier.intake.stream import KEPT_GIVEN_UP, OrderStream, StreamAway
from cashier.intake.writer import WAIT, Writer

PATIENCE = 5.0  # seconds; longer than a read waits for new entries


class Command(BaseCommand):
    help = "Write cashier orders that were taken through the Redis stream (PAYCENTER_ORDER_STREAM)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        ways = parser.add_mutually_exclusive_group()
        ways.add_argument("--drain", action="store_true", help="write what is there, then end")
        ways.add_argument("--status", action="store_true", help="say how many there are")
        ways.add_argument("--again", action="store_true", help="take those that were given up once more")

    def handle(self, *_args: Any, **options: Any) -> None:
        if not settings.ORDER_STREAM_URL:
            raise CommandError("there is no stream: set PAYCENTER_ORDER_STREAM_URL or REDIS_URL")
        stream = OrderStream(settings.ORDER_STREAM_URL, patience=PATIENCE + WAIT)
        try:
            if options["status"]:
                facts = stream.facts()
                text = f"{facts.length} in the stream, the oldest for {facts.oldest:.0f} s; {facts.given_up} given up"
                self.stdout.write(text)
            elif options["again"]:
                self.stdout.write(f"{take_again(stream)} are in the stream again")
            elif options["drain"]:
                self.stdout.write(f"{Writer(stream, left_behind=0).drain()} written")
            else:
                run(Writer(stream))
        except StreamAway as exc:
            raise CommandError(f"Redis does not answer: {exc.__cause__}") from exc


def run(writer: Writer) -> None:
    """Until SIGTERM or SIGINT; the orders read by then are finished."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    writer.run(stopped)


def take_again(stream: OrderStream) -> int:
    """Put given-up orders back; those that are no orders, or known by now, stay where they are."""
    back = [entry for entry in stream.given_up(KEPT_GIVEN_UP) if stream.put(entry)]
    for entry in back:
        stream.forget_given_up(entry)
    return len(back)
