"""POST /v1/query/settle: a merchant's settlement batches and the lines in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from merchants.api import errors
from merchants.api.answers import integer, nullable, record, rows, text
from merchants.api.endpoint import Endpoint
from merchants.api.fields import Day, Errors, Integer, Shape, Text
from merchants.models import App
from paycenter.replica import reports
from reconciliation.api.answers import LINE
from reconciliation.api.cursor import decode_position, encode_position
from reconciliation.ledger import lines
from reconciliation.selectors import batch_data, batches_between, merchant_of, settle_spans
from reconciliation.settlement.states import BatchState

LONGEST = timedelta(days=92)
BATCH = record({
    "batch_no": text(),
    "date": {"type": "string", "format": "date"},
    "payment_no": text(),
    "currency": text(),
    "expected": integer("Paid minus refunded."),
    "received": nullable(integer("What the bank received; null until it is known.")),
    "fee": integer(),
    "difference": nullable(integer("`received + fee - expected`.")),
    "state": text(one_of=tuple(BatchState.values)),
})  # fmt: skip


def _check_days(given: Mapping[str, Any], errors: Errors) -> None:
    if not timedelta(0) <= given["date_to"] - given["date_from"] < LONGEST:
        errors["date_to"] = [f"must be date_from or later, and less than {LONGEST.days} days after it"]


class QuerySettle(Endpoint):
    operation = "query_settle"
    about = "Read a merchant's settlement batches, and the payments and refunds of yours that are in them."
    takes = Shape(
        fields={
            "merchant_no": Text(required=True, most=32),
            "date_from": Day(required=True, about="Settlement days."),
            "date_to": Day(required=True, about="Inclusive."),
            "payment_no": Text(most=32),
            "cursor": Text(least=0, most=256, default="", about="`next_cursor` of the answer before; empty to start."),
            "limit": Integer(least=1, most=1000, default=100),
        },
        check=_check_days,
    )
    example = {"merchant_no": "M0000000001", "date_from": "2026-11-01", "date_to": "2026-11-30"}
    answers = record({
        "batches": rows(BATCH),
        "lines": rows(record({**LINE, "batch_no": text()})),
        "next_cursor": nullable(text()),
    })  # fmt: skip
    errors = (errors.NotPermitted,)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        merchant = merchant_of(app, given["merchant_no"])
        days = f"{given['date_from']}\n{given['date_to']}"
        question = f"settle\n{app.app_id}\n{merchant.merchant_no}\n{days}\n{given['payment_no'] or ''}"
        after = decode_position(question, given["cursor"])
        with reports():
            batches = batches_between(merchant, given["date_from"], given["date_to"], given["payment_no"])
            page, behind = lines(app, settle_spans(batches), after, given["limit"])
        return {
            "batches": [batch_data(batch) for batch in batches],
            "lines": page,
            "next_cursor": encode_position(question, behind) if behind is not None else None,
        }
