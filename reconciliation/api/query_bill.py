"""POST /v1/query/bill: an app's day at a merchant, line by line, with what the channels' bills say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.answers import integer, nullable, record, rows, text
from merchants.api.endpoint import Endpoint
from merchants.api.fields import Day, Integer, Shape, Text
from merchants.models import App
from paycenter.replica import reports
from reconciliation.api.answers import LINE
from reconciliation.api.cursor import decode_position, encode_position
from reconciliation.ledger import lines
from reconciliation.selectors import bill_spans, bill_totals, merchant_of

TOTALS = record({name: integer() for name in ("count", "paid", "refunded", "fee")})


class QueryBill(Endpoint):
    operation = "query_bill"
    about = "Read a day's payments and refunds of yours at a merchant, with fees and whether the channel's bill agrees."
    takes = Shape(
        fields={
            "merchant_no": Text(required=True, most=32),
            "date": Day(required=True, about="In the merchant's time zone."),
            "payment_no": Text(most=32, about="Only what went through this payment account."),
            "cursor": Text(least=0, most=256, default="", about="`next_cursor` of the answer before; empty to start."),
            "limit": Integer(least=1, most=1000, default=100),
        }
    )
    example = {"merchant_no": "M0000000001", "date": "2026-11-20", "limit": 100}
    answers = record({
        "rows": rows(record(LINE)),
        "totals": {"type": "object", "additionalProperties": TOTALS, "description": "By currency, of the whole day."},
        "next_cursor": nullable(text()),
    })  # fmt: skip
    errors = (errors.NotPermitted,)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        merchant = merchant_of(app, given["merchant_no"])
        question = f"bill\n{app.app_id}\n{merchant.merchant_no}\n{given['date']}\n{given['payment_no'] or ''}"
        after = decode_position(question, given["cursor"])
        with reports():
            spans = bill_spans(merchant, given["date"], given["payment_no"])
            page, behind = lines(app, spans, after, given["limit"])
            totals = bill_totals(app, question, spans, fresh=not given["cursor"])
        return {
            "rows": [{name: line[name] for name in LINE} for line in page],
            "totals": totals,
            "next_cursor": encode_position(question, behind) if behind is not None else None,
        }
