"""POST /v1/contract/terminate: end a signed contract, at its channel and here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.endpoint import Endpoint
from merchants.models import App
from trades.api.answers import CONTRACT
from trades.api.contract_naming import CONTRACT_EXAMPLE, CONTRACT_NAME
from trades.contracts.selectors import contract_data, contract_get
from trades.contracts.services import contract_terminate


class ContractTerminate(Endpoint):
    operation = "contract_terminate"
    about = "End a signed contract. When the channel is silent it is tried again; nothing is deducted meanwhile."
    takes = CONTRACT_NAME
    example = CONTRACT_EXAMPLE
    answers = CONTRACT
    errors = (errors.NotFound, errors.NotPossible, errors.ChannelRefused, errors.ChannelUnknown)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        contract = contract_get(app=app, **given)
        return contract_data(contract_terminate(contract=contract, actor=f"app:{app.app_id}"))
