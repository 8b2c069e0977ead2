"""Giving money back, and asking about it: https://docs.acmepay.example/api/refunds"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.acmepay.gateway import Gateway
from channels.base import Notice, NoticeKind, RefundOrder, RefundRef, RefundResult, RefundState
from channels.base.answers import Answer
from channels.base.reading import Unreadable, minor_in, moment_in, optional_in, text_in
from paycenter.errors import UnknownOutcome

REASON_LENGTH = 80
_STATES = {"PROCESSING": RefundState.PROCESSING, "SUCCESS": RefundState.SUCCEEDED, "FAILED": RefundState.FAILED}
_NOT_FOUND, _SHORT = "REFUND_NOT_FOUND", "BALANCE_SHORT"
# AcmePay knows a repeat before it looks at anything else: none of these can answer one that came through before.
_REFUSALS = frozenset({"PARAM_INVALID", "ORDER_NOT_FOUND", "ORDER_NOT_PAID", "REFUND_EXCEEDS", _SHORT})


def refund(gateway: Gateway, order: RefundOrder) -> RefundResult:
    """Sent again under the same number it moves nothing more, and the same order gives the same request."""
    answer = gateway.call("/v1/refunds", {
        "order_no": order.order.order_no, "refund_no": order.refund_no, "amount": order.amount.minor,
        "currency": order.amount.currency, "reason": order.reason[:REASON_LENGTH], "notify_url": order.notify_url,
    }, operation="refund")  # fmt: skip
    if answer.code in _REFUSALS:
        return order.refused(answer.code, answer.message, resendable=answer.code == _SHORT)
    return _read(answer, order)


def query_refund(gateway: Gateway, ref: RefundRef) -> RefundResult:
    """NOT_FOUND only where AcmePay says so in words."""
    answer = gateway.call("/v1/refunds/query", {"refund_no": ref.refund_no}, operation="query_refund")
    if answer.code == _NOT_FOUND:
        return ref.not_found(answer.code, answer.message)
    return _read(answer, ref)


def notice(data: Mapping[str, Any]) -> Notice:
    """What a notification about a refund says, and an answer alike. Raises Unreadable."""
    word = text_in(data, "status")
    return Notice(
        kind=NoticeKind.REFUND, notice_id=optional_in(data, "notice_id") or "", order_no=text_in(data, "order_no"),
        refund_no=text_in(data, "refund_no"), channel_refund_no=text_in(data, "refund_id"),
        refund_state=_STATES.get(word), amount=minor_in(data, "amount"), channel_state=word,
    )  # fmt: skip


def _read(answer: Answer[Any], ref: RefundRef) -> RefundResult:
    """A refund as AcmePay has it; raises UnknownOutcome unless it is ours, of this payment and amount."""
    try:
        told = notice(answer.data)
    except Unreadable as exc:
        raise UnknownOutcome(f"AcmePay answered {answer}: {exc}") from exc
    if answer.code != "OK" or told.refund_state is None:
        raise UnknownOutcome(f"AcmePay answered {answer}, {told.channel_state!r}")
    if told.order_no != ref.order.order_no or not ref.is_of(told.amount):
        raise UnknownOutcome("AcmePay's answer is about another payment or amount")
    return RefundResult(
        state=told.refund_state, refund_no=ref.refund_no, amount=told.amount, channel_state=told.channel_state,
        channel_refund_no=told.channel_refund_no, finished_at=moment_in(answer.data, "finished_at"),
    )  # fmt: skip
