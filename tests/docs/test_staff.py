"""`docs/staff.md` shows the roles that the code has."""

from __future__ import annotations

from django.core.management import call_command


def test_the_tables_of_roles_are_those_of_the_code() -> None:
    call_command("staff_roles", "--check")
