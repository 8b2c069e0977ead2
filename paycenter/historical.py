"""Keeps migrations from getting slower with every model they build.

Migrations build each model anew many times over. django-fsm's field asks to hear of every class that is prepared from
then on, and does not stop: each of the thousand classes of a first start would be looked through by the fields of all
the classes before it, which was two fifths of the time it takes. Classes of history have no transitions to be found.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.db.models.signals import class_prepared
from django_fsm import FSMField

_HISTORICAL = "__fake__"  # the module that Django gives the classes it builds for migrations


def install() -> None:
    """Once per process, before the first migration."""
    class_prepared.connect(_prepared)


def _prepared(sender: type[Model], **_values: Any) -> None:
    if sender.__module__ == _HISTORICAL:
        for field in sender._meta.local_fields:
            if isinstance(field, FSMField):
                class_prepared.disconnect(field._collect_transitions)
