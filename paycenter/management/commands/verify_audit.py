"""`manage.py verify_audit`: proves the chain of events, or names the first row that breaks it and exits with 1."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from paycenter.audit import AuditBroken, AuditResult, verify, verify_and_keep
from paycenter.models import AuditVerification


class Command(BaseCommand):
    help = "Walk the audit chain and compare it with the heads noted outside the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="first", type=int, metavar="SEQ", help="first sequence number")
        parser.add_argument("--to", dest="last", type=int, metavar="SEQ", help="last sequence number (included)")
        parser.add_argument(
            "--new", action="store_true", help="only what came after the last good verification that was kept"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new"] and (options["first"] or options["last"]):
            raise CommandError("--new does not go with --from or --to")
        result: AuditResult | AuditVerification
        try:
            if options["first"] or options["last"]:
                result = verify(first=options["first"] or 1, last=options["last"], progress=self._say)
            else:
                result = verify_and_keep(by="command", whole=not options["new"], progress=self._say)
        except (AuditBroken, ValueError) as exc:
            raise CommandError(str(exc)) from exc
        if isinstance(result, AuditVerification) and not result.ok:
            raise CommandError(result.problem)
        self.stdout.write(
            f"{result.events} events verified, {result.heads} noted heads compared, "
            f"{result.unsequenced} not numbered yet"
        )

    def _say(self, seq: int, last: int) -> None:
        """On the other stream, so that the last line of the output stays the result."""
        self.stderr.write(f"{seq} of {last} ({100 * seq // max(last, 1)} %)")
