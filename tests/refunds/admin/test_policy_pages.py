"""Refund policies as staff work with them: written in money, asked for with a reason, confirmed by another."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from merchants.models import ChangeRequest
from refunds.models import RefundPolicy
from refunds.policies import policy_for
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in

LIST = "/admin/refunds/refundpolicy/"
FORM = {
    "automatic_up_to": "1,234.50", "one_approval_up_to": "20000", "daily_ceiling": "", "approver_roles": ["finance"],
    "approval_hours": "48", "window_days": "180", "spacing_seconds": "60", "late_payment": "revive",
    "duplicate_payment": "refund", "wrong_payment": "ask", "abnormal_automatic_up_to": "500",
    "reason": "small ones cost more than they are worth",
}  # fmt: skip


@pytest.fixture
def finance(db: None) -> Client:
    return signed_in(make_staff("finance"))


@pytest.fixture
def second(db: None) -> Client:
    return signed_in(make_staff("operator"))


def pair(world: World) -> str:
    return f"{LIST}pair/{world.app.pk}/{world.merchant.pk}/"


def text(answer: Any) -> str:
    return answer.content.decode()


def errors(answer: Any) -> list[str]:
    found = re.findall(r'<ul class="errorlist[^>]*>(.*?)</ul>', text(answer), re.S)
    return [re.sub(r"<[^>]+>", "", item).strip() for item in found]


def test_a_pair_without_a_policy_shows_the_default_that_applies(finance: Client, world: World) -> None:
    for page in (text(finance.get(LIST)), text(finance.get(pair(world)))):
        assert "never" in page
        assert "¥10,000.00" in page
        assert "default" in page
        assert "own" not in re.findall(r'pc-chip good">([^<]*)<', page)


def test_the_list_shows_each_currency_and_finds_by_name_or_number(finance: Client, world: World) -> None:
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, automatic_up_to=12_345)
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, currency="JPY", automatic_up_to=500)
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, currency="KWD", automatic_up_to=1500)
    page = text(finance.get(LIST))
    for shown in ("¥123.45", "500 JPY", "1.500 KWD"):
        assert shown in page
    assert world.merchant.merchant_no in text(finance.get(LIST, {"q": world.merchant.merchant_no}))
    assert world.merchant.merchant_no not in text(finance.get(LIST, {"q": "nobody of this name"}))


def test_the_list_costs_the_same_however_many_pairs(finance: Client, world: World) -> None:
    finance.get(LIST)
    with CaptureQueriesContext(connection) as few:
        finance.get(LIST)
    for _ in range(5):
        merchant = factories.make_merchant()
        RefundPolicy.objects.create(app=factories.make_app(merchant), merchant=merchant)
    with CaptureQueriesContext(connection) as many:
        finance.get(LIST)
    assert len(many) == len(few)


def test_what_is_asked_for_takes_effect_when_another_confirms(finance: Client, second: Client, world: World) -> None:
    answer = finance.post(f"{pair(world)}ask/", FORM)
    assert (answer.status_code, answer["Location"]) == (302, pair(world))
    assert not RefundPolicy.objects.exists()
    change = ChangeRequest.objects.get()
    page = text(second.get(f"/admin/merchants/changerequest/{change.pk}/change/"))
    for shown in ("Automatic up to", "¥1,234.50", "never", "180 days", "revive the order", "60 seconds",
                  world.merchant.name, FORM["reason"]):  # fmt: skip
        assert str(shown) in page, shown
    assert "123450" not in page
    assert "automatic_up_to" not in page
    second.post(f"/admin/merchants/changerequest/{change.pk}/decide/confirm/", {"reason": "ok"})
    policy = RefundPolicy.objects.get()
    assert (policy.automatic_up_to, policy.one_approval_up_to, policy.daily_ceiling) == (123_450, 2_000_000, None)
    assert (policy.approver_roles, policy.late_payment, policy.window_days) == (["finance"], "revive", 180)


def test_the_requester_does_not_confirm(finance: Client, world: World) -> None:
    finance.post(f"{pair(world)}ask/", FORM)
    change = ChangeRequest.objects.get()
    url = f"/admin/merchants/changerequest/{change.pk}/decide/confirm/"
    page = text(finance.post(url, {"reason": "x"}, follow=True))
    assert "Somebody else has to confirm what you asked for." in page
    assert not RefundPolicy.objects.exists()


def test_history_stands_side_by_side(finance: Client, second: Client, world: World) -> None:
    for amount in ("100", "250"):
        finance.post(f"{pair(world)}ask/", {**FORM, "automatic_up_to": amount})
        change = ChangeRequest.objects.order_by("-id").first()
        assert change is not None
        second.post(f"/admin/merchants/changerequest/{change.pk}/decide/confirm/", {"reason": "ok"})
    page = text(finance.get(pair(world)))
    newest = page[page.index("Versions"):]
    assert "<del>¥100.00</del>" in newest
    assert "<ins>¥250.00</ins>" in newest
    assert "confirmed by operator" in newest
    assert FORM["reason"] in newest  # type: ignore[operator]
    assert newest.index("¥250.00") < newest.rindex("¥100.00")


def test_a_currency_gets_its_own_policy_in_its_own_units(finance: Client, second: Client, world: World) -> None:
    for code, amount, stored in (("KWD", "1.255", 1255), ("JPY", "1255", 1255)):
        answer = finance.post(f"{pair(world)}ask/?currency={code}", {**FORM, "automatic_up_to": amount})
        assert answer.status_code == 302, errors(answer)
        change = ChangeRequest.objects.order_by("-id").first()
        assert change is not None
        second.post(f"/admin/merchants/changerequest/{change.pk}/decide/confirm/", {"reason": "ok"})
        assert RefundPolicy.objects.get(currency=code).automatic_up_to == stored
    assert policy_for(world.app, world.merchant, "CNY").pk is None
    assert finance.get(f"{pair(world)}ask/?currency=XXX").status_code == 404


def test_the_form_starts_with_what_applies(finance: Client, world: World) -> None:
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, automatic_up_to=123_456)
    assert 'value="1234.56"' in text(finance.get(f"{pair(world)}ask/"))
    assert 'value="123456"' in text(finance.get(f"{pair(world)}ask/?currency=JPY"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"automatic_up_to": "12.345"}, "CNY has 2 decimals at most."),
        ({"automatic_up_to": "lots"}, "Please write an amount such as 1,250.50."),
        ({"one_approval_up_to": "100"}, "“One approval up to” must not be below “automatic up to”."),
        ({"one_approval_up_to": "9999999999999"}, "At most ¥1,000,000,000.00."),
        ({"approver_roles": []}, "This field is required."),
        ({"approver_roles": ["service"]}, "Select a valid choice. service is not one of the available choices."),
        ({"approval_hours": "0"}, "Ensure this value is greater than or equal to 1."),
        ({"late_payment": "keep"}, "Select a valid choice. keep is not one of the available choices."),
        ({"reason": " "}, "This field is required."),
    ],
)  # fmt: skip
def test_bad_values_say_so_and_ask_for_nothing(
    finance: Client, world: World, wrong: dict[str, Any], message: str
) -> None:
    answer = finance.post(f"{pair(world)}ask/", {**FORM, **wrong})
    assert answer.status_code == 200
    assert errors(answer) == [message]
    assert not ChangeRequest.objects.exists()


def test_a_second_request_is_told_that_one_waits(finance: Client, world: World) -> None:
    finance.post(f"{pair(world)}ask/", FORM)
    answer = finance.post(f"{pair(world)}ask/", {**FORM, "automatic_up_to": "1"})
    assert errors(answer) == ["Another change of this kind is waiting to be confirmed."]
    assert "A change waits to be confirmed" in text(finance.get(pair(world)))
    assert "change waits" in text(finance.get(LIST))


def test_a_request_that_changes_nothing_is_refused(finance: Client, world: World) -> None:
    RefundPolicy.objects.create(
        app=world.app, merchant=world.merchant, automatic_up_to=123_450, one_approval_up_to=2_000_000,
        approval_hours=48, window_days=180, spacing_seconds=60, late_payment="revive", duplicate_payment="refund",
        abnormal_automatic_up_to=50_000,
    )  # fmt: skip
    assert errors(finance.post(f"{pair(world)}ask/", FORM)) == ["Nothing was changed."]


@pytest.mark.parametrize(("role", "sees"), [("auditor", True), ("service", False), ("merchant", False), ("app", False)])
def test_who_may_not_change_policies_cannot_ask(world: World, role: str, sees: bool) -> None:
    tenant: dict[str, Any] = {"merchant": {"merchant": world.merchant}, "app": {"app": world.app}}.get(role, {})
    client = signed_in(make_staff(role, **tenant))
    assert client.get(LIST).status_code == (200 if sees else 403)
    assert client.get(pair(world)).status_code == (200 if sees else 403)
    assert client.get(f"{pair(world)}ask/").status_code == 403
    assert client.post(f"{pair(world)}ask/", FORM).status_code == 403
    assert not ChangeRequest.objects.exists()


def test_pairs_that_do_not_exist_have_no_page(finance: Client, world: World) -> None:
    stranger = factories.make_merchant()
    assert finance.get(f"{LIST}pair/{world.app.pk}/{stranger.pk}/").status_code == 404
    assert finance.post(f"{LIST}pair/{world.app.pk}/{stranger.pk}/ask/", FORM).status_code == 404


def test_nothing_is_saved_directly(finance: Client, world: World) -> None:
    policy = RefundPolicy.objects.create(app=world.app, merchant=world.merchant)
    before = RefundPolicy.objects.values().get()
    finance.post(f"{LIST}{policy.pk}/change/", {**FORM, "app": world.app.pk, "merchant": world.merchant.pk})
    finance.post(f"{LIST}add/", {**FORM, "app": world.app.pk, "merchant": world.merchant.pk, "currency": "USD"})
    finance.post(f"{LIST}{policy.pk}/delete/", {"post": "yes"})
    assert RefundPolicy.objects.values().get() == before
    assert finance.get(f"{LIST}{policy.pk}/change/")["Location"] == pair(world)
