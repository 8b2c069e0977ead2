"""Reading contracts: what an app may see of its own."""

from __future__ import annotations

from typing import Any

from merchants.api.errors import NotFound
from merchants.models import App
from trades.contracts.models import Contract


def contract_get(
    *, app: App, contract_no: str | None = None, app_contract_no: str | None = None, merchant_no: str | None = None
) -> Contract:
    """This app's contract by the center's number, or by its own number and the merchant's.

    Raises NotFound; another app's contract looks exactly the same.
    """
    contracts = Contract.objects.select_related("app", "merchant", "account").filter(app=app)
    if contract_no is not None:
        found = contracts.filter(contract_no=contract_no).first()
    else:
        found = contracts.filter(app_contract_no=app_contract_no, merchant__merchant_no=merchant_no).first()
    if found is None:
        raise NotFound
    return found


def contract_for_deduction(*, app: App, contract_no: str, merchant_no: str) -> Contract:
    """A contract under which this app may deduct for the merchant now. Raises NotFound, also when it is not active."""
    contract = contract_get(app=app, contract_no=contract_no)
    if not contract.may_deduct or contract.merchant.merchant_no != merchant_no:
        raise NotFound
    return contract


def contract_data(contract: Contract) -> dict[str, Any]:
    """The contract as the app's query answers it."""
    return {
        "contract_no": contract.contract_no,
        "app_contract_no": contract.app_contract_no,
        "state": str(contract.state),
        "pay": contract.pay,
    }
