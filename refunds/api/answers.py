"""What refund calls answer."""

from __future__ import annotations

from merchants.api.answers import Schema, instant, integer, nullable, number, record, text
from refunds.models import RefundKind, RefundRoute, RefundSource, RefundType
from refunds.states import RefundState

REFUND: Schema = record({
    "refund_no": number("The center's number of the refund."),
    "app_refund_no": nullable(text("The app's number; null for a refund the app did not ask for.")),
    "trade_no": number("The trade it gives back from."),
    "attempt_no": number("The attempt whose money goes back."),
    "app_order_no": text(),
    "channel_refund_no": nullable(text("The channel's own number.")),
    "amount": integer("Minor units."),
    "currency": text(),
    "reason": text(),
    "type": text(one_of=tuple(RefundType.values)),
    "kind": text(one_of=tuple(RefundKind.values)),
    "route": text(one_of=tuple(RefundRoute.values)),
    "source": text("Who asked for it.", one_of=tuple(RefundSource.values)),
    "state": text(one_of=tuple(RefundState.values)),
    "requested_at": instant(),
    "approved_at": nullable(instant()),
    "finished_at": nullable(instant()),
    "failure": nullable(text("Why it failed or was rejected.")),
    "version": integer("Grows with every change."),
})  # fmt: skip
