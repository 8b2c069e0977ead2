"""Every address of the admin with records of a test in it. None is listed by hand, so a new page is there by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver

# What arguments of addresses may be that are no key of a record.
WORDS = {
    "step": "company", "place": "account-1", "number": "1", "transition": "suspend", "decision": "confirm",
    "kind": "app_hmac", "app_label": "trades", "act": "approve",
}  # fmt: skip


def patterns(resolver: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """(route, pattern) of everything below /admin/."""
    if resolver is None:
        resolver = next(r for r in get_resolver().url_patterns if str(r.pattern) == "admin/")
        prefix = "/admin/"
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        else:
            yield route, entry


def model_of(route: str) -> type[Model] | None:
    """Whose page an address is."""
    for model in admin.site._registry:
        if route.startswith(f"/admin/{model._meta.app_label}/{model._meta.model_name}/"):
            return model
    return None


def addresses(
    records: Mapping[type[Model], Sequence[Model]], words: Mapping[str, Any], *, without: set[str]
) -> Iterator[str]:
    """Each address once per record of its model; `words` fills the other arguments, `without` names views left out."""
    for route, pattern in patterns():
        if pattern.name in without or "(?P<url>" in route:
            continue
        if re.search(r"[\^$(\\]", route):
            yield from {f"/admin/{model._meta.app_label}/" for model in admin.site._registry}
            continue
        model = model_of(route)
        for record in (records.get(model) if model else None) or [None]:

            def fill(match: re.Match[str], record: Model | None = record) -> str:
                name = match.group(1).rpartition(":")[2]
                return str({**WORDS, **words}.get(name, record.pk if record is not None else 1))

            yield re.sub(r"<([^>]+)>", fill, route)
