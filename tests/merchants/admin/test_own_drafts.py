"""Owners and business-line staff follow and take back what they asked for, and decide on nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from merchants.changes import account_change_request, change_reject
from merchants.models import ChangeRequest, User
from merchants.people.services import factor_reset_request
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in

pytestmark = pytest.mark.usefixtures("in_english")
LIST = "/admin/merchants/changerequest/"


def page(change: ChangeRequest) -> str:
    return f"{LIST}{change.pk}/change/"


def said(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.fixture
def line(world: World) -> Client:
    return signed_in(make_staff("app", app=world.app, username="line"))


def ask_for(line: Client, world: World, method: str) -> ChangeRequest:
    url = f"/admin/merchants/cashiermethod/configure/{world.app.pk}/{world.merchant.pk}/"
    line.post(url, {"shown": [f"{world.account.pk}-{method}"], "reason": f"we want {method}"})
    return ChangeRequest.objects.latest("pk")


def test_a_business_line_takes_back_a_mistake_and_asks_again(world: World, line: Client) -> None:
    mistake = ask_for(line, world, "fake_page")
    cashier = said(line.get(f"/admin/merchants/cashiermethod/configure/{world.app.pk}/{world.merchant.pk}/"))
    assert f'href="{page(mistake)}"' in cashier
    for place in ("/admin/", LIST, f"{LIST}?whose=mine"):
        assert page(mistake) in said(line.get(place)), place
    assert "we want fake_page" in said(line.get(page(mistake)))
    line.post(f"{LIST}{mistake.pk}/decide/withdraw/", {"reason": "the wrong one"})
    assert fresh(mistake).state == "withdrawn"
    again = ask_for(line, world, "fake_qr")
    assert (again.state, again.after["methods"][0][0]) == ("pending", "fake_qr")


def test_who_asked_sees_what_became_of_it_but_not_who_of_the_center_decided(world: World, line: Client) -> None:
    change = ask_for(line, world, "fake_qr")
    change_reject(change=change, user=make_staff("finance", username="wang.fang"), comment="not this year")
    overview = said(line.get("/admin/"))
    assert page(change) in overview
    assert "What you asked for" in overview
    shown = said(line.get(page(change)))
    assert "not this year" in shown
    for place in (page(change), LIST, "/admin/"):
        assert "wang.fang" not in said(line.get(place)), place


def test_an_owner_sees_a_co_owners_draft_and_leaves_it_to_them(world: World) -> None:
    first, second = (make_staff("owner", merchant=world.merchant, username=name) for name in ("first", "second"))
    clerk = make_staff("merchant", merchant=world.merchant)
    change = factor_reset_request(person=clerk, by=first, reason="lost the phone")
    theirs = signed_in(second)
    assert page(change) in said(theirs.get(f"/admin/merchants/user/{clerk.pk}/change/"))
    assert "lost the phone" in said(theirs.get(page(change)))
    for decision in ("confirm", "reject", "withdraw"):
        theirs.post(f"{LIST}{change.pk}/decide/{decision}/", {"reason": "as I like"})
    assert fresh(change).state == "pending"
    assert "for me to decide" not in said(theirs.get(LIST))
    assert ">Confirm<" not in said(theirs.get(page(change)))


def test_what_others_asked_for_is_not_theirs(world: World, line: Client) -> None:
    """Neither the center's, nor another tenant's, nor what somebody asked for who works elsewhere by now."""
    center = account_change_request(
        account=world.account, config={"merchant": "fake-merchant", "secret": "n"}, reason="rotation",
        user=make_staff("operator", username="wang.fang"),
    )  # fmt: skip
    lines = ask_for(line, world, "fake_qr")
    owner = make_staff("owner", merchant=world.merchant)
    left = factor_reset_request(person=make_staff("merchant", merchant=world.merchant), by=owner, reason="lost")
    other = factories.make_merchant()
    User.objects.filter(pk=owner.pk).update(merchant=other)
    User.objects.filter(username="line").update(app=factories.make_app(world.merchant))
    now = [make_staff("owner", merchant=world.merchant, username="now"), User.objects.get(pk=owner.pk),
           User.objects.get(username="line"), make_staff("app", app=world.app, username="next")]  # fmt: skip
    for user in now:
        client = signed_in(user)
        shown = said(client.get(LIST)) + said(client.get("/admin/"))
        for change in (center, lines, left):
            assert client.get(page(change)).status_code == 404, (user, change)
            assert page(change) not in shown, (user, change)
    note = said(signed_in(now[0]).get(f"/admin/merchants/paymentaccount/{world.account.pk}/change/"))
    assert "A change waits to be confirmed: parameters of a payment account." in note
    assert page(center) not in note
    assert "wang.fang" not in note
