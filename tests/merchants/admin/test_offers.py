"""What is offered to payers grows through two people, and shrinks through one."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cashier.models import PrintedCode
from merchants import offering
from merchants.changes import change_confirm
from merchants.models import AppMerchant, CashierMethod, ChangeRequest, User
from merchants.services import merchant_advance, merchant_create
from paycenter.errors import TransitionRefused
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff, signed_in

pytestmark = pytest.mark.usefixtures("in_english")
WAITS = "once somebody else confirms it"


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator"))


def confirmed() -> ChangeRequest:
    """The pending change, agreed to by somebody else."""
    change = ChangeRequest.objects.get(state="pending")
    place = f"/admin/merchants/changerequest/{change.pk}"
    signed_in(change.requested_by).post(f"{place}/decide/confirm/")
    assert fresh(change).state == "pending"
    second = signed_in(make_staff("finance", username="second"))
    assert second.get(f"{place}/change/").status_code == 200
    second.post(f"{place}/decide/confirm/")
    return fresh(change)


def said(answer: Any) -> str:
    return str(answer.content.decode())


def test_an_account_in_service_gets_a_further_method_through_two_people(operator: Client, world: World) -> None:
    account = factories.make_account(world.merchant, methods=("fake_qr",))
    url, more = f"/admin/merchants/paymentaccount/{account.pk}/methods/", ["fake_page", "fake_qr"]
    assert "give a reason" in said(operator.post(url, {"methods": more}, follow=True))
    assert WAITS in said(operator.post(url, {"methods": more, "reason": "signed"}, follow=True))
    assert offering.account_methods(account) == {"fake_qr"}
    assert confirmed().state == "confirmed"
    assert offering.account_methods(account) == set(more)
    operator.post(url, {"methods": ["fake_qr"]})
    assert offering.account_methods(account) == {"fake_qr"}


def test_a_cashier_shows_a_further_method_through_two_people(world: World) -> None:
    clerk = signed_in(make_staff("app", app=world.app))
    url = f"/admin/merchants/cashiermethod/configure/{world.app.pk}/{world.merchant.pk}/"
    qr, page = f"{world.account.pk}-fake_qr", f"{world.account.pk}-fake_page"
    order = {"shown": [qr, page], f"position-{qr}": "2", f"position-{page}": "1"}
    clerk.post(url, order)
    assert not ChangeRequest.objects.exists()
    assert WAITS in said(clerk.post(url, {**order, "reason": "new office"}, follow=True))
    assert not CashierMethod.objects.exists()
    assert confirmed().state == "confirmed"
    assert list(CashierMethod.objects.values_list("method", flat=True)) == ["fake_page", "fake_qr"]
    # Another order, and less, takes one person; the same method through another account does not.
    clerk.post(url, {"shown": [qr, page], f"position-{qr}": "1", f"position-{page}": "2"})
    assert list(CashierMethod.objects.values_list("method", flat=True)) == ["fake_qr", "fake_page"]
    clerk.post(url, {"shown": [qr]})
    other = factories.make_account(world.merchant)
    clerk.post(url, {"shown": [f"{other.pk}-fake_qr"], "reason": "mine"})
    assert CashierMethod.objects.get().account == world.account
    assert ChangeRequest.objects.filter(state="pending").count() == 1


def test_an_app_collects_for_a_further_merchant_through_two_people(operator: Client, world: World) -> None:
    other = factories.make_merchant()
    url, both = f"/admin/merchants/app/{world.app.pk}/merchants/", [world.merchant.pk, other.pk]
    assert WAITS in said(operator.post(url, {"merchants": both, "reason": "new contract"}, follow=True))
    assert set(offering.app_merchants(world.app)) == {world.merchant.pk}
    assert confirmed().state == "confirmed"
    assert set(offering.app_merchants(world.app)) == set(both)
    operator.post(url, {"merchants": []})
    assert not AppMerchant.objects.filter(app=world.app, is_active=True).exists()


def test_a_merchant_without_application_is_taken_into_service_by_two_people(operator: Client) -> None:
    merchant = merchant_create(name="Riverside", actor="staff:operator")
    base = f"/admin/merchants/merchant/{merchant.pk}"
    operator.post(f"{base}/advance/submit/")
    assert WAITS in said(operator.post(f"{base}/advance/activate/", follow=True))
    assert fresh(merchant).state == "review"
    assert "A change waits to be confirmed" in said(operator.get(f"{base}/change/"))
    assert confirmed().state == "confirmed"
    assert fresh(merchant).state == "active"
    operator.post(f"{base}/advance/suspend/", {"reason": "complaints"})
    operator.post(f"{base}/advance/resume/", {"reason": "settled"})
    assert fresh(merchant).state == "suspended"


def test_no_service_adds_for_one_person(world: World) -> None:
    account = factories.make_account(world.merchant, methods=("fake_qr",))
    draft = merchant_create(name="Riverside", actor="staff:operator")
    merchant_advance(merchant=draft, transition="submit", actor="staff:operator")
    pairs = [(account, "fake_qr")]
    with pytest.raises(TransitionRefused):
        offering.account_methods_set(account=account, methods=["fake_page"], actor="staff:a")
    with pytest.raises(TransitionRefused):
        offering.cashier_methods_set(app=world.app, merchant=world.merchant, methods=pairs, actor="staff:a")
    with pytest.raises(TransitionRefused):
        offering.app_merchants_set(app=world.app, merchants=[factories.make_merchant()], actor="staff:a")
    with pytest.raises(TransitionRefused):
        merchant_advance(merchant=draft, transition="activate", actor="staff:a")


@pytest.mark.parametrize("gone", [{"is_active": False}, {"role": "auditor"}, {"role": "service"}])
@pytest.mark.parametrize("what", ["config", "addresses", "methods"])
def test_what_somebody_asked_for_who_may_not_any_more_is_refused(
    operator: Client, world: World, what: str, gone: dict[str, Any]
) -> None:
    account = factories.make_account(world.merchant, methods=("fake_qr",))
    url, data = {
        "config": (f"paymentaccount/{account.pk}/config/", {"config-merchant": "m", "config-secret": "s", "name": "x"}),
        "addresses": (f"app/{world.app.pk}/addresses/", {"notify_url": "https://new.example/n"}),
        "methods": (f"paymentaccount/{account.pk}/methods/", {"methods": ["fake_page"]}),
    }[what]
    operator.post(f"/admin/merchants/{url}", {**data, "reason": "because"})
    change = ChangeRequest.objects.get()
    User.objects.filter(pk=change.requested_by_id).update(**gone)
    second = make_staff("finance")
    with pytest.raises(TransitionRefused, match="may not do so any more"):
        change_confirm(change=change, user=second)
    page = said(signed_in(second).get(f"/admin/merchants/changerequest/{change.pk}/change/"))
    assert "may not do so any more" in page
    assert fresh(change).state == "pending"


def test_app_staff_of_another_app_by_now_have_asked_for_nothing(world: World) -> None:
    clerk = make_staff("app", app=world.app)
    url = f"/admin/merchants/cashiermethod/configure/{world.app.pk}/{world.merchant.pk}/"
    signed_in(clerk).post(url, {"shown": [f"{world.account.pk}-fake_qr"], "reason": "more"})
    User.objects.filter(pk=clerk.pk).update(app=factories.make_app(world.merchant))
    with pytest.raises(TransitionRefused):
        change_confirm(change=ChangeRequest.objects.get(), user=make_staff("finance"))
    assert not CashierMethod.objects.exists()


def test_a_printed_code_collects_for_whom_it_was_printed(world: World) -> None:
    other = factories.make_merchant()
    AppMerchant.objects.create(app=world.app, merchant=other)
    code = PrintedCode.objects.create(app=world.app, merchant=world.merchant, title="Parking")
    clerk = signed_in(make_staff("app", app=world.app))
    data = {"title": "Garage", "app": world.app.pk, "merchant": other.pk, "currency": "CNY", "is_active": "on"}
    clerk.post(f"/admin/cashier/printedcode/{code.pk}/change/", data)
    assert (fresh(code).title, fresh(code).merchant) == ("Garage", world.merchant)


def test_a_printed_codes_amount_is_typed_as_on_a_price_tag(world: World) -> None:
    clerk = signed_in(make_staff("app", app=world.app))
    url, data = "/admin/cashier/printedcode/add/", {"title": "Parking", "app": world.app.pk,
                                                    "merchant": world.merchant.pk, "is_active": "on"}  # fmt: skip
    for amount, currency in (("0", "CNY"), ("1.234", "CNY"), ("5", "cny"), ("5.5", "JPY")):
        assert clerk.post(url, {**data, "fixed_amount": amount, "currency": currency}).status_code == 200
    for amount, currency, minor in (("1,128.50", "CNY", 112850), ("500", "JPY", 500), ("", "CNY", None)):
        assert clerk.post(url, {**data, "fixed_amount": amount, "currency": currency}).status_code == 302
        assert PrintedCode.objects.order_by("-pk")[0].fixed_amount == minor
    code = PrintedCode.objects.get(fixed_amount=112850)
    assert 'value="1128.50"' in said(clerk.get(f"/admin/cashier/printedcode/{code.pk}/change/"))
