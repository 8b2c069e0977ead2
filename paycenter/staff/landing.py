"""The landing page: figures a shift looks at first. Each app contributes its own cards, and pages of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase


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


@dataclass(frozen=True, slots=True)
class StaffPage:
    """A page that belongs to no model, below the admin's address. `opens` tells who may see it."""

    path: str
    name: str
    view: Callable[[HttpRequest], HttpResponseBase]
    opens: Callable[[HttpRequest], bool]


_pages: dict[str, StaffPage] = {}


def adds_page(
    path: str, *, name: str, opens: Callable[[HttpRequest], bool]
) -> Callable[[Callable[[HttpRequest], HttpResponseBase]], Callable[[HttpRequest], HttpResponseBase]]:
    """Serve the view at `path` as `admin:<name>`, to whom `opens` lets in; others get PermissionDenied."""

    def decorate(view: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
        def guarded(request: HttpRequest) -> HttpResponseBase:
            if not opens(request):
                raise PermissionDenied
            return view(request)

        _pages[name] = StaffPage(path, name, guarded, opens)
        return guarded

    return decorate


def staff_pages() -> list[StaffPage]:
    return list(_pages.values())


def page_opens(name: str) -> Callable[[HttpRequest], bool]:
    """Whether the reader may see the page of this name, for menus."""
    return lambda request: name in _pages and _pages[name].opens(request)
