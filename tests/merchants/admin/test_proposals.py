"""Owners propose changes of their company's accounts in service; somebody of the center confirms each of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from merchants import offering
from merchants.models import ChangeRequest, PaymentAccount, User
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in
from tests.merchants.test_services import certificate
from tests.paycenter.staff.test_second_factor import code_of
from tests.paycenter.staff.test_step_up import held_in

pytestmark = pytest.mark.usefixtures("in_english")
WAITS = "once somebody else confirms it"
SECRET = "the-rotated-channel-secret"
NEW = {"name": "x", "config-merchant": "fake-merchant", "config-secret": SECRET, "reason": "key rotated"}


@pytest.fixture
def owner(world: World) -> User:
    return make_staff("owner", merchant=world.merchant)


def place(account: PaymentAccount, view: str) -> str:
    return f"/admin/merchants/paymentaccount/{account.pk}/{view}/"


def said(answer: Any) -> str:
    return str(answer.content.decode())


def confirmed() -> str:
    """What the operator who confirmed the only draft was shown."""
    change = ChangeRequest.objects.get(state="pending")
    decide = f"/admin/merchants/changerequest/{change.pk}/decide/confirm/"
    signed_in(change.requested_by).post(decide)
    assert fresh(change).state == "pending"
    operator = signed_in(User.objects.filter(role="operator").first() or make_staff("operator"))
    shown = said(operator.get(f"/admin/merchants/changerequest/{change.pk}/change/"))
    operator.post(decide)
    assert fresh(change).state == "confirmed"
    return shown


def test_a_rotated_key_waits_for_an_operator_and_is_shown_to_nobody(world: World, owner: User) -> None:
    theirs, account = signed_in(owner), world.account
    stored = account.config["secret"]
    assert place(account, "config") in said(theirs.get(place(account, "change")))
    form = said(theirs.get(place(account, "config")))
    asked = said(theirs.post(place(account, "config"), NEW, follow=True))
    assert WAITS in asked
    assert "A change waits to be confirmed" in asked
    assert fresh(account).config["secret"] == stored
    shown = confirmed()
    assert "key rotated" in shown
    assert fresh(account).config["secret"] == SECRET
    after = said(theirs.get(place(account, "config")))
    assert not [secret for secret in (stored, SECRET) for page in (form, asked, shown, after) if secret in page]


def test_a_code_is_asked_for_first(world: World, owner: User) -> None:
    device = TOTPDevice.objects.create(user=owner, name="app", confirmed=True)
    theirs, url = signed_in(owner, device=device), place(world.account, "config")
    held = held_in(theirs.post(url, NEW))
    assert not ChangeRequest.objects.exists()
    theirs.post(url, {"held_form": held, "step_up_code": code_of(device)})
    assert ChangeRequest.objects.get().requested_by == owner


def test_fewer_methods_and_another_name_wait_too(world: World, owner: User) -> None:
    theirs, account = signed_in(owner), world.account
    before = offering.account_methods(account)
    for view, data in (("methods", {"methods": ["fake_qr"]}), ("rename", {"name": "Parking"})):
        theirs.post(place(account, view), data)
        assert not ChangeRequest.objects.filter(state="pending").exists(), view
        assert WAITS in said(theirs.post(place(account, view), {**data, "reason": "as agreed"}, follow=True))
        assert (offering.account_methods(account), fresh(account).name) == (before, account.name)
        confirmed()
        before = offering.account_methods(account)
        account = fresh(account)
    assert (before, account.name) == ({"fake_qr"}, "Parking")


@pytest.mark.parametrize("who", ["clerk", "another company's owner", "before it is in service"])
def test_nobody_else_proposes(world: World, owner: User, who: str) -> None:
    client: Client = signed_in(owner)
    if who == "clerk":
        client = signed_in(make_staff("merchant", merchant=world.merchant))
    elif who == "another company's owner":
        client = signed_in(make_staff("owner", merchant=factories.make_merchant(), username="other"))
    else:
        PaymentAccount.objects.update(state="draft")
    answers = [client.get(place(world.account, "config"))]
    answers += [client.post(place(world.account, view), NEW) for view in ("config", "methods", "rename", "check")]
    assert {answer.status_code for answer in answers} <= {403, 404}
    assert not ChangeRequest.objects.exists()
    assert place(world.account, "config") not in said(client.get(place(world.account, "change")))


def test_a_renewed_certificate_is_shown_by_whose_it_is_and_until_when(world: World, owner: User) -> None:
    account = factories.make_account(world.merchant, channel="alipay", config={}, methods=())
    change = ChangeRequest.objects.create(
        kind="account_config", account=account, requested_by=owner, requested_at=timezone.now(), reason="renewed",
        before={"app_cert": certificate(days=5)}, after={"app_cert": certificate(days=400)},
    )  # fmt: skip
    page = said(signed_in(make_staff("operator")).get(f"/admin/merchants/changerequest/{change.pk}/change/"))
    assert "BEGIN CERTIFICATE" not in page
    assert len(set(re.findall(r"valid until (\d{4}-\d\d-\d\d)", page))) == 2


def test_who_left_the_company_has_nothing_confirmed(world: World, owner: User) -> None:
    signed_in(owner).post(place(world.account, "config"), NEW)
    User.objects.filter(pk=owner.pk).update(merchant=factories.make_merchant())
    change = ChangeRequest.objects.get()
    signed_in(make_staff("operator")).post(f"/admin/merchants/changerequest/{change.pk}/decide/confirm/")
    assert (fresh(change).state, fresh(world.account).config["secret"]) == ("pending", world.account.config["secret"])
