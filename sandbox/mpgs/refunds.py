"""Refund and void: the caller's transaction id is the idempotency key.

https://test-gateway.mastercard.com/api/documentation/apiDocumentation/rest-json/version/72/operation/Transaction%3a%20%20Refund.html
"""

from __future__ import annotations

from typing import Any

from sandbox.book import NotPossible
from sandbox.context import Context
from sandbox.mpgs.orders import VOID, known_order, receipt, refund_transaction
from sandbox.mpgs.wire import Data, check_fields, invalid, money, rejected, section, text, wrong
from sandbox.records import Account, Payment, PaymentState, Refund, RefundState


def take(context: Context, account: Account, order_no: str, refund_no: str, data: Data) -> dict[str, Any]:
    """REFUND, or VOID of the payment before it is settled; the same id again gets the first outcome."""
    payment = known_order(context, account, order_no)
    operation = data.get("apiOperation", "REFUND")
    check_fields(data, ("apiOperation", "transaction"))
    if len(refund_no) > 40 or refund_no == "1":
        raise wrong("transactionId")
    if operation == VOID:
        amount = _void_amount(data, payment)
    elif operation == "REFUND":
        amount = _refund_amount(data, payment)
    else:
        raise wrong("apiOperation", "REFUND and VOID are there")
    known = _known(context, payment, refund_no)
    if known is None:
        known = _add(context, payment, refund_no, amount, operation)
    elif known.amount != amount or (known.reason == VOID) != (operation == VOID):
        raise invalid(f"Transaction {refund_no} exists already with other contents")
    return refund_transaction(context, context.book.payment(payment.id), known)


def look(context: Context, account: Account, order_no: str, refund_no: str) -> dict[str, Any]:
    payment = known_order(context, account, order_no)
    known = _known(context, payment, refund_no)
    if known is None:
        raise invalid(f"Unable to find transaction {refund_no} of order {order_no} for merchant {account.key}")
    return refund_transaction(context, payment, known)


def _known(context: Context, payment: Payment, refund_no: str) -> Refund | None:
    return next((r for r in context.book.refunds(payment) if r.refund_no == refund_no), None)


def _refund_amount(data: Data, payment: Payment) -> int:
    details = section(data, "transaction", ("amount", "currency", "reference"))
    text(details, "reference", "transaction.reference", 40, needed=False)
    amount, currency = money(details, "transaction")
    if currency != payment.currency:
        raise wrong("transaction.currency", "Not the order's currency")
    return amount


def _void_amount(data: Data, payment: Payment) -> int:
    details = section(data, "transaction", ("targetTransactionId", "reference"))
    if text(details, "targetTransactionId", "transaction.targetTransactionId", 40) != "1":
        raise invalid("Unable to find the target transaction")
    return payment.paid_amount


def _add(context: Context, payment: Payment, refund_no: str, amount: int, operation: str) -> Refund:
    """Decided at once, as the acquirer does, or as the controls said beforehand."""
    if payment.state is not PaymentState.PAID:
        raise rejected("The order has not been captured")
    state = context.book.ending(refund_no)
    with context.store.together():
        try:
            refund = context.book.add_refund(
                payment, refund_no=refund_no, channel_refund_no=receipt(context.clock(), payment.id + 500_000),
                amount=amount, reason=operation, notify_url=payment.notify_url, state=state,
            )  # fmt: skip
        except NotPossible as exc:
            raise rejected(str(exc)) from exc
        if state is not RefundState.PENDING and payment.notify_url:
            context.notifier.owe(payment, refund)
    return refund
