"""POST /v1/close: end an unpaid trade, at its channels and here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.endpoint import Endpoint
from merchants.models import App
from trades.api.answers import TRADE
from trades.api.naming import NAME_EXAMPLE, TRADE_NAME
from trades.closing import trade_close
from trades.selectors import trade_data, trade_get


class Close(Endpoint):
    operation = "close"
    about = "Close an unpaid trade. A channel that is silent leaves the state unchanged; it is finished later."
    takes = TRADE_NAME
    example = NAME_EXAMPLE
    answers = TRADE
    errors = (errors.NotFound, errors.AlreadyPaid)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        trade = trade_get(app=app, **given)
        return trade_data(trade_close(trade=trade, actor=f"app:{app.app_id}"))
