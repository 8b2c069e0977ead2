"""A scene's file is all it takes: the cashier, the account form and the addresses know it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.urls import resolve, reverse

from cashier.icons import icon_of
from cashier.selectors import choices_for, configured_methods
from channels.base import Device
from channels.base.config import clean_config
from channels.base.discovery import methods_of
from merchants.admin.account import ChannelFilter, _methods
from merchants.channels import active_account
from merchants.forms import AccountForm
from tests import factories
from tests.contract.cases import channels, contracts, every_case, scenes
from tests.contract.desk import Desk
from tests.contract.office import Office
from trades.services import trade_open


@pytest.mark.parametrize("case", every_case(), ids=str)
def test_the_cashier_offers_it_on_its_devices_and_nowhere_else(office: Office) -> None:
    factories.make_cashier_methods(office.app, office.account, office.desk.case.method)
    order = factories.make_order(
        office.merchant, currency=office.desk.case.currency, payer=dict(office.desk.payer), return_url=""
    )
    trade = trade_open(app=office.app, order=order)

    configured = configured_methods(trade)

    assert [(m.code, a.pk) for m, a in configured] == [(office.desk.case.method, office.account.pk)]
    offered = {device for device in Device if choices_for(trade, configured, device)}
    # A mini program has to say which of its pages starts an SDK; this app did not.
    unsaid = {Device.MINI} if office.desk.case.scene.instruction == "sdk" else set()
    assert offered == set(office.desk.case.scene.devices) - unsaid
    assert icon_of(office.desk.case.scene, office.desk.case.channel).endswith(".svg")


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_the_account_form_and_page_offer_it(office: Office) -> None:
    case = office.desk.case
    form = AccountForm(provider=case.provider)

    assert case.method in {code for code, _name in form.fields["methods"].choices}
    assert (case.method, True) in {(code, on) for code, _name, on in _methods(office.account)}
    assert active_account(office.merchant, case.method).pk == office.account.pk


@pytest.mark.parametrize("case", scenes(), ids=str)
def test_it_has_its_addresses(office: Office) -> None:
    method = office.desk.case.method
    for name in ("notify", "return"):
        found = resolve(reverse(name, args=[method, "A1"]))
        assert found.kwargs == {"method": method, "attempt_no": "A1"}


@pytest.mark.parametrize("case", channels(), ids=str)
def test_the_form_draws_every_parameter(desk: Desk) -> None:
    form = AccountForm(provider=desk.case.provider)
    page = str(form)
    for field in desk.case.provider.fields:
        assert f'name="config-{field.name}"' in page
    looked_up = dict(ChannelFilter.lookups(object(), None, None))  # type: ignore[arg-type]
    assert desk.case.channel in looked_up


@pytest.mark.parametrize("case", contracts(), ids=str)
def test_what_is_stored_is_valid_when_it_is_stored_again(desk: Desk) -> None:
    assert clean_config(desk.case.provider, desk.config, datetime.now(UTC)) == desk.config
    assert {m.code for m in methods_of(desk.case.channel)} >= {desk.case.method}
