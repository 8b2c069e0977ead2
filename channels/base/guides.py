"""How a provider tells a merchant where its parameters are found and what has to be set in the channel's console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from channels.base.fields import Field, Label


class OurValue(StrEnum):
    """What the merchant copies from us into the channel's console."""

    SITE = "site"  # https://pay.example.com
    HOST = "host"  # pay.example.com
    CASHIER = "cashier"  # https://pay.example.com/c/ — the addresses on which payers pay begin with it
    NOTIFY = "notify"  # https://pay.example.com/notify/ — each order's own notification address begins with it


@dataclass(frozen=True, slots=True)
class Copied:
    """One of our values, and the name of the box it belongs into."""

    box: Label
    value: OurValue


@dataclass(frozen=True, slots=True)
class GuideStep:
    """One visit to one place: where to go, what to do there, which parameters come back from it.

    `fields` are names of the provider's declared fields, filled in here; `copies` is what to set there. A step
    all of whose fields do not apply (`Field.when`) is left out. `link` is the console's address.
    """

    title: Label
    text: Label
    fields: tuple[str, ...] = ()
    copies: tuple[Copied, ...] = ()
    link: str = ""


def steps_with_rest(guide: Sequence[GuideStep], fields: Sequence[Field]) -> list[tuple[GuideStep | None, list[Field]]]:
    """The steps with their fields in the declared order; last, under None, the fields that no step names."""
    by_name: Mapping[str, Any] = {field.name: field for field in fields}
    named = {name for step in guide for name in step.fields}
    rest = [field for field in fields if field.name not in named]
    found: list[tuple[GuideStep | None, list[Field]]] = [
        (step, [by_name[name] for name in step.fields if name in by_name]) for step in guide
    ]
    return [*found, (None, rest)] if rest else found
