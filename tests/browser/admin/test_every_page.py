"""Every page of the admin that a role may open, once, in a real browser: nothing broken, lost or unreadable.

The addresses are those of the URL patterns with records in them, so a new page is opened by itself. Each picture is
kept in var/screenshots/ROLE; PAYCENTER_PICTURES=phone keeps the phone's as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Leaving, and what only answers a script.
NO_PAGES = {"logout", "jsi18n", "set_language", "autocomplete", "view_on_site", "search"}
LOOKS = {
    Role.OPERATOR: ("en", "light"), Role.FINANCE: ("zh-CN", "dark"), Role.SERVICE: ("zh-CN", "light"),
    Role.AUDITOR: ("en", "dark"), Role.OWNER: ("en", "light"), Role.MERCHANT: ("zh-CN", "dark"),
    Role.APP: ("zh-CN", "light"),
}  # fmt: skip
# These see the others' pages with fewer buttons: opened for errors and width, looked at once is enough.
ONLY_OPENED = {Role.SERVICE, Role.AUDITOR, Role.MERCHANT}
AXE = """axe.run(document, {resultTypes: ['violations']}).then(r => r.violations
  .filter(v => ['serious', 'critical'].includes(v.impact))
  .map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' | ')))"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LINKS = "[...document.querySelectorAll('a[href]')].map(a => a.href)"


APPS = {model._meta.app_label for model in admin.site._registry}


@pytest.fixture
def furnished(committed_world: World, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    settings.VAR_DIR = tmp_path
    bills.install(monkeypatch)
    furnish(committed_world)
    return committed_world


@pytest.mark.timeout(600)  # a hundred pages in one test
@pytest.mark.parametrize("role", Role.values)
def test_every_page_of_a_role(furnished: World, live_server: Any, chrome: Any, role: str) -> None:
    client = signed_in(staff_of(role, furnished))
    bare = [model.__name__ for model in admin.site._registry if not model._default_manager.exists()]
    assert bare == [], "give `furnish` a record of each"
    pages = list(pages_of(client, furnished))
    assert len(pages) > 10
    language, scheme = LOOKS.get(Role(role), ("en", "light"))
    context = chrome.new_context(locale=language, color_scheme=scheme, viewport=DESK)
    context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "url": live_server.url,
                          "value": client.cookies[django_settings.SESSION_COOKIE_NAME].value}])  # fmt: skip
    visit = Visit(context.new_page(), live_server.url, PICTURES / role, closely=role not in ONLY_OPENED)
    for path in pages:
        visit.look(path)
    chrome.put_away([context])
    visit.found += [f"{path}: a link to it answers {status}" for path, status in dead(client, visit.links - set(pages))]
    assert visit.found == []


def staff_of(role: str, world: World) -> User:
    """Somebody of a role, of the furnished merchant or app where the role belongs to one."""
    merchant = world.merchant if role in (Role.OWNER, Role.MERCHANT) else None
    person = make_staff(role, merchant=merchant, app=world.app if role == Role.APP else None)
    ListExport.objects.create(owner=person, page="trades.trade", query="state=paid", kind="csv", language="en",
                              created_at=timezone.now())  # fmt: skip
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


def pages_of(client: Client, world: World) -> Iterator[str]:
    """The addresses that answer this person with a page. Each without a record in it is a defect of `furnish`."""
    user = User.objects.get(pk=client.session["_auth_user_id"])
    words = {"app_pk": world.app.pk, "merchant_pk": world.merchant.pk,
             "payout_id": Payout.objects.values_list("pk", flat=True).first() or 1}  # fmt: skip
    known = set()
    for path in sorted(set(addresses(shown_records(user), words, without=NO_PAGES))):
        sort = sort_of(path)
        if sort in known:
            continue
        answer = client.get(path)
        assert answer.status_code < 500, path
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            known.add(sort)
            yield path


def sort_of(path: str) -> str:
    """Pages of one sort are opened once; a record's own page once in every state."""
    if path.endswith("/change/"):
        return path
    return "app" if path.count("/") == 3 and path.split("/")[2] in APPS else re.sub(r"/\d+/", "/N/", path)


def dead(client: Client, links: set[str]) -> Iterator[tuple[str, int]]:
    """Links that lead nowhere for the person who was shown them; of each sort one."""
    for link in {re.sub(r"/\d+/", "/N/", link): link for link in sorted(links)}.values():
        status = client.get(link).status_code
        if status >= 400:
            yield link, status


class Visit:
    """One person's browser going through the pages; `found` is everything that is wrong, `links` where they lead."""

    def __init__(self, page: Any, base: str, pictures: Path, *, closely: bool) -> None:
        self.page, self.base, self.pictures, self.closely = page, base, pictures, closely
        self.found: list[str] = []
        self.links: set[str] = set()
        self.path = ""
        page.set_default_timeout(15_000)
        if closely:
            page.add_init_script(chromium.axe_source())
        page.on("console", lambda m: self._add(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda e: self._add(f"script: {e}"))
        page.on("response", lambda r: self._add(f"{r.status} {r.url}") if r.status >= 400 else None)

    def _add(self, what: str) -> None:
        self.found.append(f"{self.path}: {what}")

    def look(self, path: str) -> None:
        """At a desk, then on a phone."""
        self.path, page = path, self.page
        page.set_viewport_size(DESK)
        page.goto(self.base + path, wait_until="load")
        if self.closely:
            self._picture(path, "")
            for violation in page.evaluate(AXE):
                self._add(violation[:600])
        self.links |= {urlsplit(link).path for link in page.evaluate(LINKS) if self._inside(link)}
        page.set_viewport_size(PHONE)
        if os.environ.get("PAYCENTER_PICTURES") == "phone":
            self._picture(path, "-phone")
        wide = page.evaluate(TOO_WIDE)
        if wide > 1:
            self._add(f"{wide}px wider than a phone")

    def _inside(self, link: str) -> bool:
        return link.startswith(f"{self.base}/admin/") and not link.endswith("/logout/")

    def _picture(self, path: str, suffix: str) -> None:
        name = re.sub(r"\W+", "-", path.removeprefix("/admin/")).strip("-") or "home"
        self.page.screenshot(path=self.pictures / f"{name}{suffix}.png", full_page=True)
