"""A list's filters in words, as the list itself names them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from paycenter.staff.lists import DayFilter


def filter_words(changelist: Any) -> list[list[str]]:
    """[label, value] of everything that narrows the list, also of what it does unless something else is chosen."""
    found = [[_("Search"), str(changelist.query)]] if changelist.query else []
    for spec in changelist.filter_specs:
        chosen = " – ".join(_chosen(spec, changelist))
        if chosen:
            found.append([str(spec.title), chosen])
    return found


def _chosen(spec: Any, changelist: Any) -> Iterator[str]:
    if isinstance(spec, DayFilter) and (spec.first or spec.last):
        yield spec.first.isoformat() if spec.first else "…"
        yield spec.last.isoformat() if spec.last else "…"
        return
    if isinstance(spec, DayFilter) and (spec.everything or spec.searching):
        return
    for choice in spec.choices(changelist):
        if choice["selected"] and str(choice["display"]) != _("All"):
            yield str(choice["display"])
