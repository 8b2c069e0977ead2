"""MPGS' words about an order in the one internal form.

https://test-gateway.mastercard.com/api/documentation/apiDocumentation/rest-json/version/latest/operation/Transaction%3a%20%20Retrieve%20Order.html
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime
from decimal import Decimal
from typing import Any

from channels.base import PaymentState, QueryResult
from channels.base.reading import Unreadable, moment_in
from paycenter.errors import MoneyError
from paycenter.money import Money

# AUTHORIZED (money is held, not taken) and VERIFIED are missing on purpose: neither paid nor unpaid.
STATES: Mapping[str, PaymentState] = {
    "INITIATED": PaymentState.UNPAID,
    "AUTHENTICATION_INITIATED": PaymentState.UNPAID,
    "AUTHENTICATION_NOT_NEEDED": PaymentState.UNPAID,
    "AUTHENTICATED": PaymentState.UNPAID,
    # The payer may try another card on the same order until the session ends.
    "AUTHENTICATION_UNSUCCESSFUL": PaymentState.UNPAID,
    "FAILED": PaymentState.UNPAID,
    "CANCELLED": PaymentState.CLOSED,
    "PARTIALLY_CAPTURED": PaymentState.PAID,
    "CAPTURED": PaymentState.PAID,
    "PARTIALLY_REFUNDED": PaymentState.PAID,
    "REFUNDED": PaymentState.PAID,
    "EXCESSIVELY_REFUNDED": PaymentState.PAID,
    "REFUND_REQUESTED": PaymentState.PAID,
    "DISPUTED": PaymentState.PAID,
    "CHARGEBACK_PROCESSED": PaymentState.PAID,
    "DISBURSED": PaymentState.PAID,
    "FUNDING": PaymentState.PAID,
}
# The money did come in, but somebody has to look at what became of it.
FLAGGED = frozenset({"DISPUTED", "CHARGEBACK_PROCESSED", "DISBURSED", "FUNDING"})
_UNDECIDED_RESULTS = frozenset({"PENDING", "UNKNOWN", "ERROR"})
TAKING = frozenset({"PAYMENT", "CAPTURE"})


def order_state(data: Mapping[str, Any], *, order_no: str, merchant_id: str) -> QueryResult:
    """Raises Unreadable, also for a status that is neither paid nor unpaid nor closed.

    Paid is what was captured: where that is not the order's amount, the core compares and finds out.
    """
    if data.get("id") != order_no or data.get("merchant") != merchant_id:
        raise Unreadable("the answer is about another order or merchant")
    word, result = data.get("status"), data.get("result")
    state = STATES.get(word) if isinstance(word, str) else None
    if state is None or not isinstance(word, str):
        raise Unreadable("status is not a word that decides anything")
    if state is PaymentState.CLOSED:
        return _voided(data, order_no, word)
    if state is not PaymentState.PAID:
        return QueryResult(state=state, order_no=order_no, channel_state=word)
    if not isinstance(result, str) or result in _UNDECIDED_RESULTS:
        raise Unreadable("the result is open")
    amount = amount_in(data, "totalCapturedAmount")
    if amount is None or amount.minor <= 0:
        raise Unreadable("paid, but totalCapturedAmount is no amount")
    card = _card(data)
    return QueryResult(
        state=state, order_no=order_no, amount=amount,
        # MPGS has no number of its own for an order; receipts are the acquirer's and repeat.
        channel_trade_no=order_no, paid_at=_captured_at(data), refunded=amount_in(data, "totalRefundedAmount"),
        payer_id=word_in(card, "number"), funding=word_in(card, "fundingMethod"), channel_state=word,
        message=f"to be looked at by a person: {word}" if word in FLAGGED else "",
    )  # fmt: skip


def _voided(data: Mapping[str, Any], order_no: str, word: str) -> QueryResult:
    """A payment that was taken and voided was paid and given back whole, whatever the order's sums say since."""
    entry = _successful(data, {"VOID_PAYMENT"})
    amount = amount_in(entry["transaction"], "amount") if entry else None
    if amount is None or _successful(data, TAKING) is None:
        return QueryResult(state=PaymentState.CLOSED, order_no=order_no, channel_state=word)
    return QueryResult(
        state=PaymentState.PAID, order_no=order_no, amount=amount, channel_trade_no=order_no,
        paid_at=_captured_at(data), refunded=amount, channel_state=word,
    )  # fmt: skip


def amount_in(data: Mapping[str, Any], name: str) -> Money | None:
    """Major units as a JSON number (or text) in the `currency` beside it; None for anything else."""
    value, currency = data.get(name), data.get("currency")
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal) or not isinstance(currency, str):
        return None
    try:
        return Money.from_major(value, currency)
    except MoneyError:
        return None


def _captured_at(data: Mapping[str, Any]) -> datetime | None:
    """When the gateway recorded the first transaction that took money. The order's own times are others."""
    entry = _successful(data, TAKING)
    return moment_in(entry, "timeOfRecord") if entry else None


def payment_id(data: Mapping[str, Any]) -> str | None:
    """The id, within its order, of the transaction that took the money."""
    entry = _successful(data, TAKING)
    return word_in(entry["transaction"], "id") if entry else None


def _successful(data: Mapping[str, Any], types: Set[str]) -> Mapping[str, Any] | None:
    """The first successful transaction of these types in the order's list."""
    entries = data.get("transaction")
    found: list[Mapping[str, Any]] = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    for entry in found:
        inner = entry.get("transaction")
        if isinstance(inner, dict) and word_in(inner, "type") in types and entry.get("result") == "SUCCESS":
            return entry
    return None


def _card(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """`sourceOfFunds.provided.card`; its number comes masked."""
    found: Any = data
    for name in ("sourceOfFunds", "provided", "card"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def word_in(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return value[:64] if isinstance(value, str) and value else None
