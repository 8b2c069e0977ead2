"""What the bank tells of its own accord: notices to the merchant's server, and the payer's way back."""

from __future__ import annotations

from sandbox.amounts import yuan
from sandbox.bank import wire
from sandbox.bank.orders import payer_of, wire_name
from sandbox.bank.refunds import STATES
from sandbox.claims import Claim, Message, Signing, Subject
from sandbox.context import Context
from sandbox.records import Account, Notice, Payment

_HEADERS = {"Content-Type": f"{wire.FORM}; charset=UTF-8"}


def message(context: Context, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
    """`NoticeNo` stays the same over retries. A refund is told where its request, or else the order, said."""
    fields = {
        "MsgType": "notice.payment", "NoticeNo": notice.notice_id.replace("-", ""), **wire_name(claim.order_no),
        "Amount": yuan(claim.amount), "OrderStatus": "PAID", "BankSerialNo": claim.trade_no,
        "PaidTime": wire.stamp(claim.paid_at), **payer_of(subject.payment),
    }  # fmt: skip
    if claim.merchant_id is not None:
        fields["BranchID"] = claim.merchant_id
    if claim.app_id is not None:
        fields["CoNo"] = claim.app_id
    url = subject.payment.notify_url
    if subject.refund is not None:
        refund, url = subject.refund, subject.refund.notify_url or url
        fields |= {
            "MsgType": "notice.refund", "RefundNo": refund.refund_no, "RefundSerialNo": refund.channel_refund_no,
            "RefundAmount": yuan(refund.amount), "RefundStatus": STATES[refund.state],
        }  # fmt: skip
    body = wire.encoded(wire.signed(context, account, fields, claim.signing))
    return Message(url=url, headers=_HEADERS, body=body.encode("ascii"))


def return_url(context: Context, payment: Payment) -> str:
    """It carries no state: it proves nothing but the order."""
    fields = {
        "MsgType": "return", **wire_name(payment.order_no), "Amount": yuan(payment.total),
        "BankSerialNo": payment.trade_no, "ReturnTime": wire.stamp(context.clock()),
    }  # fmt: skip
    made = wire.signed(context, context.store.account_of(payment), fields, Signing.GENUINE)
    return f"{payment.return_url}{'&' if '?' in payment.return_url else '?'}{wire.encoded(made)}"
