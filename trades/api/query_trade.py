"""POST /v1/query/trade: what the center knows of a trade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.endpoint import Endpoint
from merchants.models import App
from trades.api.answers import TRADE
from trades.api.naming import NAME_EXAMPLE, TRADE_NAME
from trades.selectors import trade_data, trade_get


class QueryTrade(Endpoint):
    operation = "query_trade"
    about = "Ask for a trade."
    takes = TRADE_NAME
    example = NAME_EXAMPLE
    answers = TRADE
    errors = (errors.NotFound,)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        return trade_data(trade_get(app=app, **given))
