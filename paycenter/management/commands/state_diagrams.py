"""`manage.py state_diagrams`: the state machines as Mermaid diagrams, drawn from the transitions in the code."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import models
from django.utils import translation
from django_fsm import FSMFieldMixin

from paycenter.management.pages import bring_up_to_date, marks

NAME = "state diagrams"
BEGIN, END = marks(NAME)


def machines() -> list[tuple[type[models.Model], Any]]:
    """Every model of ours with its state field, in a fixed order."""
    found = [
        (model, field)
        for model in apps.get_models()
        if Path(str(apps.get_app_config(model._meta.app_label).path)).parent == Path(settings.BASE_DIR)
        for field in model._meta.concrete_fields
        if isinstance(field, FSMFieldMixin)
    ]
    return sorted(found, key=lambda pair: pair[0]._meta.label)


def arrows(model: type[models.Model], field: Any) -> list[tuple[str, str, str]]:
    """(from, to, transition) of every change the model allows, sorted."""
    # From the methods themselves: the field's own register knows only the first model that shares a mixin.
    found = set()
    for name in dir(model):
        known = getattr(getattr(model, name, None), "_django_fsm", None)
        if known is not None and getattr(known.field, "name", known.field) == field.name:
            for change in known.transitions.values():
                found |= {(source, str(change.target), name) for source in _sources(change.source, field)}
    return sorted(found)


def _sources(source: Any, field: Any) -> list[str]:
    return [str(value) for value, _label in field.flatchoices] if source == "*" else [str(source)]


def diagram(model: type[models.Model], field: Any) -> str:
    """One section: heading, Mermaid diagram, and what each transition means."""
    changes = arrows(model, field)
    lines = [f"### {model._meta.object_name}", "", "```mermaid", "stateDiagram-v2"]
    lines.append(f"    [*] --> {field.get_default()}")
    merged: dict[tuple[str, str], list[str]] = {}
    for source, target, name in changes:
        merged.setdefault((source, target), []).append(name)
    lines += [f"    {source} --> {target}: {', '.join(names)}" for (source, target), names in merged.items()]
    leaving = {source for source, _target, _name in changes}
    reached = {field.get_default()} | {target for _source, target, _name in changes}
    lines += [f"    {state} --> [*]" for state, _label in field.flatchoices if state in reached - leaving]
    lines += ["```", "", "| transition | meaning |", "|---|---|"]
    for name in sorted({name for _source, _target, name in changes}):
        meaning = " ".join((getattr(model, name).__doc__ or "").split())
        lines.append(f"| `{name}` | {meaning} |")
    return "\n".join(lines)


def diagrams() -> str:
    """All sections, in English whatever the active language."""
    with translation.override("en"):
        return "\n\n".join(diagram(model, field) for model, field in machines())


class Command(BaseCommand):
    help = "Draw the state machines of all records, or bring docs/architecture.md up to date."

    def add_arguments(self, parser: ArgumentParser) -> None:
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--write", action="store_true", help="put them into docs/architecture.md")
        mode.add_argument("--check", action="store_true", help="fail when docs/architecture.md shows others")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["write"] or options["check"]:
            bring_up_to_date("architecture.md", NAME, diagrams(), write=options["write"])
        else:
            self.stdout.write(diagrams())
