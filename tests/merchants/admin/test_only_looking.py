"""Who only looks is called to do nothing: no page of an auditor has a button that is not theirs to press."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.urls import NoReverseMatch, reverse

from merchants.models import Role, User
from merchants.roles import ROLE_PERMISSIONS, only_looks
from tests.fakes.staff import make_staff, signed_in
from tests.merchants.admin.tenants import Tenants
from tests.merchants.admin.tenants import tenants as tenants
from trades.models import Trade

pytestmark = pytest.mark.usefixtures("in_english")
# Signing out, the language, saved filters and exports are everybody's own.
OWN = ("/admin/logout/", "/admin/language/", "/views/", "/exports/start/", "/admin/paycenter/listexport/")


class _Calls(HTMLParser):
    """What a page offers to send: each button of a form that is posted, and each that opens a dialog."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._form: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = named.get("action", "") if named.get("method") == "post" else None
        elif tag == "button" and named.get("data-dialog"):
            self.found.append(named["data-dialog"])
        elif tag in ("button", "input") and named.get("type") == "submit" and self._form is not None:
            self.found.append(self._form or "the page itself")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


def calls_on(page: str) -> list[str]:
    parser = _Calls()
    parser.feed(page)
    return [call for call in parser.found if not any(own in call for own in OWN)]


def test_only_auditors_only_look() -> None:
    assert [role for role in ROLE_PERMISSIONS if only_looks(User(role=role))] == [Role.AUDITOR]
    assert not only_looks(User(role=Role.AUDITOR, is_superuser=True))


def test_an_auditors_pages_call_to_nothing(tenants: Tenants) -> None:
    client = signed_in(make_staff("auditor"))
    found: dict[str, list[str]] = {}
    for model, record in tenants.records.items():
        try:
            url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[record.pk])
        except NoReverseMatch:
            continue
        answer = client.get(url)
        if answer.status_code == 200:
            found[url] = calls_on(answer.content.decode())
    assert len(found) > 25
    assert {url: calls for url, calls in found.items() if calls} == {}
    abnormal_money_is_decided_on_by_some(f"/admin/trades/trade/{tenants.records[Trade].pk}/change/")


def abnormal_money_is_decided_on_by_some(url: str) -> None:
    """The others look at it."""
    words = {"finance": "Decide on the abnormal money", "operator": "Look at the abnormal money",
             "auditor": "Look at the abnormal money"}  # fmt: skip
    for role, said in words.items():
        page = signed_in(make_staff(role, username=f"the {role}")).get(url).content.decode()
        assert [word for word in sorted(set(words.values())) if word in page] == [said], role
