"""What the calls about bills and settlements answer."""

from __future__ import annotations

from merchants.api.answers import Schema, boolean, instant, integer, nullable, number, text

LINE: dict[str, Schema] = {
    "kind": text(one_of=("payment", "duplicate", "refund")),
    "trade_no": number(),
    "attempt_no": number(),
    "channel_order_no": text(),
    "app_order_no": text(),
    "refund_no": nullable(number()),
    "channel_trade_no": nullable(text()),
    "payment_no": text(),
    "method": text(),
    "amount": integer("Minor units; of a refund what went back."),
    "currency": text(),
    "fee": nullable(integer("What the channel took, by its bill; null until known.")),
    "occurred_at": instant(),
    "reconciled": boolean(),
}
