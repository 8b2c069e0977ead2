"""AcmePay's orders and refunds: what each call does to the book, and what it says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sandbox.acmepay.wire import Refused
from sandbox.book import NewPayment, NotPossible, random_digits
from sandbox.clock import parse_rfc3339, rfc3339
from sandbox.context import Context
from sandbox.records import Account, Outcome, Payment, PaymentState, Refund, RefundState

Fields = Mapping[str, Any]
STATES = {
    PaymentState.UNSCANNED: "CREATED", PaymentState.UNPAID: "CREATED", PaymentState.PAID: "PAID",
    PaymentState.CLOSED: "CLOSED",
}  # fmt: skip
REFUND_STATES = {RefundState.PENDING: "PROCESSING", RefundState.SUCCESS: "SUCCESS", RefundState.FAIL: "FAILED"}
PAYER = "acme-user-70031188"


def new_trade_no() -> str:
    return "AP" + random_digits(22)


def new_refund_id() -> str:
    return "AR" + random_digits(22)


def text(fields: Fields, name: str, longest: int, *, required: bool = True) -> str:
    value = fields.get(name, "" if not required else None)
    if not isinstance(value, str) or len(value) > longest or (required and not value):
        raise Refused("PARAM_INVALID", f"{name} is missing or wrong")
    return value


def amount(fields: Fields) -> int:
    value = fields.get("amount")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or fields.get("currency") != "CNY":
        raise Refused("PARAM_INVALID", "amount or currency is wrong")
    return value


class Orders:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.book = context.book

    def create(self, account: Account, fields: Fields, base: str) -> dict[str, Any]:
        """The same request again is the same order; the number with other contents is a conflict."""
        number, request = text(fields, "order_no", 32), json.dumps(fields, sort_keys=True)
        known = self.book.find("acmepay", account.key, number)
        if known is not None and known.request != request:
            raise Refused("ORDER_CONFLICT", "the number is taken by another order")
        made = known or self.book.add(self._new(account, fields, number, request))
        return {"trade_no": made.trade_no, "pay_url": f"{base}/acmepay/pay/{made.code}"}

    def _new(self, account: Account, fields: Fields, number: str, request: str) -> NewPayment:
        try:
            expires_at = parse_rfc3339(text(fields, "expires_at", 32))
        except ValueError:
            raise Refused("PARAM_INVALID", "expires_at is no time") from None
        if expires_at <= self.context.clock():
            raise Refused("ORDER_EXPIRED", "expires_at is over")
        if fields.get("scene") not in ("qr", "page"):
            raise Refused("PARAM_INVALID", "scene is unknown")
        return NewPayment(
            channel="acmepay", account=account.key, order_no=number, trade_no=new_trade_no(), scene=fields["scene"],
            amount=amount(fields), currency="CNY", subject=text(fields, "subject", 128),
            notify_url=text(fields, "notify_url", 512), return_url=text(fields, "return_url", 512, required=False),
            code=self.context.token(), code_expires_at=expires_at, expires_at=expires_at, state=PaymentState.UNPAID,
            request=request, extra={},
        )  # fmt: skip

    def _existing(self, account: Account, fields: Fields) -> Payment:
        found = self.book.find("acmepay", account.key, text(fields, "order_no", 32))
        if found is None:
            raise Refused("ORDER_NOT_FOUND", "no such order")
        return found

    def query(self, account: Account, fields: Fields, _base: str) -> dict[str, Any]:
        payment = self._existing(account, fields)
        return {**order_fields(payment), "refunded": self.book.refunded(payment, settled=True)}

    def close(self, account: Account, fields: Fields, _base: str) -> dict[str, Any]:
        payment = self._existing(account, fields)
        if payment.state is PaymentState.UNPAID:
            try:
                payment = self.book.close(payment)
            except NotPossible:
                payment = self.book.payment(payment.id)
        if payment.state is PaymentState.PAID:
            raise Refused("ORDER_PAID", "the order is paid")
        return order_fields(payment)

    # -- refunds

    def refund(self, account: Account, fields: Fields, _base: str) -> dict[str, Any]:
        """A known number is looked at before the payment: a repeat is never refused for what it did itself."""
        number, wanted = text(fields, "refund_no", 32), amount(fields)
        known = self.book.find_refund(number, channel="acmepay", account=account.key)
        payment = self._existing(account, fields)
        if known is not None:
            if (known.payment_id, known.amount) != (payment.id, wanted):
                raise Refused("REFUND_CONFLICT", "the number is taken by another refund")
            return refund_fields(payment, known)
        if payment.state is not PaymentState.PAID:
            raise Refused("ORDER_NOT_PAID", "the order is not paid")
        if self.book.refunded(payment) + wanted > payment.paid_amount:
            raise Refused("REFUND_EXCEEDS", "more than is left")
        if self.book.outcome(number) == Outcome.NO_BALANCE:
            raise Refused("BALANCE_SHORT", "the merchant's balance is short")
        made = self.book.add_refund(
            payment, refund_no=number, channel_refund_no=new_refund_id(), amount=wanted,
            reason=text(fields, "reason", 80, required=False), notify_url=text(fields, "notify_url", 512),
        )  # fmt: skip
        return refund_fields(payment, made)

    def query_refund(self, account: Account, fields: Fields, _base: str) -> dict[str, Any]:
        known = self.book.find_refund(text(fields, "refund_no", 32), channel="acmepay", account=account.key)
        if known is None:
            raise Refused("REFUND_NOT_FOUND", "no such refund")
        return refund_fields(self.book.payment(known.payment_id), known)


def order_fields(payment: Payment) -> dict[str, Any]:
    made: dict[str, Any] = {
        "order_no": payment.order_no, "trade_no": payment.trade_no, "status": STATES[payment.state],
        "amount": payment.total, "currency": payment.currency,
    }  # fmt: skip
    if payment.paid_at is not None:
        made |= {"paid_at": rfc3339(payment.paid_at), "payer": payment.payer or PAYER}
    return made


def refund_fields(payment: Payment, refund: Refund) -> dict[str, Any]:
    made: dict[str, Any] = {
        "order_no": payment.order_no, "refund_no": refund.refund_no, "refund_id": refund.channel_refund_no,
        "status": REFUND_STATES[refund.state], "amount": refund.amount, "currency": payment.currency,
    }  # fmt: skip
    return made | ({"finished_at": rfc3339(refund.settled_at)} if refund.settled_at is not None else {})
