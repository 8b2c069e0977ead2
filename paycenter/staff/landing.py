"""The landing page: figures a shift looks at first. Each app contributes its own cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Card:
    """One figure. `tone` is `calm`, `good`, `warn` or `bad`; `order` places it; `note` is small print."""

    title: str
    value: str
    link: str = ""
    note: str = ""
    tone: str = "calm"
    icon: str = "monitoring"
    order: int = 50


@dataclass(frozen=True, slots=True)
class Panel:
    """A short list. Rows are (time, text, note, link)."""

    title: str
    rows: list[tuple[Any, str, str, str]]
    empty: str
    link: str = ""
    order: int = 50


Contributor = Callable[[HttpRequest], Iterable[Card | Panel]]
_contributors: list[Contributor] = []


def contributes(function: Contributor) -> Contributor:
    """Add cards and panels to the landing page: at most two queries each, tenants see their own only."""
    _contributors.append(function)
    return function


Door = Callable[[HttpRequest], str]
_doors: list[Door] = []


def leads_elsewhere(function: Door) -> Door:
    """Register what sends some people to a page of their own instead of the landing page; empty for the others."""
    _doors.append(function)
    return function


def elsewhere(request: HttpRequest) -> str:
    """Where this person begins instead; empty for the landing page."""
    return next((url for door in _doors if (url := door(request))), "")


def landing_context(request: HttpRequest) -> dict[str, Any]:
    """Everything the contributors show to this user, in order."""
    found = sorted((item for f in _contributors for item in f(request)), key=lambda item: item.order)
    return {
        "cards": [item for item in found if isinstance(item, Card)],
        "panels": [item for item in found if isinstance(item, Panel)],
    }
