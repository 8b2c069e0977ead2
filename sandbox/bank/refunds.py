"""Refunds: accepted at once, ended some time later."""

from __future__ import annotations

import re

from sandbox.amounts import yuan
from sandbox.bank.orders import Orders, address_of, amount_of, book_name, wire_name
from sandbox.bank.wire import Fields, Refused, stamp, wrong
from sandbox.book import random_digits
from sandbox.clock import beijing
from sandbox.context import Context
from sandbox.records import Account, Payment, PaymentState, Refund, RefundState

WINDOW_SECONDS = 180 * 86400.0
STATES = {RefundState.PENDING: "PROCESSING", RefundState.SUCCESS: "SUCCESS", RefundState.FAIL: "FAILED"}
_REFUND_NO = re.compile(r"[0-9A-Za-z]{1,32}", re.ASCII)


class Refunds:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.book = context.book
        self._orders = Orders(context)

    def apply(self, account: Account, fields: Fields) -> dict[str, str]:
        """A known number is looked at before the payment: a repeat is never refused for what it did itself."""
        number, amount = _number(fields), amount_of(fields)
        if len(fields.get("Reason", "")) > 64:
            raise wrong("Reason")
        notice_url = address_of(fields, "NoticeUrl", required=False)
        known = self.book.find_refund(number, channel="bank", account=account.key)
        if known is not None:
            payment = self.book.payment(known.payment_id)
            if (payment.order_no, known.amount) != (book_name(fields), amount):
                raise Refused("REF0002", "退款单号已被使用且内容不一致")
            return refund_fields(payment, known)
        payment = self._orders.existing(account, fields)
        self._check_possible(payment, amount)
        refund = self.book.add_refund(
            payment, refund_no=number, channel_refund_no=new_serial(self.context.clock()), amount=amount,
            reason=fields.get("Reason", ""), notify_url=notice_url,
        )  # fmt: skip
        return refund_fields(payment, refund)

    def _check_possible(self, payment: Payment, amount: int) -> None:
        if payment.state is not PaymentState.PAID:
            raise Refused("REF0004", "订单未支付")
        if self.context.clock() - (payment.paid_at or 0) > WINDOW_SECONDS:
            raise Refused("REF0004", "已超过可退款期限")
        if self.book.refunded(payment) + amount > payment.paid_amount:
            raise Refused("REF0001", "退款金额超过可退金额")

    def query(self, account: Account, fields: Fields) -> dict[str, str]:
        known = self.book.find_refund(_number(fields), channel="bank", account=account.key)
        if known is None:
            raise Refused("REF0003", "退款单不存在")
        return refund_fields(self.book.payment(known.payment_id), known)


def _number(fields: Fields) -> str:
    if not _REFUND_NO.fullmatch(fields.get("RefundNo", "")):
        raise wrong("RefundNo")
    return fields["RefundNo"]


def new_serial(now: float) -> str:
    return f"{beijing(now).strftime('%Y%m%d')}66{random_digits(14)}"


def refund_fields(payment: Payment, refund: Refund) -> dict[str, str]:
    made = {
        **wire_name(payment.order_no), "RefundNo": refund.refund_no, "RefundSerialNo": refund.channel_refund_no,
        "RefundStatus": STATES[refund.state], "Amount": yuan(refund.amount),
    }  # fmt: skip
    return made | ({"RefundTime": stamp(refund.settled_at)} if refund.settled_at is not None else {})
