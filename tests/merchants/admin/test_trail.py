"""Whatever staff change through the admin leaves an event with who, from where, before and after.

The walk opens every address of the admin, posts every form it finds there with its values changed, and compares what
was written with what was told. Nothing is listed by hand, so a new page is walked by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from merchants.models import App
from paycenter.models import Event
from paycenter.trail import KEY
from tests.conftest import World
from tests.fakes.pages import Form, post_forms
from tests.fakes.staff import PASSWORD, make_staff, signed_in
from tests.merchants.admin.tenants import Tenants, tenants, urls_of  # noqa: F401

ADDRESS = "203.0.113.7"
# Written by every request or by the sign-in itself; no record of the center.
OWN_TABLES = ("django_session", "django_admin_log", "axes_", "otp_", "paycenter_event", "paycenter_exchange",
              "paycenter_staffsession", "paycenter_knownaddress")  # fmt: skip
FORMLESS = ("/history/", "/delete/", "/jsi18n/", "/autocomplete/")
SKIPPED = ("/admin/logout/", "/admin/language/", "/admin/login/")


class Writes:
    """An execute wrapper that notes each table written, apart from those of the machinery."""

    def __init__(self) -> None:
        self.inserted: set[str] = set()
        self.changed: set[str] = set()

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        words = sql.split(None, 3)
        verb = words[0].upper() if words else ""
        if verb in ("INSERT", "UPDATE", "DELETE"):
            table = (words[1] if verb == "UPDATE" else words[2]).strip('"')
            if not table.startswith(OWN_TABLES) and context["cursor"].rowcount != 0:
                (self.inserted if verb == "INSERT" else self.changed).add(table)
        return result


def variants(form: Form) -> Iterator[dict[str, list[str]]]:
    """As a person would fill it: with words everywhere, then each with one button, then with a tick the other way."""
    filled = {name: list(values) for name, values in form.values.items()}
    for name in form.editable:
        old = filled.get(name, [""])[0]
        filled[name] = [str(int(old) + 1) if old.isdigit() else f"{old}x" if old else "because"]
    yield {**filled}
    for name, value in form.buttons:
        yield {**filled, name: [value]}
    untouched = {name: list(values) for name, values in form.values.items()}
    for name, value in form.ticks[:1]:
        yield {**untouched, name: [] if value in untouched.get(name, []) else [value]}


def forms_of(client: Client, urls: list[str]) -> Iterator[tuple[str, Form]]:
    seen = set()
    for url in urls:
        if url.endswith(FORMLESS):
            continue
        answer = client.get(url)
        if answer.status_code != 200 or "text/html" not in answer.headers["Content-Type"]:
            continue
        for form in post_forms(answer.content.decode()):
            action = form.action or url
            key = (action, tuple(sorted(form.values)), tuple(form.buttons))
            if action.startswith("/admin/") and not action.startswith(SKIPPED) and key not in seen:
                seen.add(key)
                yield action, form


def told(writes: Writes, after: int) -> str:
    """What is missing of the event; empty where all is there."""
    events = list(Event.objects.filter(pk__gt=after, actor="staff:boss"))
    trails = [(event, {**event.detail, **event.detail.get(KEY, {})}) for event in events]
    if not trails:
        return "no event names the actor"
    if any(trail.get("address") != ADDRESS for _event, trail in trails):
        return "no address"
    if any("after" in trail or event.from_state or event.to_state for event, trail in trails):
        known = any("before" in trail or event.from_state for event, trail in trails)
        return "" if known or writes.inserted else "nothing says what it was before"
    return "nothing says what it is now"


@pytest.mark.timeout(300)  # some 250 requests
def test_every_change_through_the_admin_is_told(tenants: Tenants) -> None:  # noqa: F811
    client = signed_in(make_staff("operator", username="boss", is_superuser=True))
    client.defaults["REMOTE_ADDR"] = ADDRESS
    client.raise_request_exception = False  # the records are put together by hand, and the database refuses some acts
    changed, untold = set(), []
    for action, form in list(forms_of(client, urls_of(tenants))):
        for values in variants(form):
            last = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
            writes, mark = Writes(), transaction.savepoint()
            with connection.execute_wrapper(writes):
                answer = client.post(action, {n: v if len(v) != 1 else v[0] for n, v in values.items() if v})
            if answer.status_code < 500 and (writes.inserted or writes.changed):
                changed.add(action)
                if missing := told(writes, last):
                    untold.append((action, answer.status_code, missing, writes.inserted, writes.changed))
            transaction.savepoint_rollback(mark)
    assert untold == [], "\n".join(map(str, untold))
    assert len(changed) > 25, sorted(changed)


def test_signing_in_out_and_failing_to_are_told(world: World, client: Client) -> None:
    make_staff("operator", username="ann")
    client.defaults["REMOTE_ADDR"] = ADDRESS
    client.post("/admin/login/", {"username": "ann", "password": "wrong"})
    client.post("/admin/login/", {"username": "hunter2-typed-here", "password": "x"})
    client.post("/admin/login/", {"username": "ann", "password": PASSWORD})
    client.post("/admin/logout/")
    events = Event.objects.filter(object_type="user").order_by("pk")
    found = [(e.type, e.actor, e.detail[KEY]["address"]) for e in events]
    assert found == [
        ("user.sign_in_failed", "staff:ann", ADDRESS), ("user.sign_in_failed", "staff:?", ADDRESS),
        ("user.signed_in", "staff:ann", ADDRESS), ("user.signed_out", "staff:ann", ADDRESS),
    ]  # fmt: skip
    assert "hunter2" not in str(list(Event.objects.values()))


def test_secrets_are_hidden_and_people_masked_before_and_after(world: World) -> None:
    client = signed_in(make_staff("operator", username="boss", is_superuser=True))
    App.objects.filter(pk=world.app.pk).update(webhook_secret="whsec_very-secret")
    word = "another-long-phrase-2"
    values = {"username": "eve", "role": "auditor", "password1": word, "password2": word}
    client.post("/admin/merchants/user/add/", values)
    page = f"/admin/merchants/merchant/{world.merchant.pk}/change/"
    form = next(f for f in post_forms(client.get(page).content.decode()) if "contact_phone" in f.values)
    values = {name: value[0] for name, value in form.values.items()}
    client.post(form.action or page, {**values, "contact_phone": "13812345678"})
    text = str(list(Event.objects.values("detail")))
    assert "5678" in text
    assert "13812345678" not in text
    assert "another-long-phrase" not in text
    assert "md5$" not in text
    assert "whsec" not in text


def test_a_download_is_told(world: World) -> None:
    client = signed_in(make_staff("finance"))
    page = f"{reverse('admin:dashboard_finance')}?csv=figures"
    assert client.get(page).status_code == 200
    event = Event.objects.get(type="staff.downloaded")
    assert (event.actor, event.detail["path"]) == ("staff:finance", page)
