"""Giving money back through WeChat Pay: accepted at once, ended later, told about when it has ended.

Apply: https://pay.weixin.qq.com/doc/v3/merchant/4012791862
Query: https://pay.weixin.qq.com/doc/v3/merchant/4012791863
Notification: https://pay.weixin.qq.com/doc/v3/merchant/4012791865
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from channels.base import Notice, NoticeKind, RefundOrder, RefundRef, RefundResult, RefundState
from channels.wechat import reading
from channels.wechat.gateway import Answer, Gateway
from channels.wechat.ordering import cut_text, notify_url_problem, unknown
from channels.wechat.reading import Unreadable
from paycenter.errors import UnknownOutcome

_PATH = "/v3/refund/domestic/refunds"
REASON_BYTES = 80
_STATES: Mapping[str, RefundState] = {
    "PROCESSING": RefundState.PROCESSING,
    "SUCCESS": RefundState.SUCCEEDED,
    "CLOSED": RefundState.FAILED,  # the number is used up: another try needs another one
    "ABNORMAL": RefundState.ATTENTION,  # the payer's card and wallet are gone: the merchant says where to
}
# The merchant's balance is short: the same number, with the same contents, is accepted once there is money.
_SHORT = "NOT_ENOUGH"
# Words of a 4xx that no repetition changes. Left out on purpose: `SIGN_ERROR` (our keys, not this refund) and
# `RULE_LIMIT` (a minute has to pass between two refunds of one order).
_FINAL = frozenset({
    "PARAM_ERROR", "INVALID_REQUEST", "APPID_MCHID_NOT_MATCH", "MCH_NOT_EXISTS", "NO_AUTH", "NOAUTH",
    "USER_ACCOUNT_ABNORMAL", "TRADE_OVERDUE", "REFUND_FEE_MISMATCH", "RESOURCE_NOT_EXISTS", _SHORT,
})  # fmt: skip
_NO_REFUND = "RESOURCE_NOT_EXISTS"


def refund(gateway: Gateway, order: RefundOrder) -> RefundResult:
    """Apply for it. Raises NotSent, or UnknownOutcome for every answer but a verified 200 and a final no."""
    if problem := notify_url_problem(order.notify_url):
        return _failed(order, "PARAM_ERROR", problem)
    answer = gateway.call("POST", _PATH, _payload(order), operation="refund")
    if answer.ok:
        return _read(answer, order)
    if answer.code not in _FINAL:
        raise unknown(answer)
    # WeChat Pay's own advice: whatever is not 200 is asked about, so an earlier sending is not overlooked.
    found = query_refund(gateway, order)
    return found if found.state is not RefundState.NOT_FOUND else _failed(order, answer.code, answer.message)


def query_refund(gateway: Gateway, ref: RefundRef) -> RefundResult:
    """Ask for it by our number. Raises NotSent or UnknownOutcome."""
    answer = gateway.call("GET", f"{_PATH}/{quote(ref.refund_no, safe='')}", operation="query_refund")
    if answer.status == 404 and answer.code == _NO_REFUND:
        return RefundResult(
            state=RefundState.NOT_FOUND, refund_no=ref.refund_no, code=answer.code, message=answer.message,
            resendable=True,
        )  # fmt: skip
    if not answer.ok:
        raise unknown(answer)
    return _read(answer, ref)


def notice(data: Mapping[str, Any], notice_id: str) -> Notice:
    """The plain text of a REFUND event. Raises Unreadable."""
    word = reading.text(data, "refund_status")
    return Notice(
        kind=NoticeKind.REFUND, notice_id=notice_id, order_no=reading.text(data, "out_trade_no"),
        channel_trade_no=reading.optional(data, "transaction_id"), refund_no=reading.text(data, "out_refund_no"),
        channel_refund_no=reading.optional(data, "refund_id"), refund_state=_STATES.get(word),
        amount=reading.money(data, "refund"), channel_state=word,
    )  # fmt: skip


def _payload(order: RefundOrder) -> dict[str, Any]:
    """Depends on nothing but the order: sending it again must repeat every parameter."""
    payload: dict[str, Any] = {
        "out_trade_no": order.order.order_no,
        "out_refund_no": order.refund_no,
        "notify_url": order.notify_url,
        "amount": {
            "refund": order.amount.minor, "total": order.order.amount.minor, "currency": order.amount.currency,
        },
    }  # fmt: skip
    if reason := cut_text(order.reason, REASON_BYTES):
        payload["reason"] = reason
    return payload


def _failed(order: RefundOrder, code: str, message: str) -> RefundResult:
    return RefundResult(
        state=RefundState.FAILED, refund_no=order.refund_no, code=code, message=message, resendable=code == _SHORT
    )


def _read(answer: Answer, ref: RefundRef) -> RefundResult:
    try:
        return _result(answer.data, ref)
    except Unreadable as exc:
        raise UnknownOutcome(f"an answer we cannot read: {exc}") from exc


def _result(data: Mapping[str, Any], ref: RefundRef) -> RefundResult:
    """Raises Unreadable, or UnknownOutcome for an answer about another refund."""
    _must_be_this_refund(data, ref)
    word = reading.text(data, "status")
    state = _STATES.get(word)
    if state is None:
        raise Unreadable("status is not a word we know")
    return RefundResult(
        state=state, refund_no=ref.refund_no, amount=reading.money(data, "refund"),
        channel_refund_no=reading.text(data, "refund_id"),
        finished_at=reading.moment(data, "success_time"), channel_state=word,
    )  # fmt: skip


def _must_be_this_refund(data: Mapping[str, Any], ref: RefundRef) -> None:
    wanted = {"out_refund_no": ref.refund_no, "out_trade_no": ref.order.order_no}
    known = {"transaction_id": ref.order.channel_trade_no, "refund_id": ref.channel_refund_no}
    for name, value in (wanted | {n: v for n, v in known.items() if v}).items():
        if data.get(name) != value:
            raise UnknownOutcome(f"the answer is about another payment or refund ({name})")
    if not ref.is_of(reading.money(data, "refund")) or reading.money(data, "total") != ref.order.amount:
        raise UnknownOutcome("the answer is about other amounts")
