"""POST /v1/query/refund: what the center knows of a refund."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.endpoint import Endpoint
from merchants.models import App
from refunds.api.answers import REFUND
from refunds.api.naming import REFUND_EXAMPLE, REFUND_NAME
from refunds.selectors import refund_data, refund_get


class QueryRefund(Endpoint):
    operation = "query_refund"
    about = "Ask for a refund."
    takes = REFUND_NAME
    example = REFUND_EXAMPLE
    answers = REFUND
    errors = (errors.NotFound,)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        return refund_data(refund_get(app=app, **given))
