"""Contracts for deduction without password, as staff see them."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from paycenter.models import Exchange
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from trades.contracts.confirm import contract_advance, lock_contract
from trades.contracts.models import Contract

LIST = "/admin/trades/contract/"


@pytest.fixture
def contract(world: World) -> Contract:
    made = Contract.objects.create(
        contract_no="C2026112100000000000AAAAAAA", app=world.app, merchant=world.merchant, account=world.account,
        channel="fakepay", method="alipay_deduct", app_contract_no="HOUSE-502", created_at=timezone.now(),
        payer={"openid": "secret-openid"}, channel_contract_no="AGR-1",
    )  # fmt: skip
    contract_advance(lock_contract(made.pk), "activate", actor="channel:fakepay")
    return Contract.objects.get(pk=made.pk)


@pytest.mark.parametrize("term", ["C2026112100000000000AAAAAAA", "HOUSE-502", "AGR-1"])
def test_each_of_its_numbers_finds_it(contract: Contract, term: str) -> None:
    service = signed_in(make_staff("service"))
    assert contract.contract_no in service.get(LIST, {"q": term}).content.decode()
    assert contract.contract_no not in service.get(LIST, {"q": term[:-1]}).content.decode()


def test_its_page_tells_what_happened(contract: Contract) -> None:
    Exchange.objects.create(
        created_at=timezone.now(), direction="out", peer="channel:fakepay", operation="query_contract", method="POST",
        url="https://channel.example/query", status=200, app_order_no=contract.contract_no,
    )  # fmt: skip
    page = signed_in(make_staff("service")).get(f"{LIST}{contract.pk}/change/").content.decode()
    for word in ("HOUSE-502", "AGR-1", "Contract signed", "channel.example/query"):
        assert word in page
    assert "secret-openid" not in page


@pytest.mark.parametrize("role", ["operator", "service"])
def test_nobody_edits_it(contract: Contract, role: str) -> None:
    staff: Any = signed_in(make_staff(role))
    answer = staff.post(f"{LIST}{contract.pk}/change/", {"state": "terminated"})
    assert Contract.objects.get(pk=contract.pk).state == "active"
    assert answer.status_code in (200, 302, 403, 405)
    assert staff.get(f"{LIST}add/").status_code == 403


def test_other_merchants_staff_does_not_see_it(contract: Contract) -> None:
    stranger = signed_in(make_staff("merchant", merchant=factories.make_merchant()))
    assert contract.contract_no not in stranger.get(LIST).content.decode()
    assert stranger.get(f"{LIST}{contract.pk}/change/").status_code in (302, 403, 404)
