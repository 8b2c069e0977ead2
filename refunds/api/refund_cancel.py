"""POST /v1/refund/cancel: take back a refund that nobody has decided on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.endpoint import Endpoint
from merchants.models import App
from refunds.api.answers import REFUND
from refunds.api.naming import REFUND_EXAMPLE, REFUND_NAME
from refunds.selectors import refund_data, refund_get
from refunds.services import refund_cancel


class RefundCancel(Endpoint):
    operation = "refund_cancel"
    about = "Cancel a refund that waits for approval or is on hold."
    takes = REFUND_NAME
    example = REFUND_EXAMPLE
    answers = REFUND
    errors = (errors.NotFound, errors.NotPossible)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        refund = refund_get(app=app, **given)
        return refund_data(refund_cancel(refund=refund, actor=f"app:{app.app_id}"))
