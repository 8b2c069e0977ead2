"""An account is taken into service by two people: activated after its review, resumed after it was suspended."""

from __future__ import annotations

import pytest
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice

from merchants.changes import account_open_request, change_confirm
from merchants.models import ChangeRequest, PaymentAccount
from merchants.services import account_advance, account_update_config
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in

pytestmark = pytest.mark.usefixtures("in_english")


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator"))


def waiting(world: World, state: str) -> PaymentAccount:
    PaymentAccount.objects.filter(pk=world.account.pk).update(state=state, check_ok=True)
    return fresh(world.account)


@pytest.mark.parametrize(("transition", "state"), [("activate", "review"), ("resume", "suspended")])
def test_one_person_asks_and_another_one_takes_it_into_service(
    operator: Client, world: World, transition: str, state: str
) -> None:
    account = waiting(world, state)
    base = f"/admin/merchants/paymentaccount/{account.pk}"
    assert f"{base}/advance/{transition}/" in operator.get(f"{base}/change/").content.decode()
    page = operator.post(f"{base}/advance/{transition}/", {"reason": "contract signed"}, follow=True).content.decode()
    assert "once somebody else confirms it" in page
    change = ChangeRequest.objects.get()
    place = f"/admin/merchants/changerequest/{change.pk}"
    operator.post(f"{place}/decide/confirm/")
    assert fresh(account).state == state
    finance = make_staff("finance")
    second = signed_in(finance, device=TOTPDevice.objects.create(user=finance, name="app", confirmed=True))
    shown = second.get(f"{place}/change/").content.decode()
    assert "<ins>active</ins>" in shown
    assert account.config["merchant"] in shown
    assert account.config["secret"] not in shown
    assert "Confirm it is you" in second.post(f"{place}/decide/confirm/").content.decode()
    assert fresh(account).state == state
    signed_in(make_staff("operator", username="second")).post(f"{place}/decide/confirm/")
    assert fresh(account).state == "active"
    event = Event.objects.get(type=f"paymentaccount.{transition}")
    assert (event.actor, event.reason) == ("staff:second", "contract signed")


def test_an_account_without_a_working_connection_is_not_asked_for(operator: Client, world: World) -> None:
    account = waiting(world, "review")
    PaymentAccount.objects.update(check_ok=False)
    place = f"/admin/merchants/paymentaccount/{account.pk}/advance/activate/"
    assert "Check the connection" in operator.post(place, follow=True).content.decode()
    assert not ChangeRequest.objects.exists()


def test_what_was_asked_for_is_void_once_the_parameters_change(world: World) -> None:
    account = waiting(world, "review")
    asker, second = make_staff("operator"), make_staff("finance")
    change = account_open_request(account=account, transition="activate", user=asker, reason="signed")
    account_update_config(account=account, config={"merchant": "other", "secret": "x"}, actor="staff:operator")
    PaymentAccount.objects.update(check_ok=True)
    with pytest.raises(TransitionRefused, match="changed after"):
        change_confirm(change=change, user=second)
    assert fresh(account).state == "review"


@pytest.mark.parametrize("transition", ["submit", "suspend", "close", "activate"])
def test_other_steps_are_not_asked_for(world: World, transition: str) -> None:
    with pytest.raises(TransitionRefused):
        account_open_request(account=world.account, transition=transition, user=make_staff("operator"), reason="why")


def test_closing_a_door_takes_one_person(world: World) -> None:
    account_advance(account=world.account, transition="suspend", actor="staff:operator", reason="fraud")
    assert fresh(world.account).state == "suspended"
