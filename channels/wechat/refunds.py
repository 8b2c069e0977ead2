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
from channels.base.beijing import BEIJING
from channels.base.reading import Unreadable, moment_in, optional_in, text_in
from channels.wechat import reading
from channels.wechat.gateway import Answer, Gateway
from channels.wechat.ordering import cut_text, notify_url_problem, unknown
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
        return order.refused("PARAM_ERROR", problem)
    answer = gateway.call("POST", _PATH, _payload(order), operation="refund")
    if answer.ok:
        return _read(answer, order)
    if answer.code not in _FINAL:
        raise unknown(answer)
    # WeChat Pay's own advice: whatever is not 200 is asked about, so an earlier sending is not overlooked.
    found = query_refund(gateway, order)
    if found.state is not RefundState.NOT_FOUND:
        return found
    return order.refused(answer.code, answer.message, resendable=answer.code == _SHORT)


def query_refund(gateway: Gateway, ref: RefundRef) -> RefundResult:
    """Ask for it by our number. Raises NotSent or UnknownOutcome."""
    answer = gateway.call("GET", f"{_PATH}/{quote(ref.refund_no, safe='')}", operation="query_refund")
    if answer.status == 404 and answer.code == _NO_REFUND:
        return ref.not_found(answer.code, answer.message)
    if not answer.ok:
        raise unknown(answer)
    return _read(answer, ref)


def notice(data: Mapping[str, Any], notice_id: str) -> Notice:
    """The plain text of a REFUND event. Raises Unreadable."""
    word = text_in(data, "refund_status")
    return Notice(
        kind=NoticeKind.REFUND, notice_id=notice_id, order_no=text_in(data, "out_trade_no"),
        channel_trade_no=optional_in(data, "transaction_id"), refund_no=text_in(data, "out_refund_no"),
        channel_refund_no=optional_in(data, "refund_id"), refund_state=_STATES.get(word),
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


def _read(answer: Answer, ref: RefundRef) -> RefundResult:
    try:
        return _result(answer.data, ref)
    except Unreadable as exc:
        raise UnknownOutcome(f"an answer we cannot read: {exc}") from exc


def _result(data: Mapping[str, Any], ref: RefundRef) -> RefundResult:
    """Raises Unreadable, or UnknownOutcome for an answer about another refund."""
    _must_be_this_refund(data, ref)
    word = text_in(data, "status")
    state = _STATES.get(word)
    if state is None:
        raise Unreadable("status is not a word we know")
    return RefundResult(
        state=state, refund_no=ref.refund_no, amount=reading.money(data, "refund"),
        channel_refund_no=text_in(data, "refund_id"),
        finished_at=moment_in(data, "success_time", BEIJING), channel_state=word,
    )  # fmt: skip


def _must_be_this_refund(data: Mapping[str, Any], ref: RefundRef) -> None:
    wanted = {"out_refund_no": ref.refund_no, "out_trade_no": ref.order.order_no}
    known = {"transaction_id": ref.order.channel_trade_no, "refund_id": ref.channel_refund_no}
    for name, value in (wanted | {n: v for n, v in known.items() if v}).items():
        if data.get(name) != value:
            raise UnknownOutcome(f"the answer is about another payment or refund ({name})")
    if not ref.is_of(reading.money(data, "refund")) or reading.money(data, "total") != ref.order.amount:
        raise UnknownOutcome("the answer is about other amounts")
