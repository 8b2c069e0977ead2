"""`manage.py doctor`: what is wrong with this installation, and what to do. Exit status 0, 1 (warnings) or 2."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import translation
from django.utils.translation import gettext as _

from paycenter.doctor.examination import CHECKS, OUTSIDE, examine, exit_status
from paycenter.doctor.finding import Finding, Level

_SIGNS = {Level.OK: "✓", Level.NOTE: "·", Level.WARNING: "!", Level.ERROR: "✗"}


class Command(BaseCommand):
    help = (
        "Examine configuration, machine, database, clocks, keys, broker, workers, Redis and channels, and say what to"
        " do. Changes nothing. Exit status 0: nothing to do, 1: warnings, 2: something does not work."
    )
    requires_system_checks: list[str] = []  # they are among what is examined

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
        parser.add_argument("--offline", action="store_true", help="ask no channel")
        parser.add_argument("--only", action="append", choices=list(CHECKS), help="this part only; may be repeated")
        parser.add_argument("--language", choices=[code for code, _name in settings.LANGUAGES],
                            help="of the findings")  # fmt: skip
        parser.add_argument("--quiet", action="store_true", help="leave out what is well")

    def handle(self, **options: Any) -> None:
        names = [name for name in options["only"] or CHECKS if not (options["offline"] and name in OUTSIDE)]
        with translation.override(options["language"] or settings.LANGUAGE_CODE):
            findings = self._tell(names, as_json=options["json"], quiet=options["quiet"])
        if status := exit_status(findings):
            sys.exit(status)

    def _tell(self, names: list[str], *, as_json: bool, quiet: bool) -> list[Finding]:
        every: list[Finding] = []
        for name, found in examine(names):
            every += found
            shown = [one for one in found if not quiet or one.level > Level.NOTE]
            if not as_json and shown:
                self.stdout.write(f"\n{CHECKS[name][0]}")
                for one in shown:
                    self._line(one)
        if as_json:
            answer = {"status": exit_status(every), "findings": [one.as_json() for one in every]}
            self.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1))
        else:
            self.stdout.write("\n" + self._summary(every))
        return every

    def _line(self, finding: Finding) -> None:
        style = {Level.ERROR: self.style.ERROR, Level.WARNING: self.style.WARNING}.get(finding.level, str)
        self.stdout.write("  " + style(f"{_SIGNS[finding.level]} {finding.text}"))
        if finding.advice:
            self.stdout.write(f"      → {finding.advice}")

    def _summary(self, findings: list[Finding]) -> str:
        count = {level: sum(one.level == level for one in findings) for level in Level}
        words = {"errors": count[Level.ERROR], "warnings": count[Level.WARNING], "all": len(findings)}
        return _("%(all)d findings: %(errors)d errors, %(warnings)d warnings.") % words
