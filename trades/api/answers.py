"""What trade calls answer."""

from __future__ import annotations

from merchants.api.answers import Schema, free, instant, integer, nullable, number, record, text
from trades.contracts.states import ContractState
from trades.states import TradeState

_PAY_TYPES: tuple[Schema, ...] = (
    record({"type": text(one_of=("redirect",)), "method": text(one_of=("GET",)), "url": text()}),
    record({
        "type": text(one_of=("form",)), "method": text(one_of=("POST",)), "action": text(),
        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
        "html": text("An auto-submitting page."),
    }),
    record({"type": text(one_of=("qrcode",)), "content": text("To be shown as a QR code.")}),
    record({"type": text(one_of=("sdk",)), "params": free("For the channel's SDK.")}),
    record({"type": text(one_of=("none",))}),
)  # fmt: skip
PAY: Schema = {"oneOf": list(_PAY_TYPES), "description": "What the payer does next."}

TRADE: Schema = record({
    "trade_no": number("The center's number of the order."),
    "app_order_no": text("The app's number."),
    "business_no": nullable(text()),
    "merchant_no": text(),
    "app_id": text(),
    "attempt_no": nullable(number("The try at a channel; after `paid` the paying one.")),
    "channel_order_no": nullable(text("What the channel calls `out_trade_no` or the like.")),
    "channel_trade_no": nullable(text("The channel's own number.")),
    "method": nullable(text()),
    "channel": nullable(text()),
    "funding": nullable(text()),
    "amount": integer("Minor units."),
    "currency": text(),
    "scale": integer("Decimals of the currency."),
    "paid_amount": integer(),
    "refunded_amount": integer(),
    "refunding_amount": integer(),
    "refundable_amount": integer(),
    "state": text(one_of=tuple(TradeState.values)),
    "subject": text(),
    "attach": nullable(text()),
    "detail": nullable(free()),
    "created_at": instant(),
    "expire_at": instant(),
    "paid_at": nullable(instant()),
    "closed_at": nullable(instant()),
    "notify_state": nullable(text()),
    "notified_at": nullable(instant()),
    "version": integer("Grows with every change."),
})  # fmt: skip

CONTRACT: Schema = record({
    "contract_no": number("The center's number of the contract."),
    "app_contract_no": text("The app's number."),
    "state": text(one_of=tuple(ContractState.values)),
    "pay": nullable({"oneOf": list(_PAY_TYPES), "description": "Where the payer signs."}),
})  # fmt: skip
