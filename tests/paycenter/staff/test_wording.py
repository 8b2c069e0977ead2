"""Both languages are complete, and numbers, days and policies are what they say."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import translation
from django.utils.translation.template import templatize

from merchants.admin.states import BUTTONS
from merchants.models import ChangeRequest, Role
from merchants.roles import ROLE_PERMISSIONS
from notifications.kinds import KINDS
from paycenter.csp import STAFF_POLICY, ContentSecurityPolicyMiddleware, content_security_policy
from paycenter.staff.display import copyable, money
from paycenter.staff.lists import day_bounds, parse_day
from paycenter.staff.words import EVENT_WORDS, OPERATION_WORDS, event_word
from paycenter.unfold import GROUPS
from tests.fakes.staff import make_staff, signed_in

CATALOGUE = Path(settings.BASE_DIR) / "locale/zh_Hans/LC_MESSAGES/django.po"


def shown_words() -> list[Any]:
    groups = GROUPS
    titles = [item["title"] for group in groups for item in group["items"]]
    titles += [group["title"] for group in groups if "title" in group]
    return [*titles, *EVENT_WORDS.values(), *OPERATION_WORDS.values(),
            *(k.label for k in KINDS.values()), *(k.advice for k in KINDS.values()),
            *(b.label for b in BUTTONS), *(b.explanation for b in BUTTONS),
            *Role.labels, *ChangeRequest.Kind.labels]  # fmt: skip


def test_every_word_the_pages_show_has_chinese() -> None:
    with translation.override("zh-hans"):
        plain = [str(word) for word in shown_words() if not re.search(r"[\u4e00-\u9fff]", str(word))]
    assert plain == []


def test_no_entry_of_the_catalogue_is_empty_or_fuzzy() -> None:
    entries = [entry.strip() for entry in CATALOGUE.read_text().split("\n\n")[1:]]
    assert len(entries) > 400
    assert [e for e in entries if re.search(r'^msgstr(\[\d\])? ""(\n(?!")|\Z)', e, re.M)] == []
    assert [e for e in entries if "fuzzy" in e] == []


def test_placeholders_survive_translation() -> None:
    for entry in CATALOGUE.read_text().split("\n\n")[1:]:
        source, _sep, target = entry.partition("msgstr")
        wanted, found = (set(re.findall(r"%\(\w+\)[sd]|\{\w+\}", text)) for text in (source, target))
        assert found == wanted, entry


@pytest.mark.django_db
def test_staff_pages_come_in_the_readers_language() -> None:
    user = make_staff("operator")
    assert "今日收款" in signed_in(user, language="zh-hans").get("/admin/").content.decode()
    assert "Paid today" in signed_in(user, language="en").get("/admin/").content.decode()
    client = signed_in(user)
    client.post("/admin/language/", {"language": "zh-hans", "next": "/admin/"})
    assert "今日收款" in client.get("/admin/").content.decode()


def test_every_role_is_described_and_permits_no_deleting() -> None:
    assert set(ROLE_PERMISSIONS) == set(Role.values)
    for role, permissions in ROLE_PERMISSIONS.items():
        assert not [p for p in permissions if ".delete_" in p], role
    writes = re.compile(r"\.(add|change)_(trade|attempt|abnormalpayment|event|exchange|delivery)$")
    assert [p for permissions in ROLE_PERMISSIONS.values() for p in permissions if writes.search(p)] == []
    assert not [p for p in ROLE_PERMISSIONS[Role.AUDITOR] if ".view_" not in p]


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(128_50, "CNY", "¥128.50"), (1, "CNY", "¥0.01"), (1_234_567_89, "CNY", "¥1,234,567.89"),
     (1500, "JPY", "1,500 JPY"), (1500, "KWD", "1.500 KWD"), (None, "CNY", "–"), (0, "CNY", "¥0.00")],
)  # fmt: skip
def test_amounts_are_exact_in_every_currency(amount: int | None, currency: str, text: str) -> None:
    assert money(amount, currency) == text


def test_a_number_with_markup_in_it_stays_text() -> None:
    assert "<img" not in copyable('"><img src=x onerror=alert(1)>')


def test_an_unknown_event_shows_its_code() -> None:
    assert event_word("something.new") == "something.new"


def test_days_are_half_open_in_local_time() -> None:
    start, end = day_bounds(date(2026, 3, 1), date(2026, 3, 1))
    assert start is not None
    assert end is not None
    assert start.astimezone(UTC) == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert end.astimezone(UTC) == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert day_bounds(None, None) == (None, None)


@pytest.mark.parametrize("text", ["", None, "2026-02-30", "yesterday", "2026-1-1", "'; DROP"])
def test_what_is_no_day_is_ignored(text: str | None) -> None:
    assert parse_day(text) is None


def test_a_views_own_policy_wins_over_the_staff_one() -> None:
    @content_security_policy("default-src 'none'")
    def strict(_request: Any) -> HttpResponse:
        return HttpResponse("x")

    request = RequestFactory().get("/")
    own = ContentSecurityPolicyMiddleware(strict)(request)
    assert own["Content-Security-Policy"] == "default-src 'none'"
    other = ContentSecurityPolicyMiddleware(lambda _request: HttpResponse("x"))(request)
    assert other["Content-Security-Policy"] == STAFF_POLICY


_CALLS = {"_": 0, "gettext": 0, "gettext_lazy": 0, "gettext_noop": 0, "ngettext": 0, "ngettext_lazy": 0,
          "pgettext": 1, "pgettext_lazy": 1, "npgettext": 1}  # fmt: skip
_LITERAL = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_TEMPLATE_CALL = re.compile(rf"\b(_|n?p?gettext)\((\s*{_LITERAL}(?:\s*,\s*{_LITERAL})*)")


def of_calls(source: str) -> Iterator[str]:
    """Every literal that Python source hands to gettext; of a plural the singular, under which both stand."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        place = _CALLS.get(getattr(node.func, "id", ""))
        if place is not None and len(node.args) > place and isinstance(node.args[place], ast.Constant):
            yield str(node.args[place].value)  # type: ignore[attr-defined]


def of_template(source: str) -> Iterator[str]:
    """The same of a template, whose tags Django itself turns into calls for gettext's own extraction."""
    for name, arguments in _TEMPLATE_CALL.findall(templatize(source)):
        yield from of_calls(f"{name}({arguments})")


def spoken_strings() -> Iterator[tuple[str, str]]:
    """(file, text) of every literal handed to gettext in the product, and in the templates of staff pages.

    The payer's pages have a catalogue of their own below cashier/.
    """
    root = Path(settings.BASE_DIR)
    own_catalogue = {root / "cashier" / name for name in ("admin.py", "models.py", "apps.py")}
    packages = ("paycenter", "channels", *(app.name for app in apps.get_app_configs() if Path(app.path).parent == root))
    for package in dict.fromkeys(packages):
        for file in sorted((root / package).rglob("*.py")):
            if package != "cashier" or file in own_catalogue:
                yield from ((file.name, text) for text in of_calls(file.read_text()))
    for file in sorted((root / "templates/admin").rglob("*.html")):
        yield from ((file.name, text) for text in of_template(file.read_text()))


def test_strings_are_found_in_every_kind_of_call_and_tag() -> None:
    calls = '''_("a"); gettext("b"); ngettext("c", "cs", 2); pgettext("where", "d"); other("no"); gettext(f"{no}")'''
    assert list(of_calls(calls)) == ["a", "b", "c", "d"]
    tags = (
        """{% load i18n %}<p title="{% translate "a" %}">{% translate 'b' context "x" %}{{ _("c") }}"""
        """{% blocktranslate with n=x.y|date:"Y" %}it's ({{ n }}){% endblocktranslate %}"""
        """{% blocktranslate count n=z %}one "row"{% plural %}{{ n }} rows{% endblocktranslate %}"""
    )
    assert list(of_template(tags)) == ["a", "b", "c", "it's (%(n)s)", 'one "row"']


def test_every_string_in_the_code_is_in_the_chinese_catalogue() -> None:
    with CATALOGUE.with_suffix(".mo").open("rb") as handle:
        catalogue = gettext.GNUTranslations(handle)._catalog  # type: ignore[attr-defined]
    plain = (key[0] if isinstance(key, tuple) else key for key in catalogue)
    known = {key.rpartition("\x04")[2] for key in plain}
    found = set(spoken_strings())
    assert len(found) > 1500
    assert {"services.py", "day.html"} <= {file for file, _text in found}
    assert sorted(pair for pair in found if pair[1] not in known) == []
