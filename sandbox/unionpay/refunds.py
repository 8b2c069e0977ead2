"""Refund (04) and revocation (31): accepted at once, settled a little later, told about if they succeed."""

from __future__ import annotations

from sandbox.book import NotPossible
from sandbox.context import Context
from sandbox.records import Account, Payment, PaymentState, Refund
from sandbox.unionpay.orders import address, amount_of, check_order_id, check_time, query_id
from sandbox.unionpay.wire import Params, Refused, clearing_day

REFUND, REVOCATION = "04", "31"
# 330 days at most: https://open.unionpay.com/tjweb/acproduct/APIList?acpAPIId=755&apiservId=448&version=V2.2
_WINDOW_SECONDS = 330 * 86400
_PURPOSE = "unionpay_refund"


def take_refund(context: Context, account: Account, params: Params) -> dict[str, str]:
    """The answer of an accepted one. Raises Refused."""
    check_order_id(params)
    check_time(context, params)
    amount, number, told_at = amount_of(params), params["orderId"], address(params, "backUrl")
    if known_refund(context, account, number) or context.book.find("unionpay", account.key, number):
        raise Refused("12", "重复交易[2040003]")
    payment = context.book.find_trade("unionpay", account.key, params.get("origQryId", ""))
    if payment is None or payment.state is not PaymentState.PAID:
        raise Refused("35", "原交易不存在或状态不正确[2011000]")
    _check(context, params["txnType"], payment, amount)
    made = {"txnTime": params["txnTime"], "txnType": params["txnType"], "bizType": params["bizType"]}
    with context.store.together():
        try:
            refund = context.book.add_refund(
                payment, refund_no=number, channel_refund_no=query_id(context), amount=amount, notify_url=told_at
            )
        except NotPossible:
            raise Refused("36", "交易金额不符[2040014]") from None
        context.store.add_token(_key(account.key, number), _PURPOSE, made, context.clock() + _WINDOW_SECONDS)
    return {"queryId": refund.channel_refund_no, "origQryId": payment.trade_no, "txnAmt": str(amount)}


def _check(context: Context, kind: str, payment: Payment, amount: int) -> None:
    paid_at = payment.paid_at or context.clock()
    if kind == REVOCATION:
        if clearing_day(paid_at).date() != clearing_day(context.clock()).date():
            raise Refused("35", "原交易不存在或状态不正确[2011000]")
        if amount != payment.paid_amount:
            raise Refused("36", "交易金额不符[2040014]")
        if context.book.refunded(payment):
            raise Refused("45", "原交易已被成功退货或已被成功撤销[2050004]")
    if context.clock() - paid_at > _WINDOW_SECONDS:
        raise Refused("35", "原交易不存在或状态不正确[4040007]")


def known_refund(context: Context, account: Account, number: str) -> Refund | None:
    return context.book.find_refund(number, channel="unionpay", account=account.key)


def request_of(context: Context, refund: Refund) -> dict[str, str]:
    """`txnTime`, `txnType` and `bizType` as the merchant sent them; none for one made in the portal."""
    known = context.store.token(_key(refund.account, refund.refund_no), _PURPOSE)
    return known[0] if known else {}


def _key(account: str, number: str) -> str:
    return f"unionpay-{account}-{number}"
