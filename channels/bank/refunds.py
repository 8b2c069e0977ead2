"""Refunds at the bank: our number is the key, the same again gives the same. Specified in docs/channels/bank.md."""

from __future__ import annotations

from collections.abc import Mapping

from channels.bank.gateway import Answer, Gateway
from channels.bank.reading import clean_text, named, order_name, parse_amount
from channels.base import Notice, NoticeKind, RefundOrder, RefundRef, RefundResult, RefundState
from channels.base.beijing import from_beijing_digits
from paycenter.errors import MalformedInbound, UnknownOutcome

REASON_LENGTH = 64
STATES = {
    "PROCESSING": RefundState.PROCESSING, "SUCCESS": RefundState.SUCCEEDED, "FAILED": RefundState.FAILED,
}  # fmt: skip
# Words about this very refund. The bank knows a repeat before it looks at anything else, hence none of them can
# answer one whose first sending came through. AUT… are about us and REF0002 about another refund: both decide nothing.
_REFUSALS = frozenset({"PAR0001", "ORD0001", "REF0001", "REF0004"})
_NOT_FOUND = "REF0003"


class Refunds:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def send(self, order: RefundOrder) -> RefundResult:
        """As `Provider.refund`."""
        content = {
            **order_name(order.order), "RefundNo": order.refund_no, "Amount": order.amount.major,
            "NoticeUrl": order.notify_url, "Reason": clean_text(order.reason, REASON_LENGTH),
        }  # fmt: skip
        filled = {name: value for name, value in content.items() if value}
        answer = self._gateway.call("/refund", "refund", filled, operation="refund")
        if answer.ok:
            return _read(answer, order)
        if not answer.signed or answer.code not in _REFUSALS or answer.data.get("RefundNo") != order.refund_no:
            raise UnknownOutcome(f"the bank answered {answer}")
        return order.refused(answer.code, answer.message)

    def ask(self, refund: RefundRef) -> RefundResult:
        """As `Provider.query_refund`."""
        content = {"RefundNo": refund.refund_no}
        answer = self._gateway.call("/refund/query", "refund_query", content, operation="query_refund")
        if answer.ok:
            return _read(answer, refund)
        if not answer.signed or answer.code != _NOT_FOUND or answer.data.get("RefundNo") != refund.refund_no:
            raise UnknownOutcome(f"the bank answered {answer}")
        return refund.not_found(answer.code, answer.message)


def _read(answer: Answer, refund: RefundRef) -> RefundResult:
    """A refund as the bank has it; raises UnknownOutcome unless it is ours, of this payment and amount."""
    found, own = answer.data, {**order_name(refund.order), "RefundNo": refund.refund_no}
    if any(found.get(name) != value for name, value in own.items()):
        raise UnknownOutcome("the bank's words are about another refund or payment")
    word, amount = found.get("RefundStatus", ""), parse_amount(found.get("Amount", ""))
    state = STATES.get(word)
    if state is None:
        raise UnknownOutcome(f"unknown refund status {word!r}")
    if not refund.is_of(amount):
        raise UnknownOutcome("the bank gives back another amount under this number")
    return RefundResult(
        state=state, refund_no=refund.refund_no, amount=amount, channel_refund_no=found.get("RefundSerialNo"),
        finished_at=from_beijing_digits(found.get("RefundTime", "")), channel_state=word, code=answer.code,
        message=answer.message,
    )  # fmt: skip


def refund_notice(found: Mapping[str, str]) -> Notice:
    """A genuine `notice.refund`. Raises MalformedInbound where it does not say which refund of how much."""
    number, day = named(found)
    refund_no, amount = found.get("RefundNo"), parse_amount(found.get("RefundAmount", ""))
    if refund_no is None or amount is None:
        raise MalformedInbound("a refund without number or amount")
    word = found.get("RefundStatus", "")
    return Notice(
        kind=NoticeKind.REFUND, order_no=number, order_day=day, amount=amount,
        channel_trade_no=found.get("BankSerialNo"), channel_state=word, refund_no=refund_no,
        channel_refund_no=found.get("RefundSerialNo"), refund_state=STATES.get(word),
        notice_id=found.get("NoticeNo", ""),
    )  # fmt: skip
