"""Refunds, always asynchronous. https://pay.weixin.qq.com/doc/v3/merchant/4012791862"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.book import random_digits
from sandbox.clock import beijing, rfc3339
from sandbox.context import Context
from sandbox.records import Outcome, Payment, PaymentState, Refund, RefundState
from sandbox.wechat.orders import notify_url
from sandbox.wechat.transport import Asked, Problem, Reply, parameter_error

_REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
_WINDOW_SECONDS = 365 * 86400
_MOST_REFUNDS = 50
_REASON_BYTES = 80
STATES = {RefundState.PENDING: "PROCESSING", RefundState.SUCCESS: "SUCCESS", RefundState.FAIL: "CLOSED"}


class Refunds:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.book = context.book

    def apply(self, asked: Asked) -> Reply:
        data = asked.data
        refund_no = data.get("out_refund_no")
        if not isinstance(refund_no, str) or not _REFUND_NO.fullmatch(refund_no):
            raise parameter_error("out_refund_no", "应为1-64个字符，只能是数字、大小写字母_-|*@")
        payment = self._payment(asked)
        amount = self._amount(data, payment)
        known = self.book.find_refund(refund_no, channel="wechat", account=asked.account.key)
        if known is not None:
            if known.payment_id != payment.id or known.amount != amount:
                raise Problem(400, "INVALID_REQUEST", "订单信息与之前不一致，请核实")
            return Reply(200, refund_body(self.context, payment, known))
        self._check_possible(payment, amount)
        if self.book.outcome(refund_no) == Outcome.NO_BALANCE:
            raise Problem(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
        refund = self.book.add_refund(
            payment, refund_no=refund_no, channel_refund_no=new_refund_no(self.context.clock()), amount=amount,
            reason=_reason(data), notify_url=_notify_url(data),
        )  # fmt: skip
        return Reply(200, refund_body(self.context, payment, refund))

    def _payment(self, asked: Asked) -> Payment:
        order_no, transaction_id = asked.data.get("out_trade_no"), asked.data.get("transaction_id")
        if transaction_id:
            found = self.book.find_trade("wechat", asked.account.key, str(transaction_id))
        elif order_no:
            found = self.book.find("wechat", asked.account.key, str(order_no))
        else:
            raise parameter_error("transaction_id", "transaction_id和out_trade_no必须二选一")
        if found is None or found.state is not PaymentState.PAID:
            raise Problem(404, "RESOURCE_NOT_EXISTS", "订单不存在")
        return found

    def _amount(self, data: Any, payment: Payment) -> int:
        amount = data.get("amount")
        if not isinstance(amount, dict):
            raise parameter_error("amount", "缺少参数")
        for name in ("refund", "total"):
            value = amount.get(name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise parameter_error(f"amount/{name}", "应为大于0的整数，单位为分")
        if amount.get("currency") != "CNY":
            raise parameter_error("amount/currency", "仅支持CNY")
        if amount["total"] != payment.total:
            raise Problem(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试")
        return int(amount["refund"])

    def _check_possible(self, payment: Payment, amount: int) -> None:
        if self.context.clock() - (payment.paid_at or 0) > _WINDOW_SECONDS:
            raise Problem(400, "INVALID_REQUEST", "订单已超过可退款的最大期限（支付后一年内可退款）")
        if len(self.book.refunds(payment)) >= _MOST_REFUNDS:
            raise Problem(400, "INVALID_REQUEST", "部分退款次数超过限制")
        if self.book.refunded(payment) + amount > payment.paid_amount:
            raise Problem(400, "INVALID_REQUEST", "申请退款金额大于订单可退金额")

    def query(self, asked: Asked) -> Reply:
        refund_no = asked.request.match_info["out_refund_no"]
        known = self.book.find_refund(refund_no, channel="wechat", account=asked.account.key)
        if known is None:
            raise Problem(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        return Reply(200, refund_body(self.context, self.book.payment(known.payment_id), known))


def _reason(data: Mapping[str, Any]) -> str:
    reason = data.get("reason", "")
    if not isinstance(reason, str) or len(reason.encode()) > _REASON_BYTES:
        raise parameter_error("reason", "应为不超过80个字节的字符串")
    return reason


def _notify_url(data: Mapping[str, Any]) -> str:
    """May be left out: then nothing is told."""
    return notify_url(data) if "notify_url" in data else ""


def new_refund_no(now: float) -> str:
    return f"5030{random_digits(6)}{beijing(now).strftime('%Y%m%d')}{random_digits(11)}"


def refund_body(context: Context, payment: Payment, refund: Refund) -> dict[str, Any]:
    body: dict[str, Any] = {
        "amount": {
            "currency": payment.currency, "discount_refund": 0, "from": [], "payer_refund": refund.amount,
            "payer_total": payment.total, "refund": refund.amount, "settlement_refund": refund.amount,
            "settlement_total": payment.total, "total": payment.total,
        },
        "channel": "ORIGINAL", "create_time": rfc3339(refund.created_at), "funds_account": "AVAILABLE",
        "out_refund_no": refund.refund_no, "out_trade_no": payment.order_no, "promotion_detail": [],
        "refund_id": refund.channel_refund_no, "status": STATES[refund.state],
        "transaction_id": payment.trade_no, "user_received_account": "支付用户零钱",
    }  # fmt: skip
    if refund.state is RefundState.SUCCESS and refund.settled_at is not None:
        body["success_time"] = rfc3339(refund.settled_at)
    return body
