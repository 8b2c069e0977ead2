"""`manage.py verify_audit`: proves the chain of events, or names the first row that breaks it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from paycenter.audit import AuditBroken, verify


class Command(BaseCommand):
    help = "Walk the audit chain and compare it with the heads noted outside the database."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = verify()
        except AuditBroken as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(
            f"{result.events} events verified, {result.heads} noted heads compared, "
            f"{result.unsequenced} not numbered yet"
        )
