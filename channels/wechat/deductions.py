"""Deductions under a contract: API v2 orders of trade type PAP.

Deduct: https://pay.weixin.qq.com/doc/v2/merchant/4011987377
Query: https://pay.weixin.qq.com/doc/v2/merchant/4013894074, https://pay.weixin.qq.com/doc/v2/merchant/4011987538
Close: https://pay.weixin.qq.com/doc/v2/merchant/4011987803
Notification: https://pay.weixin.qq.com/doc/v2/merchant/4011987465
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from channels.base import (
    CloseOutcome,
    CloseResult,
    Initiated,
    NoAction,
    Notice,
    NoticeKind,
    OrderRef,
    PaymentState,
    PayOrder,
    PayResult,
    QueryResult,
    Refused,
)
from channels.base.beijing import BEIJING
from channels.base.reading import Unreadable
from channels.wechat.gateway_v2 import NO_ORDER, AnswerV2, GatewayV2
from channels.wechat.ordering import description
from channels.wechat.reading import STATES
from paycenter.errors import MalformedInbound, MoneyError, UnknownOutcome
from paycenter.money import Money

# A contract may deduct a day after it was asked to, and only then is there an order that a query finds.
SLOWEST = timedelta(hours=48)
# ACCEPT: taken in, to be deducted. CLOSED also says that every way of paying failed.
_STATES: Mapping[str, PaymentState] = {
    **STATES, "ACCEPT": PaymentState.UNPAID, "PAY_FAIL": PaymentState.FAILED,
}  # fmt: skip
# Words that take no money under this number. Left out on purpose: SYSTEMERROR, ORDERPAID, FREQUENCY_LIMITED,
# and ORDER_ACCEPTED, which speaks of this deduction or of an earlier one under the same contract.
_REFUSED = frozenset({
    "APPID_MCHID_NOT_MATCH", "CONTRACTERROR", "CONTRACT_NOT_EXIST", "INVALID_REQUEST", "NOAUTH", "NO_AUTH",
    "ORDERCLOSED", "PARAM_ERROR", "RULELIMIT", "SIGN_ERROR",
})  # fmt: skip
# Not every merchant may use the deductions' own query.
_NOT_THERE = NO_ORDER | {"NOAUTH", "NO_AUTH"}
# The machine that calls, which does not know its own address behind a proxy.
_OUR_IP = "127.0.0.1"


def is_deduction(order: OrderRef) -> bool:
    """Whether an order was sent under a contract: the core notes our contract number with the attempt."""
    return bool(order.memo.get("contract_no"))


def deduct(gateway: GatewayV2, order: PayOrder) -> PayResult:
    """Ask for the money; success says that WeChat Pay will try. Raises NotSent or UnknownOutcome."""
    answer = gateway.call("/pay/pappayapply", {
        "body": description(order.subject, order.order_no), "out_trade_no": order.order_no,
        "total_fee": str(order.amount.minor), "fee_type": order.amount.currency, "spbill_create_ip": _OUR_IP,
        "notify_url": order.notify_url, "trade_type": "PAP", "contract_id": order.contract_no or "",
    }, operation="pay")  # fmt: skip
    if answer.ok:
        return Initiated(instruction=NoAction())
    if answer.code in _REFUSED:
        return Refused(code=answer.code, message=answer.message, final_for_trade=True)
    raise answer.unknown()


def query(gateway: GatewayV2, order: OrderRef, now: datetime) -> QueryResult:
    """Ask for a deduction; one that its own query does not know (closed ones) is asked for among all orders.

    Raises NotSent or UnknownOutcome.
    """
    named = {"out_trade_no": order.order_no}
    with gateway.together():
        first = gateway.call("/pay/paporderquery", named, operation="query")
        if first.ok:
            return _read(first, order)
        answer = gateway.call("/pay/orderquery", named, operation="query")
    if answer.ok:
        return _read(answer, order)
    if first.code not in _NOT_THERE or answer.code not in NO_ORDER:
        raise answer.unknown()
    _expect_nothing_more(order, now)
    return QueryResult(
        state=PaymentState.NOT_FOUND, order_no=order.order_no, channel_state=answer.code, message=answer.message
    )


def close(gateway: GatewayV2, order: OrderRef, now: datetime) -> CloseResult:
    """Raises NotSent or UnknownOutcome, the latter also in the first five minutes."""
    answer = gateway.call("/pay/closeorder", {"out_trade_no": order.order_no}, operation="close")
    if answer.ok or answer.code == "ORDERCLOSED":
        outcome = CloseOutcome.CLOSED
    elif answer.code == "ORDERPAID":
        outcome = CloseOutcome.REFUSED
    elif answer.code in NO_ORDER:
        _expect_nothing_more(order, now)
        outcome = CloseOutcome.NOT_FOUND
    else:
        raise answer.unknown()
    return CloseResult(outcome=outcome, code=answer.code, message=answer.message)


def parse_notify(gateway: GatewayV2, body: bytes) -> Notice:
    """Raises BadSignature, IdentityMismatch or MalformedInbound."""
    found = gateway.verified(body)
    gateway.must_be_ours(found)
    order_no = found.get("out_trade_no", "")
    if not order_no or not found.get("contract_id"):
        raise MalformedInbound("it is about no deduction")
    word = found.get("trade_state") or found.get("err_code") or found.get("result_code", "")
    # A notification of failure may look like one of success that lacks the money: both only make a query due.
    paid = found.get("result_code") == "SUCCESS" and found.get("transaction_id") and word in ("SUCCESS", "REFUND")
    if not paid:
        return Notice(kind=NoticeKind.HINT, order_no=order_no, channel_state=word)
    try:
        return Notice(kind=NoticeKind.PAYMENT, **_payment_fields(found, word))
    except Unreadable as exc:
        raise MalformedInbound(f"it cannot be read: {exc}") from exc


def _expect_nothing_more(order: OrderRef, now: datetime) -> None:
    """Raises UnknownOutcome while an order that nobody knows may still come into being after its expiry.

    Before the expiry the word stands: sending again is safe, and nothing ends because of it.
    """
    if order.expire_at <= now < order.sent_at + SLOWEST:
        raise UnknownOutcome("WeChat Pay does not know the order yet and may still deduct")


def _read(answer: AnswerV2, order: OrderRef) -> QueryResult:
    if answer.text("out_trade_no") != order.order_no:
        raise UnknownOutcome("the answer is about another order")
    try:
        fields = _payment_fields(answer.fields, answer.text("trade_state"))
    except Unreadable as exc:
        raise UnknownOutcome(f"an answer we cannot read: {exc}") from exc
    return QueryResult(**fields, message=answer.text("trade_state_desc"))


def _payment_fields(found: Mapping[str, str], word: str) -> dict[str, Any]:
    """What QueryResult and Notice have in common. Raises Unreadable, also for an unknown state."""
    state = _STATES.get(word)
    if state is None:
        raise Unreadable("trade_state is not a word we know")
    paid = state is PaymentState.PAID
    if paid and not found.get("transaction_id"):
        raise Unreadable("transaction_id is missing")
    return {
        "state": state, "order_no": found["out_trade_no"], "amount": _amount(found) if paid else None,
        "channel_trade_no": found.get("transaction_id") or None, "paid_at": _moment(found.get("time_end", "")),
        "payer_id": found.get("openid") or None, "funding": found.get("bank_type") or None, "channel_state": word,
    }  # fmt: skip


def _amount(found: Mapping[str, str]) -> Money:
    """`total_fee`, in minor units; the currency is CNY unless named. Raises Unreadable."""
    total = found.get("total_fee", "")
    if not re.fullmatch(r"[0-9]{1,12}", total):
        raise Unreadable("total_fee is not an amount")
    try:
        return Money(int(total), found.get("fee_type") or "CNY")
    except MoneyError as exc:
        raise Unreadable("total_fee is not an amount") from exc


def _moment(text: str) -> datetime | None:
    """`yyyyMMddHHmmss` in Beijing; None where absent or not a time (it decides nothing)."""
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except ValueError:
        return None
