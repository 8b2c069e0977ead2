"""POST /v1/contract/query: what the center knows of a contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.endpoint import Endpoint
from merchants.models import App
from trades.api.answers import CONTRACT
from trades.api.contract_naming import CONTRACT_EXAMPLE, CONTRACT_NAME
from trades.contracts.selectors import contract_data, contract_get


class ContractQuery(Endpoint):
    operation = "contract_query"
    about = "Ask for a contract."
    takes = CONTRACT_NAME
    example = CONTRACT_EXAMPLE
    answers = CONTRACT
    errors = (errors.NotFound,)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        return contract_data(contract_get(app=app, **given))
