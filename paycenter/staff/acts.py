"""What a person can do on a page, as buttons; what a channel answered; and parts that another app contributes.

An app that stands above the one whose page it is (`refunds` above `trades`) cannot be imported by it, so it
registers what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model
from django.http import HttpRequest, HttpResponse


@dataclass(frozen=True, slots=True)
class Act:
    """One button. It opens the dialog with this element id, or leads to `url`, or posts to it where `post` is set.

    With `why_not` it is shown disabled, with that reason under it. `tone` is `primary`, `danger` or empty;
    `key` is the letter that presses it.
    """

    label: Any
    dialog: str = ""
    url: str = ""
    post: bool = False
    why_not: str = ""
    tone: str = ""
    icon: str = ""
    key: str = ""
    order: int = 50


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page, drawn by `template` with `data` as `section.data`. It may hold the dialogs of acts.

    `side` puts it into the narrow column.
    """

    template: str
    data: Mapping[str, Any] = field(default_factory=dict)
    side: bool = False
    order: int = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """What a channel said when it was asked: (what, here before, at the channel, whether they differ), and what came
    of it in words. Drawn by `admin/pc/answer.html`, the same for all channels; `of` says what was asked about."""

    rows: list[tuple[Any, str, str, bool]]
    outcome: str
    good: bool
    of: str = ""


PageContributor = Callable[[HttpRequest, Any], Iterable[Act | Section]]
PageView = Callable[[Any, HttpRequest, str], HttpResponse]
_contributors: dict[type[Model], list[PageContributor]] = {}
_views: dict[type[Model], list[tuple[str, PageView]]] = {}


def adds_to_page(model: type[Model]) -> Callable[[PageContributor], PageContributor]:
    """Register what adds acts and sections to the page of one record: `@adds_to_page(Trade)`.

    The function gets the request and the record, which the reader may see; what it shows of other records
    it has to scope itself.
    """

    def register(function: PageContributor) -> PageContributor:
        _contributors.setdefault(model, []).append(function)
        return function

    return register


def adds_view(model: type[Model], name: str) -> Callable[[PageView], PageView]:
    """Register a view below the page of one record, at `…/<id>/name/`, called `admin:<app>_<model>_name`.

    The function gets the record's page (a TenantAdmin), the request and the id as it stands in the address; it
    fetches the record through the page, which refuses those of other tenants.
    """

    def register(function: PageView) -> PageView:
        _views.setdefault(model, []).append((name, function))
        return function

    return register


def added_views(model: type[Model]) -> Iterable[tuple[str, PageView]]:
    """(name, view) of what was registered for this model."""
    return tuple(_views.get(model, ()))


def written_reason(request: HttpRequest) -> str:
    """What the person wrote as reason or comment in a dialog; NUL, which PostgreSQL does not store, is left out."""
    return request.POST.get("reason", "").replace("\x00", "").strip()[:300]


def page_additions(request: HttpRequest, record: Model) -> dict[str, Any]:
    """`acts`, `sections` and `side_sections` for the record's page, in order."""
    found = sorted(
        (item for add in _contributors.get(type(record), []) for item in add(request, record)),
        key=lambda item: item.order,
    )
    sections = [item for item in found if isinstance(item, Section)]
    return {
        "acts": [item for item in found if isinstance(item, Act)],
        "sections": [item for item in sections if not item.side],
        "side_sections": [item for item in sections if item.side],
    }
