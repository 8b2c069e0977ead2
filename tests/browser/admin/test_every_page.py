"""Every page of the admin that a role may open, in a real browser: nothing broken, lost or unreadable.

The addresses are those of the URL patterns with records in them, so a new page is opened by itself. Each picture is
kept in var/screenshots/ROLE. Roles of a group go through the same records: of the first every page is opened in the
browser, of the others those with a kind of element on them that was not seen yet. axe looks at a page for the same
reason. `make pages` (PAYCENTER_PAGES=all) leaves nothing out: every role opens every page in light and in dark, axe
looks at each at a desk and on a phone, and the phone's pictures are kept, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.conf import settings as django_settings
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from merchants.models import Role, User
from paycenter.models import ListExport
from paycenter.staff.tenancy import TenantAdmin
from refunds.models import Payout
from tests.browser import chromium
from tests.browser.admin.believable import furnish
from tests.conftest import World
from tests.fakes import bills
from tests.fakes.admin_pages import addresses
from tests.fakes.staff import make_staff, signed_in

pytestmark = pytest.mark.browser

PICTURES = Path(django_settings.BASE_DIR) / "var" / "screenshots"
WHOLE = os.environ.get("PAYCENTER_PAGES") == "all"
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Leaving, and what only answers a script.
NO_PAGES = {"logout", "jsi18n", "set_language", "autocomplete", "view_on_site", "search"}
# Who goes through the pages of whom, in which colours; each role with its language.
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "center": ("light", {Role.OPERATOR: "en", Role.AUDITOR: "zh-CN"}),
    "money": ("dark", {Role.FINANCE: "zh-CN", Role.SERVICE: "en"}),
    "merchant": ("light", {Role.OWNER: "zh-CN", Role.MERCHANT: "en", Role.APP: "zh-CN"}),
}  # fmt: skip
AXE = """axe.run(document, {resultTypes: ['violations']}).then(r => r.violations
  .filter(v => ['serious', 'critical'].includes(v.impact))
  .map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' | ')))"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

APPS = {model._meta.app_label for model in admin.site._registry}


@pytest.fixture
def furnished(committed_world: World, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    settings.VAR_DIR = tmp_path
    bills.install(monkeypatch)
    furnish(committed_world)
    return committed_world


@pytest.mark.timeout(3600 if WHOLE else 900)  # hundreds of pages
@pytest.mark.parametrize("scheme", ["light", "dark"] if WHOLE else ["usual"])
@pytest.mark.parametrize("group", GROUPS)
def test_every_page_of_every_role(
    furnished: World, live_server: Any, chrome: Any, group: str, scheme: str, record_property: Any
) -> None:
    usual, roles = GROUPS[group]
    scheme = usual if scheme == "usual" else scheme
    clients = {role: signed_in(staff_of(role, furnished)) for role in roles}
    bare = [model.__name__ for model in admin.site._registry if not model._default_manager.exists()]
    assert bare == [], "give `furnish` a record of each"
    found: list[str] = []
    seen: set[str] = set()
    no_pages: set[str] = set()
    for role, client in clients.items():
        context = context_for(client, chrome, live_server.url, roles[role], scheme)
        visit = Visit(context.new_page(), live_server.url, PICTURES / f"{role}-{scheme}", seen)
        opens_all = WHOLE or role == next(iter(roles))
        wrong = gone_through(client, furnished, visit, no_pages, opens_all=opens_all)
        found += [f"{role} {what}" for what in wrong]
        record_property("summary", f"{role}, {scheme}: {visit.looked} pages opened, axe looked {visit.axed} times, "
                                   f"{len(wrong)} findings")  # fmt: skip
        chrome.put_away([context])
    assert found == []


def context_for(client: Client, chrome: Any, base: str, language: str, scheme: str) -> Any:
    """A browser that is signed in as the client is."""
    context = chrome.new_context(locale=language, color_scheme=scheme, viewport=DESK)
    name = django_settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "url": base, "value": client.cookies[name].value}])
    return context


def gone_through(client: Client, world: World, visit: Visit, no_pages: set[str], *, opens_all: bool) -> list[str]:
    """What is wrong on the pages of a role, and behind the links on them."""
    pages, links = [], set[str]()
    for path, html in pages_of(client, world, no_pages):
        pages.append(path)
        links |= links_in(path, html)
        new = kinds_of(html) - visit.seen
        if opens_all or new:
            visit.look(path, with_axe=WHOLE or bool(new))
            visit.seen |= new
    assert len(pages) > 10
    lost = dead(client, links - set(pages))
    return visit.found + [f"{path}: a link to it answers {status}" for path, status in lost]


class _Kinds(HTMLParser):
    """Each kind of element with what it stands in: tag, classes, and which attributes it has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._open: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = f"{tag}.{'.'.join(sorted((dict(attrs).get('class') or '').split()))}"
        names = sorted(name for name, _value in attrs if not re.match("x-|:|@", name))
        self.found.add(f"{self._open[-1][1] if self._open else ''}>{kind}[{','.join(names)}]")
        if tag not in _VOID:
            self._open.append((tag, kind))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass


_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)


def kinds_of(html: str) -> set[str]:
    parser = _Kinds()
    parser.feed(html)
    return parser.found


def staff_of(role: str, world: World) -> User:
    """Somebody of a role, of the furnished merchant or app where the role belongs to one."""
    merchant = world.merchant if role in (Role.OWNER, Role.MERCHANT) else None
    person = make_staff(role, merchant=merchant, app=world.app if role == Role.APP else None)
    ListExport.objects.create(owner=person, page="trades.trade", query="state=paid", kind="csv", language="en",
                              words=[["state", "paid"]], created_at=timezone.now())  # fmt: skip
    return person


def shown_records(user: User) -> dict[type[Model], list[Model]]:
    """Of each model that this person sees, one record; for finance, who works on them, one of every state."""
    shown = {}
    for model, page in admin.site._registry.items():
        assert isinstance(page, TenantAdmin)
        by_state: dict[str, Model] = {}
        for record in page.scope(user, model._default_manager.order_by("-pk"))[:60]:
            by_state.setdefault(str(getattr(record, "state", "")) if user.role == Role.FINANCE else "", record)
        shown[model] = list(by_state.values())
    return shown


def pages_of(client: Client, world: World, no_pages: set[str]) -> Iterator[tuple[str, str]]:
    """The addresses that answer this person with a page, and that page. `no_pages` collects sorts that are none for
    anybody: what is only posted to, and files."""
    user = User.objects.get(pk=client.session["_auth_user_id"])
    words = {"app_pk": world.app.pk, "merchant_pk": world.merchant.pk,
             "payout_id": Payout.objects.values_list("pk", flat=True).first() or 1}  # fmt: skip
    known = set()
    for path in sorted(set(addresses(shown_records(user), words, without=NO_PAGES))):
        sort = sort_of(path)
        if sort in known or sort in no_pages:
            continue
        answer = client.get(path)
        assert answer.status_code < 500, path
        if answer.status_code == 405 or (answer.status_code == 200 and not _is_page(answer)):
            no_pages.add(sort)
        elif answer.status_code == 200:
            known.add(sort)
            yield path, answer.content.decode()


def _is_page(answer: Any) -> bool:
    return bool(answer["Content-Type"].startswith("text/html"))


def sort_of(path: str) -> str:
    """Pages of one sort are opened once; a record's own page once in every state."""
    if path.endswith("/change/"):
        return path
    return "app" if path.count("/") == 3 and path.split("/")[2] in APPS else re.sub(r"/\d+/", "/N/", path)


def links_in(path: str, html: str) -> set[str]:
    """Where the page leads inside the admin."""
    found = {urlsplit(urljoin(path, unescape(link))) for link in re.findall(r'<a\b[^>]*?\shref="([^"]*)"', html)}
    return {to.path for to in found if not to.netloc and to.path.startswith("/admin/") and "/logout/" not in to.path}


def dead(client: Client, links: set[str]) -> Iterator[tuple[str, int]]:
    """Links that lead nowhere for the person who was shown them; of each sort one."""
    for link in {re.sub(r"/\d+/", "/N/", link): link for link in sorted(links)}.values():
        status = client.get(link).status_code
        if status >= 400:
            yield link, status


class Visit:
    """One person's browser going through the pages; `found` is everything that is wrong."""

    def __init__(self, page: Any, base: str, pictures: Path, seen: set[str]) -> None:
        self.page, self.base, self.pictures, self.seen = page, base, pictures, seen
        self.found: list[str] = []
        self.path, self.axe, self.looked, self.axed = "", chromium.axe_source(), 0, 0
        page.set_default_timeout(15_000)
        page.on("console", lambda m: self._add(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda e: self._add(f"script: {e}"))
        page.on("response", lambda r: self._add(f"{r.status} {r.url}") if r.status >= 400 else None)

    def _add(self, what: str) -> None:
        self.found.append(f"{self.path}: {what}")

    def look(self, path: str, *, with_axe: bool) -> None:
        """At a desk, then on a phone."""
        self.path, page = path, self.page
        self.looked += 1
        page.set_viewport_size(DESK)
        page.goto(self.base + path, wait_until="load")
        self._picture(path, "")
        if with_axe:
            page.evaluate(self.axe)
            self._ask_axe()
        page.set_viewport_size(PHONE)
        if WHOLE:
            self._picture(path, "-phone")
            self._ask_axe()
        wide = page.evaluate(TOO_WIDE)
        if wide > 1:
            self._add(f"{wide}px wider than a phone")

    def _ask_axe(self) -> None:
        self.axed += 1
        for violation in self.page.evaluate(AXE):
            self._add(violation[:600])

    def _picture(self, path: str, suffix: str) -> None:
        name = re.sub(r"\W+", "-", path.removeprefix("/admin/")).strip("-") or "home"
        self.page.screenshot(path=self.pictures / f"{name}{suffix}.png", full_page=True)
