"""An event for people: what it is about, from where, and what it was before and after, side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.utils.translation import gettext

from paycenter.models import Event
from paycenter.staff.words import state_word
from paycenter.trail import KEY


@dataclass(frozen=True, slots=True)
class Change:
    """One field, before and after; empty where it was or is empty."""

    label: str
    before: str
    after: str


@lru_cache(maxsize=256)
def model_of(object_type: str) -> type[Model] | None:
    """The model events name in one word, by which pages and fields are found."""
    found = [model for model in apps.get_models() if model._meta.model_name == object_type]
    return found[0] if len(found) == 1 else None


def record_name(event: Event) -> str:
    """`merchant M0001`: the number where the event has one, else the id."""
    model = model_of(event.object_type)
    kind = str(model._meta.verbose_name) if model is not None else event.object_type
    detail = event.detail if isinstance(event.detail, dict) else {}
    number = event.refund_no or event.attempt_no or event.trade_no or detail.get("payment_no") or (
        event.merchant_no if event.object_type == "merchant" else event.app_id if event.object_type == "app" else ""
    )
    return f"{kind} {number or detail.get('username') or event.object_id or ''}".rstrip()


def trail_of(event: Event) -> dict[str, Any]:
    """Address, request id, before and after; empty for what no staff request wrote."""
    found = event.detail.get(KEY) if isinstance(event.detail, dict) else None
    return found if isinstance(found, dict) else {}


def rest_values(event: Event) -> dict[str, Any]:
    """What the detail says besides the trail, before and after."""
    detail = event.detail if isinstance(event.detail, dict) else {"": event.detail}
    shown = {KEY, *(side for side in ("before", "after") if isinstance(detail.get(side), dict))}
    return {name: value for name, value in detail.items() if name not in shown}


def rest_of(event: Event) -> str:
    """The same as JSON; empty where there is nothing."""
    rest = rest_values(event)
    return json.dumps(rest, ensure_ascii=False, indent=1, sort_keys=True) if rest else ""


def changes_of(event: Event) -> list[Change]:
    """What changed, by the fields' names in the reader's language."""
    trail = trail_of(event)
    detail = event.detail if isinstance(event.detail, dict) else {}
    before, after = ({**_part(trail, side), **_part(detail, side)} for side in ("before", "after"))
    found = [
        Change(_label(event.object_type, name), _text(before.get(name)), _text(after.get(name)))
        for name in dict.fromkeys([*before, *after])
    ]
    if (event.from_state or event.to_state) and "state" not in after:
        states = (state_word(state, event.object_type) if state else "" for state in (event.from_state, event.to_state))
        found.insert(0, Change(gettext("state"), *states))
    return found


def _part(trail: dict[str, Any], name: str) -> dict[str, Any]:
    found = trail.get(name)
    return found if isinstance(found, dict) else {}


def _label(object_type: str, name: str) -> str:
    model = model_of(object_type)
    try:
        field: Any = model._meta.get_field(name.removesuffix("_id")) if model is not None else None
    except FieldDoesNotExist:
        field = None
    return str(getattr(field, "verbose_name", "") or name)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value):
        return ", ".join(map(_text, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
