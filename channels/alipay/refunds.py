"""Giving money back through Alipay: refunded in the call itself, asked about by the request number.

Refund: https://opendocs.alipay.com/open/4b7cc5db_alipay.trade.refund
Query: https://opendocs.alipay.com/open/8c776df6_alipay.trade.fastpay.refund.query
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.alipay.gateway import Answer, Gateway, from_beijing
from channels.alipay.reading import clean_text, parse_amount
from channels.alipay.refusals import BUSINESS_FAILED, is_not_admitted
from channels.base import RefundOrder, RefundRef, RefundResult, RefundState
from paycenter.errors import UnknownOutcome

REASON_LENGTH = 256
# Seconds in which "no such refund" may only mean "not yet".
SETTLING_SECONDS = 10
_MOVED = "Y"
_NO_TRADE = "ACQ.TRADE_NOT_EXIST"
# The merchant's balance is short: the same number is accepted once there is money.
_SHORT = "ACQ.SELLER_BALANCE_NOT_ENOUGH"
# Left out on purpose: `ACQ.SYSTEM_ERROR` (it may have acted) and `ACQ.DISCORDANT_REPEAT_REQUEST` (a refund of
# another amount lives under this number).
_FINAL = frozenset({
    "ACQ.ALLOC_AMOUNT_VALIDATE_ERROR",
    "ACQ.BUYER_ENABLE_STATUS_FORBID",
    "ACQ.BUYER_ERROR",
    "ACQ.BUYER_NOT_EXIST",
    "ACQ.CUSTOMER_VALIDATE_ERROR",
    "ACQ.INVALID_PARAMETER",
    "ACQ.NOT_ALLOW_PARTIAL_REFUND",
    "ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND",
    "ACQ.OVERDRAFT_AGREEMENT_NOT_MATCH",
    "ACQ.OVERDRAFT_ASSIGN_ACCOUNT_INVALID",
    "ACQ.REASON_TRADE_BEEN_FREEZEN",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR",
    "ACQ.REASON_TRADE_STATUS_INVALID",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
    "ACQ.REFUND_CHARGE_ERROR",
    "ACQ.REFUND_FEE_ERROR",
    "ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST",
    "ACQ.TRADE_HAS_CLOSE",
    "ACQ.TRADE_HAS_FINISHED",
    "ACQ.TRADE_NOT_ALLOW_REFUND",
    "ACQ.TRADE_STATUS_ERROR",
    "ACQ.USER_NOT_MATCH_ERR",
    _NO_TRADE,
    _SHORT,
})  # fmt: skip


def refund(gateway: Gateway, order: RefundOrder) -> RefundResult:
    """Send it. Only `fund_change` Y says that this very call moved the money; whatever else is no
    trouble is asked about. Raises NotSent or UnknownOutcome."""
    answer = gateway.call("alipay.trade.refund", _content(order), operation="refund")
    if answer.signed and is_not_admitted(answer):
        return _failed(order, answer)
    if answer.signed and answer.code == BUSINESS_FAILED and answer.sub_code in _FINAL:
        return _refused(gateway, order, answer)
    if not answer.ok:
        raise UnknownOutcome(f"Alipay answered {answer}")
    _must_be_of(answer, order, complete=True)
    if answer.text("fund_change") == _MOVED:
        return _moved(order, answer)
    found = query_refund(gateway, order)
    if found.state is not RefundState.NOT_FOUND:
        return found
    return RefundResult(state=RefundState.PROCESSING, refund_no=order.refund_no, code=answer.code)


def query_refund(gateway: Gateway, ref: RefundRef) -> RefundResult:
    """Ask for it. A success without `refund_status` is "not received, or failed", which says nothing
    within `SETTLING_SECONDS` of the sending. Raises NotSent or UnknownOutcome."""
    content = {
        "out_trade_no": ref.order.order_no, "out_request_no": ref.refund_no, "query_options": ["gmt_refund_pay"],
    }  # fmt: skip
    answer = gateway.call("alipay.trade.fastpay.refund.query", content, operation="query_refund")
    status, no_trade = answer.text("refund_status"), answer.signed and answer.sub_code == _NO_TRADE
    if no_trade or (answer.ok and not status):
        _must_be_of(answer, ref, complete=False)
        return ref.not_found(answer.sub_code or answer.code, answer.message)
    if not answer.ok:
        raise UnknownOutcome(f"Alipay answered {answer}")
    if status != "REFUND_SUCCESS":
        raise UnknownOutcome(f"unknown refund status {status!r}")
    _must_be_of(answer, ref, complete=True)
    _must_be_this_refund(answer, ref)
    amount = parse_amount(answer.text("refund_amount"))
    return RefundResult(
        state=RefundState.SUCCEEDED, refund_no=ref.refund_no, amount=amount, channel_state=status,
        finished_at=from_beijing(answer.text("gmt_refund_pay")), code=answer.code,
    )  # fmt: skip


def _content(order: RefundOrder) -> Mapping[str, Any]:
    found = {
        "out_trade_no": order.order.order_no,
        "refund_amount": order.amount.major,
        "out_request_no": order.refund_no,
        "refund_reason": clean_text(order.reason, REASON_LENGTH),
    }
    return {name: value for name, value in found.items() if value}


def _refused(gateway: Gateway, order: RefundOrder, answer: Answer) -> RefundResult:
    """What is refused now (the trade is closed, nothing is left) may be so because an earlier sending of
    the same number went through: the refusal counts where Alipay knows no such refund."""
    found = query_refund(gateway, order)
    return found if found.state is not RefundState.NOT_FOUND else _failed(order, answer)


def _failed(order: RefundOrder, answer: Answer) -> RefundResult:
    code = answer.sub_code or answer.code
    return order.refused(code, answer.message, resendable=code == _SHORT)


def _moved(order: RefundOrder, answer: Answer) -> RefundResult:
    """`refund_fee` is what the trade has given back so far; this refund is part of it."""
    given_back = parse_amount(answer.text("refund_fee"))
    if given_back is None or given_back.minor < order.amount.minor:
        raise UnknownOutcome("refunded, but the sum given back does not hold this refund")
    return RefundResult(
        state=RefundState.SUCCEEDED, refund_no=order.refund_no, amount=order.amount,
        finished_at=from_beijing(answer.text("gmt_refund_pay")), channel_state=f"fund_change={_MOVED}",
        code=answer.code,
    )  # fmt: skip


def _must_be_of(answer: Answer, ref: RefundRef, *, complete: bool) -> None:
    """The answer names this payment; one that found nothing may leave names out. Raises UnknownOutcome."""
    wanted = {"out_trade_no": ref.order.order_no, "trade_no": ref.order.channel_trade_no or ""}
    if not complete:
        wanted["out_request_no"] = ref.refund_no
    for name, value in wanted.items():
        found = answer.text(name)
        if (found or complete) and value and found != value:
            raise UnknownOutcome(f"Alipay's answer is about another payment or refund ({name})")


def _must_be_this_refund(answer: Answer, ref: RefundRef) -> None:
    """Its number, its amount, and the payment's total where stated. Raises UnknownOutcome."""
    amount = parse_amount(answer.text("refund_amount"))
    if answer.text("out_request_no") != ref.refund_no or not ref.is_of(amount):
        raise UnknownOutcome("Alipay's answer is about another refund")
    total = answer.text("total_amount")
    if total and parse_amount(total) != ref.order.amount:
        raise UnknownOutcome("Alipay's answer is about a payment of another amount")
