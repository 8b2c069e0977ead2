"""A walk over everything the admin answers to, as staff of another merchant or app.

Nothing is listed by hand. The addresses are the site's URL patterns, filled with the records of tenant A and with
those of the stranger; what a superuser is shown of A adds the real links, filters, exports, downloads and forms;
every page adds its bulk actions, its search, its ordering and the choices behind its related fields.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.test import Client, RequestFactory

from tests.fakes.admin_pages import WORDS, model_of, patterns

Records = dict[type[Model], Model]
# What only concerns the signed-in person, and would end the walk.
OWN = {"logout", "jsi18n", "set_language", "password_change", "password_change_done", "security_recovery",
       "security_remove", "security_end_session", "security_end_others", "security_enrol"}  # fmt: skip


# Apps whose every row is looked at.
OURS = ("merchants", "onboarding", "notifications", "trades", "refunds", "cashier", "reconciliation")
_OWN_PATHS = ("/admin/logout/", "/admin/language/", "/admin/password_change/", "/admin/security/", "/admin/jsi18n/")


@dataclass(frozen=True)
class Visit:
    """One request. `kind` is what it is counted as."""

    kind: str
    url: str
    data: tuple[tuple[str, str], ...] | None = None  # None: GET


class _Forms(HTMLParser):
    """Links and forms of a page, with the values a browser would send."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[tuple[str, str, list[tuple[str, str]]]] = []
        self._open: tuple[str, str, list[tuple[str, str]]] | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.links += [found[name] for name in ("href", "data-url", "formaction") if found.get(name)]
        if tag == "form":
            self._open = (found.get("action", ""), found.get("method", "get").lower(), [])
            self.forms.append(self._open)
        elif self._open is not None and tag in ("input", "button", "textarea") and found.get("name"):
            self._open[2].append((found["name"], found.get("value", "") or "because"))
        elif self._open is not None and tag == "select":
            self._select = found.get("name", "")
        elif self._open is not None and tag == "option" and self._select and found.get("value"):
            self._open[2].append((self._select, found["value"]))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        if tag == "select":
            self._select = ""


def _named(name: str, records: Records) -> Model | None:
    """The record that an argument `app_pk` or `document_id` means: of that model, or of the one whose name ends so."""
    fits = [r for m, r in records.items() if (m._meta.model_name or "").endswith(name)]
    return next((r for r in fits if r._meta.model_name == name), fits[0] if len(fits) == 1 else None)


@dataclass
class Walk:
    """What is walked: A's records, and optionally only the pages of some models."""

    theirs: Records
    own: Records
    only: set[type[Model]] | None = None
    counts: Counter[str] = field(default_factory=Counter)

    # ---- discovery ------------------------------------------------------------------------
    def visits(self, superuser: Any, client: Client) -> list[Visit]:
        """Every request to make as a stranger, without doubles. `client` is signed in as the superuser."""
        plain = list(self.plain())
        return list(dict.fromkeys([*plain, *self.shown(client, plain), *self.of_pages(superuser)]))

    def plain(self) -> Iterator[Visit]:
        """Each pattern with A's record, read and posted to; a wrong key; and each with the stranger's own, read.

        The one that leads from a kind of record and its key to the record is filled by `of_pages`, for every kind.
        """
        for name, route, model in self.routes():
            urls = list(self.filled(route, self.theirs, model))
            assert urls or name == "view_on_site", f"nothing of A fits {route}: the walk needs a record for it"
            for url in urls:
                yield Visit("address", url)
                if name not in OWN:
                    yield Visit("post", url, (("reason", "because"), ("post", "yes")))
            for url in self.filled(route, self.own, model):
                yield Visit("own page", url)
            if "object_id" in route:
                for wrong in ("x", "9" * 24):
                    yield Visit("error page", re.sub(r"<[^>]+>", wrong, route))

    def routes(self) -> Iterator[tuple[str, str, type[Model] | None]]:
        for route, pattern in patterns():
            model = model_of(route)
            if pattern.name not in OWN and "(?P<url>" not in route and self._wanted(model):
                yield pattern.name or "", route, model

    def _wanted(self, model: type[Model] | None) -> bool:
        return self.only is None or model in self.only

    def filled(self, route: str, records: Records, model: type[Model] | None) -> Iterator[str]:
        """The route with keys of these records; nothing where the stranger has no such record."""
        if re.search(r"[\^$(\\]", route):
            yield from (f"/admin/{label}/" for label in {m._meta.app_label for m in admin.site._registry})
            return
        values = []
        for name in re.findall(r"<(?:\w+:)?(\w+)>", route):
            record = records.get(model) if model and name == "object_id" else _named(name[:-3], records)
            if record is None and name.endswith(("_id", "_pk")):
                return
            values.append(str(record.pk) if record is not None else WORDS.get(name, "csv"))
        yield re.sub(r"<[^>]+>", lambda _m: values.pop(0), route)

    def shown(self, superuser: Client, plain: Iterable[Visit]) -> Iterator[Visit]:
        """Links and forms on the pages a superuser sees of A."""
        for visit in plain:
            if visit.data is not None or visit.kind != "address":
                continue
            try:
                answer = superuser.get(visit.url)
            except ValueError:  # a page of its own making that cannot read such a key
                continue
            if answer.status_code != 200 or answer.streaming or "text/html" not in answer.get("Content-Type", ""):
                continue
            page = _Forms()
            page.feed(answer.content.decode())
            yield from self._of_page(visit.url, page)

    def _of_page(self, base: str, page: _Forms) -> Iterator[Visit]:
        for link in page.links:
            if url := self._inside(base, link):
                yield Visit("link", url)
        for action, method, values in page.forms:
            url = self._inside(base, action or base)
            if url and method == "post":
                sent = [(n, v) for n, v in values if n != "csrfmiddlewaretoken"]
                yield Visit("form", url, tuple(sent))
            elif url:
                yield Visit("link", url)

    def _inside(self, base: str, link: str) -> str:
        """The address within the admin that a link leads to; empty for others, and for what is one's own."""
        parts = urlsplit(urljoin(base, link))
        if parts.netloc or not parts.path.startswith("/admin/") or parts.path.startswith(_OWN_PATHS):
            return ""
        if self.only is not None and model_of(parts.path) not in self.only:
            return ""
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def of_pages(self, superuser: Any) -> Iterator[Visit]:
        """Search, order, popups, dates, bulk actions and choices of every registered page."""
        request = RequestFactory().get("/")
        request.user = superuser
        for model, page in admin.site._registry.items():
            if not self._wanted(model) or model not in self.theirs:
                continue
            base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            key = str(self.theirs[model].pk)
            kind = ContentType.objects.get_for_model(model)
            yield Visit("address", f"/admin/r/{kind.pk}/{key}/")
            for query in self._queries(key, page):
                yield Visit("list", f"{base}?{query}")
            for action in page.get_actions(request):
                chosen = (("action", action), ("_selected_action", key), ("index", "0"))
                yield Visit("action", base, chosen)
                yield Visit("action", base, (*chosen, ("select_across", "1"), ("post", "yes")))
            yield from self._choices(model)

    def _queries(self, key: str, page: Any) -> Iterator[str]:
        yield from ("q=ALPHA", "q=a", "o=1", "o=-1", "all=", "p=1", "_popup=1", "_to_field=id", "_facets=True", "e=1")
        yield from (f"id__exact={key}", f"pk={key}", f"_changelist_filters=id%3D{key}")
        if page.date_hierarchy:
            yield from (f"{page.date_hierarchy}__year={year}" for year in range(2020, 2031))
        for known in self.theirs.values():
            name = known._meta.model_name
            if name in ("merchant", "app", "paymentaccount"):
                yield from (f"{name}={known.pk}", f"{name}__id__exact={known.pk}")

    def _choices(self, model: type[Model]) -> Iterator[Visit]:
        label, name = model._meta.app_label, model._meta.model_name
        for fk in model._meta.get_fields():
            if fk.is_relation and fk.concrete:
                for term in ("", "ALPHA"):
                    yield Visit(
                        "choices",
                        f"/admin/autocomplete/?term={term}&app_label={label}&model_name={name}&field_name={fk.name}",
                    )
        for query in ("s=ALPHA", "s=a", "s=command:ALPHA"):
            yield Visit("choices", f"/admin/search/?{query}")

    # ---- walking --------------------------------------------------------------------------
    def leaks(self, stranger: Client, visits: Iterable[Visit], marks: Iterable[str]) -> list[str]:
        """What was answered of A, by address. A server error counts as one, too."""
        found, known = [], list(marks)
        stranger.raise_request_exception = False
        refused: Counter[str] = Counter()
        for visit in visits:
            place = visit.url.partition("?")[0]
            if visit.kind == "list" and refused[place] > 2:
                continue  # no list at all: its further filters are the same refusal
            self.counts[visit.kind] += 1
            form = _as_form(visit.data or ())
            answer = stranger.get(visit.url) if visit.data is None else stranger.post(visit.url, form)
            refused[place] += visit.kind == "list" and answer.status_code == 403
            sent, text = f"{visit.url} {visit.data}", _readable(answer)
            if answer.status_code >= 500:
                found.append(f"{answer.status_code} {visit}")
            found += [f"{mark} in {visit}" for mark in known if mark in text and mark not in sent]
        return found


def _as_form(values: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    form: dict[str, list[str]] = {}
    for name, value in values:
        form.setdefault(name, []).append(value)
    return form


def _readable(answer: Any) -> str:
    """Everything an answer says: headers, messages for the next page, text, files, the parts of packed ones."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    told = getattr(answer.wsgi_request, "_messages", None)
    texts = [str(dict(answer.items())), *(str(message) for message in getattr(told, "_queued_messages", ()))]
    if body[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            texts += [packed.read(name).decode(errors="replace") for name in packed.namelist()]
    return "\n".join([*texts, body.decode(errors="replace")])


def snapshot(ours: Iterable[str]) -> dict[tuple[str, Any], dict[str, Any]]:
    """Every row of these apps, by model and key."""
    return {
        (model._meta.label, _key(model, row)): row
        for label in ours
        for model in apps.get_app_config(label).get_models()
        for row in model._base_manager.values()
    }


def _key(model: type[Model], row: dict[str, Any]) -> Any:
    """As `record.pk` says it."""
    parts = tuple(row[part.attname] for part in model._meta.pk_fields)  # type: ignore[attr-defined]
    return parts if len(parts) > 1 else parts[0]
