"""Every role has its own menu and overview; everything in it opens, and what is not in it does not."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client

from merchants.models import Role, User
from merchants.roles import ROLE_PERMISSIONS
from paycenter.unfold import GROUPS
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in

MENU = {str(item["link"]): item.get("model") for group in GROUPS for item in group["items"]}


def person(role: str, world: World) -> User:
    tenant = {"owner": "merchant", "merchant": "merchant", "app": "app"}.get(role)
    return make_staff(role, **({tenant: getattr(world, tenant)} if tenant else {}))  # type: ignore[arg-type]


def shown(client: Client) -> list[str]:
    """The menu's addresses in the order of the page."""
    page = client.get("/admin/", follow=True).content.decode()
    sidebar = page[page.index('id="nav-sidebar"') : page.index("</nav>") if "</nav>" in page else len(page)]
    return sorted((url for url in MENU if f'href="{url}"' in sidebar), key=sidebar.index)


@pytest.mark.parametrize("role", Role.values)
def test_the_menu_holds_what_the_role_may_see_and_all_of_it_opens(world: World, role: str) -> None:
    client = signed_in(person(role, world))
    menu = shown(client)
    for url, model in MENU.items():
        opens = client.get(url, follow=True).status_code == 200
        if model is None:  # the overview and the dashboards, each for its own roles
            assert opens or url not in menu, url
            continue
        may = model.replace(".", ".view_") in ROLE_PERMISSIONS[role]
        assert (url in menu, opens) == (may, may), url


# What the menu of each role begins with, and who finds which figures on the overview.
FIRST = {
    "operator": "merchants/merchant", "owner": "merchants/user", "merchant": "trades/trade", "app": "merchants/app",
    "finance": "trades/trade", "service": "trades/trade", "auditor": "paycenter/exchange",
}  # fmt: skip
CENTER = {"operator", "finance", "service", "auditor"}
FIGURES = {
    "Paid today": {*Role.values}, "Open abnormal payments": {*Role.values},
    "Open differences": {*Role.values} - {"app"}, "Notifications given up": {*CENTER, "app"}, "Open alerts": CENTER,
    "Certificates expiring": {"operator", "owner", "merchant", "finance", "auditor"},
    "Refunds to approve": {"finance"}, "Payouts to check": {"finance"}, "Applications to review": {"operator"},
    "Changes to confirm": {"operator", "finance"}, "Waiting to be confirmed": {"owner", "app", "auditor"},
}  # fmt: skip


def test_each_role_begins_with_its_own_work(world: World) -> None:
    found: dict[str, set[str]] = {title: set() for title in FIGURES}
    for role, first in FIRST.items():
        client = signed_in(person(role, world))
        assert next(url for url in shown(client) if MENU[url]) == f"/admin/{first}/", role
        page = client.get("/admin/").content.decode()
        cards = dict(re.findall(r'<a href="([^"]*)" class="pc-card[^>]*>.*?<span class="pc-sub">([^<]*)', page))
        for link, title in cards.items():
            found.setdefault(title, set()).add(role)
            assert title != "Waiting to be confirmed" or client.get(unescape(link)).status_code == 200
    assert set(FIRST) == set(Role.values)
    assert {title: found[title] for title in FIGURES} == FIGURES


def test_groups_and_permissions_of_single_people_give_nothing(db: None) -> None:
    auditor = make_staff("auditor")
    every = Permission.objects.all()
    group = Group.objects.create(name="all")
    group.permissions.set(every)
    auditor.groups.add(group)
    auditor.user_permissions.set(every)
    found = User.objects.get(pk=auditor.pk)
    assert found.get_all_permissions() == ROLE_PERMISSIONS["auditor"]
    assert not [p for p in ROLE_PERMISSIONS["auditor"] if ".view_" not in p]
    assert not admin.site.is_registered(Group)
