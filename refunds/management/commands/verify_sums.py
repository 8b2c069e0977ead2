"""`manage.py verify_sums`: proves that every sum is that of its parts, or names what does not fit and exits with 1."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refunds.verifying import wrong_sums


class Command(BaseCommand):
    help = "Compare what trades and stray payments count as paid and given back with their attempts and refunds."

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = list(wrong_sums())
        for one in wrong:
            self.stderr.write(one.words)
        if wrong:
            raise CommandError(f"{len(wrong)} sums are wrong")
        self.stdout.write("every sum is that of its parts")
