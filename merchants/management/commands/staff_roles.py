"""`manage.py staff_roles`: who may do what, as tables, drawn from the roles in the code."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.utils import translation

from merchants.models import Role
from merchants.people.reach import KEEPS, needs_second
from merchants.roles import ROLE_PERMISSIONS
from paycenter.management.pages import bring_up_to_date

NAME = "staff roles"


def permissions_table() -> list[str]:
    """One row per kind of record, one column per role; the verbs in a cell are what the role may do."""
    held: dict[str, dict[str, list[str]]] = {}
    for role, permissions in ROLE_PERMISSIONS.items():
        for permission in sorted(permissions):
            app, _dot, codename = permission.partition(".")
            verb, _bar, model = codename.partition("_")
            held.setdefault(f"{app}.{model}", {}).setdefault(role, []).append(verb)
    lines = ["| record | " + " | ".join(str(role.label) for role in Role) + " |", "|---" * (len(Role) + 1) + "|"]
    for name in sorted(held):
        label = apps.get_model(name)._meta.verbose_name
        cells = [" ".join(held[name].get(role, [])) or "–" for role in Role]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def people_table() -> list[str]:
    """Whom each role keeps, and who is let in by two people."""
    lines = ["| role | let in by two people | may invite and change |", "|---|---|---|"]
    for role in Role:
        kept = ", ".join(str(other.label) for other in KEEPS.get(role, ())) or "–"
        lines.append(f"| {role.label} | {'yes' if needs_second(role) else 'no'} | {kept} |")
    return lines


def drawn() -> str:
    """Both tables, in English whatever the active language."""
    with translation.override("en"):
        return "\n".join([*people_table(), "", *permissions_table()])


class Command(BaseCommand):
    help = "Show who may do what, or bring docs/staff.md up to date."

    def add_arguments(self, parser: ArgumentParser) -> None:
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--write", action="store_true", help="put it into docs/staff.md")
        mode.add_argument("--check", action="store_true", help="fail when docs/staff.md shows something else")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["write"] or options["check"]:
            bring_up_to_date("staff.md", NAME, drawn(), write=options["write"])
        else:
            self.stdout.write(drawn())
