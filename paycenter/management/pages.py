"""Parts of documentation pages that are drawn from the code, between two marks."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError


def marks(name: str) -> tuple[str, str]:
    """Where the part begins and ends."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def bring_up_to_date(page: str, name: str, drawn: str, *, write: bool) -> None:
    """Put what was drawn into `docs/<page>`, or raise CommandError when the page shows something else."""
    path = Path(settings.BASE_DIR) / "docs" / page
    before = path.read_text(encoding="utf-8")
    begin, end = marks(name)
    head, found_begin, rest = before.partition(begin)
    _old, found_end, tail = rest.partition(end)
    if not (found_begin and found_end):
        raise CommandError(f"the page has no {begin} and {end}")
    after = f"{head}{begin}\n\n{drawn}\n\n{end}{tail}"
    if write:
        path.write_text(after, encoding="utf-8")
    elif after != before:
        raise CommandError(f"{page} shows something else than the code; run: make diagrams")
