"""Refunds at UnionPay: taken in by a call, ended by a notice or by asking for the refund's own number and time.

https://open.unionpay.com/tjweb/acproduct/APIList?acpAPIId=756&apiservId=448&version=V2.2&bussType=0
"""

from __future__ import annotations

from collections.abc import Mapping

from channels.base import Notice, NoticeKind, RefundOrder, RefundRef, RefundResult, RefundState
from channels.base.answers import Answer
from channels.base.beijing import beijing_digits, from_beijing_digits
from channels.unionpay.codes import NOT_FOUND, REFUSALS, SUCCESS, parse_amount
from channels.unionpay.gateway import Gateway
from paycenter.errors import MalformedInbound, NotSent, UnknownOutcome
from paycenter.money import Money

REFUND = "04"
# Of a refund also: the payment cannot be given back (35), or was given back already (45).
_REFUSALS = REFUSALS | {"35", "45"}
_DUPLICATE = "12"
# Taken in and not ended. 03 and 04, time-out and unclear, say less.
_PROCESSING = "05"
_NO_QUERY_ID = "UnionPay's queryId of the payment is not known yet: ask for the payment, then send again"
# A gateway payment's; another product says its own in the payment's memo.
_PRODUCT = {"bizType": "000201", "channelType": "07"}


class Refunds:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def send(self, order: RefundOrder) -> RefundResult:
        """As `Provider.refund`. Without the payment's `queryId` nothing can be sent, and nothing is."""
        trade_no = order.order.channel_trade_no
        if not trade_no:
            return order.refused("NO_QUERY_ID", _NO_QUERY_ID, resendable=True)
        answer = self._gateway.call("backTransReq.do", {
            "txnType": REFUND, "txnSubType": "00", **_product(order), "orderId": order.refund_no,
            "txnTime": beijing_digits(order.sent_at), "txnAmt": str(order.amount.minor), "origQryId": trade_no,
            "backUrl": order.notify_url,
        }, operation="refund")  # fmt: skip
        if answer.code in SUCCESS:
            return _result(RefundState.PROCESSING, order, answer.code, answer.message, answer.data)
        if answer.code == _DUPLICATE or answer.code in _REFUSALS:
            return self._refused(order, answer)
        raise UnknownOutcome(f"UnionPay answered {answer}")

    def _refused(self, order: RefundOrder, answer: Answer[str]) -> RefundResult:
        """What a refusal is worth: it may answer a repeat of a request that came through the first time.

        Hence it counts only where UnionPay has no refund of that number and time.
        """
        try:
            known = self.ask(order)
        except NotSent as exc:
            raise UnknownOutcome(f"UnionPay answered {answer}, and cannot be asked: {exc}") from exc
        if known.state is not RefundState.NOT_FOUND:
            return known
        if answer.code == _DUPLICATE:
            raise UnknownOutcome("UnionPay calls the refund a duplicate and does not find it")
        return order.refused(answer.code, answer.message)

    def ask(self, refund: RefundRef) -> RefundResult:
        """As `Provider.query_refund`."""
        answer = self._gateway.retrieve(refund.refund_no, refund.sent_at, operation="query_refund")
        if answer.code == NOT_FOUND:
            return refund.not_found(answer.code, answer.message)
        if answer.code not in SUCCESS:
            raise UnknownOutcome(f"UnionPay answered {answer}")
        _check_same(refund, answer.data)
        word = answer.data.get("origRespCode", "")
        return _result(_state(word), refund, word, answer.data.get("origRespMsg", ""), answer.data)


def _product(order: RefundOrder) -> dict[str, str]:
    return {name: str(order.order.memo.get(name, usual)) for name, usual in _PRODUCT.items()}


def _state(word: str) -> RefundState:
    if word in SUCCESS:
        return RefundState.SUCCEEDED
    if word == _PROCESSING:
        return RefundState.PROCESSING
    if word in _REFUSALS:
        return RefundState.FAILED
    raise UnknownOutcome(f"UnionPay says {word or 'nothing'} of the refund")


def _check_same(refund: RefundRef, found: Mapping[str, str]) -> None:
    """The gateway compared number and time. A refund request names no currency, so that its answers may not."""
    if found.get("txnType", REFUND) != REFUND or not refund.is_of(_amount(found)):
        raise UnknownOutcome("UnionPay's answer is about another transaction (txnType, txnAmt)")
    payment, own = found.get("origQryId"), refund.order.channel_trade_no
    if payment and own and payment != own:
        raise UnknownOutcome("UnionPay's answer is about another payment's refund (origQryId)")


def _amount(found: Mapping[str, str]) -> Money | None:
    return parse_amount(found.get("txnAmt", ""), found.get("currencyCode", "156"))


def _result(
    state: RefundState, refund: RefundRef, code: str, message: str, found: Mapping[str, str]
) -> RefundResult:
    return RefundResult(
        state=state, refund_no=refund.refund_no, amount=_amount(found), channel_refund_no=found.get("queryId") or None,
        channel_state=code, code=code, message=message,
    )  # fmt: skip


def refund_notice(found: Mapping[str, str]) -> Notice:
    """A genuine message about a refund, which names the payment by `origQryId` only.

    A query's answer is signed alike, and its `respCode` is about the query: it decides nothing here.
    Raises MalformedInbound for a success that does not say which refund of how much.
    """
    amount = parse_amount(found.get("txnAmt", ""), found.get("currencyCode", "156"))
    number, sent_at = found.get("queryId") or None, from_beijing_digits(found.get("txnTime", ""))
    succeeded = found.get("respCode") in SUCCESS and "origRespCode" not in found
    if succeeded and (amount is None or number is None or sent_at is None):
        raise MalformedInbound("given back, but without amount, time or transaction number")
    return Notice(
        kind=NoticeKind.REFUND, order_no="", amount=amount, channel_trade_no=found.get("origQryId") or None,
        channel_state=found.get("respCode", ""), refund_no=found["orderId"], channel_refund_no=number,
        refund_state=RefundState.SUCCEEDED if succeeded else None, refund_sent_at=sent_at,
    )  # fmt: skip
