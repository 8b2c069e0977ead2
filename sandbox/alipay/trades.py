"""The server calls about one order: create, query, close, cancel, refund, refund query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.alipay.envelope import Params, business
from sandbox.alipay.orders import invalid, take_order
from sandbox.amounts import parse_yuan, yuan
from sandbox.book import NotPossible
from sandbox.clock import wall_clock
from sandbox.context import Context
from sandbox.records import Account, Outcome, Payment, PaymentState, Refund, RefundState

Biz = Mapping[str, Any]
# The contract's refund window; three months is the vendor's usual one.
REFUND_WINDOW_SECONDS = 90 * 86400
_OK = {"code": "10000", "msg": "Success"}


class Trades:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.book = context.book

    def precreate(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        on_scan = self.context.settings.qr_trade_on_scan
        state = PaymentState.UNSCANNED if on_scan else PaymentState.UNPAID
        payment = take_order(self.context, account, params, biz, state)
        return {**_OK, "out_trade_no": payment.order_no, "qr_code": f"{base}/qr/{payment.code}"}

    def create(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        payment = take_order(self.context, account, params, biz, PaymentState.UNPAID)
        return {**_OK, "out_trade_no": payment.order_no, "trade_no": payment.trade_no}

    def query(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        payment = self._existing(account, biz)
        answer: dict[str, Any] = {
            **_OK, "buyer_logon_id": "san***@sandbox.example", "buyer_pay_amount": "0.00",
            "invoice_amount": "0.00", "out_trade_no": payment.order_no, "point_amount": "0.00",
            "receipt_amount": "0.00", "total_amount": yuan(payment.total), "trade_no": payment.trade_no,
            "trade_status": trade_status(self.context, payment),
        }  # fmt: skip
        if payment.payer:
            answer["buyer_user_id"] = payment.payer
        if payment.state is PaymentState.PAID and payment.paid_at is not None:
            paid = yuan(payment.total)
            answer |= {
                "buyer_pay_amount": paid, "invoice_amount": paid, "receipt_amount": paid,
                "send_pay_date": wall_clock(payment.paid_at),
                "fund_bill_list": [{"amount": paid, "fund_channel": "ALIPAYACCOUNT"}],
            }  # fmt: skip
        return answer

    def close(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        payment = self._existing(account, biz)
        try:
            self.book.close(payment)
        except NotPossible:
            raise business("TRADE_STATUS_ERROR", "交易状态不合法") from None
        return {**_OK, "out_trade_no": payment.order_no, "trade_no": payment.trade_no}

    def cancel(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        """Closes an unpaid order, but gives a paid one back: never a safe way to close."""
        named = self._named(account, biz)
        if named is None or named.state is PaymentState.UNSCANNED:
            return {**_OK, "out_trade_no": str(biz.get("out_trade_no", "")), "retry_flag": "N"}
        answer = {**_OK, "out_trade_no": named.order_no, "retry_flag": "N", "trade_no": named.trade_no}
        if named.state is PaymentState.CLOSED:
            return {**answer, "action": "close"}
        if named.state is PaymentState.UNPAID:
            self.book.close(named)
            return {**answer, "action": "close"}
        rest = named.paid_amount - self.book.refunded(named)
        if rest > 0:
            self._move(named, f"cancel{named.order_no}"[:64], rest, "撤销")
        return {**answer, "action": "refund"}

    # -- refunds

    def refund(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        payment = self._existing(account, biz)
        amount = self._refund_amount(payment, biz)
        refund_no = str(biz.get("out_request_no") or payment.order_no)
        known = next((r for r in self.book.refunds(payment) if r.refund_no == refund_no), None)
        if known is not None and known.state is not RefundState.FAIL:
            return self._repeated_refund(payment, known, amount)
        if payment.state is not PaymentState.PAID:
            raise business("TRADE_STATUS_ERROR", "交易状态不合法")
        if self.context.clock() - (payment.paid_at or 0) > REFUND_WINDOW_SECONDS:
            raise business("TRADE_HAS_FINISHED", "交易已结束")
        if amount + self.book.refunded(payment) > payment.paid_amount:
            raise business("REASON_TRADE_REFUND_FEE_ERR", "退款金额无效")
        outcome = self.book.outcome(refund_no)
        if outcome == Outcome.NO_BALANCE:
            raise business("SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足")
        if outcome == Outcome.FAIL:
            raise business("TRADE_NOT_ALLOW_REFUND", "当前交易不允许退款")
        if outcome == Outcome.PENDING:
            self.book.add_refund(payment, refund_no=refund_no, channel_refund_no="", amount=amount,
                                 reason=str(biz.get("refund_reason") or ""), notify_url=payment.notify_url)  # fmt: skip
            return self._refund_answer(payment, moved=False)
        refund = self._move(payment, refund_no, amount, str(biz.get("refund_reason") or ""))
        return self._refund_answer(payment, moved=True) | {"gmt_refund_pay": wall_clock(refund.created_at)}

    def _refund_amount(self, payment: Payment, biz: Biz) -> int:
        try:
            amount = parse_yuan(str(biz.get("refund_amount", "")))
        except ValueError:
            amount = 0
        if amount < 1:
            raise invalid("refund_amount")
        if not biz.get("out_request_no") and amount != payment.total:
            raise business("REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额与订单金额不一致")
        if len(str(biz.get("out_request_no") or "")) > 64:
            raise invalid("out_request_no")
        return amount

    def _repeated_refund(self, payment: Payment, known: Refund, amount: int) -> dict[str, Any]:
        if known.amount != amount:
            raise business("DISCORDANT_REPEAT_REQUEST", "请求信息不一致")
        return self._refund_answer(payment, moved=False)

    def _refund_answer(self, payment: Payment, *, moved: bool) -> dict[str, Any]:
        """`refund_fee` is the order's refunded total so far, not this refund."""
        total = yuan(self.book.refunded(payment, settled=True))
        return {
            **_OK, "buyer_logon_id": "san***@sandbox.example", "buyer_user_id": payment.payer,
            "fund_change": "Y" if moved else "N", "out_trade_no": payment.order_no, "refund_fee": total,
            "send_back_fee": total if moved else "0.00", "trade_no": payment.trade_no,
        }  # fmt: skip

    def _move(self, payment: Payment, refund_no: str, amount: int, reason: str) -> Refund:
        with self.context.store.together():
            refund = self.book.add_refund(
                payment, refund_no=refund_no, channel_refund_no="", amount=amount, reason=reason,
                notify_url=payment.notify_url, state=RefundState.SUCCESS,
            )  # fmt: skip
            if payment.notify_url:
                self.context.notifier.owe(payment, refund)
        return refund

    def refund_query(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        payment = self._existing(account, biz)
        refund_no = biz.get("out_request_no")
        if not isinstance(refund_no, str) or not refund_no:
            raise invalid("out_request_no")
        known = next((r for r in self.book.refunds(payment) if r.refund_no == refund_no), None)
        answer = {**_OK, "out_trade_no": payment.order_no, "trade_no": payment.trade_no,
                  "out_request_no": refund_no}  # fmt: skip
        # A refund that did not happen (yet) is a success without a status: "not received or failed".
        if known is None or known.state is not RefundState.SUCCESS:
            return answer
        answer |= {
            "refund_amount": yuan(known.amount), "refund_reason": known.reason,
            "refund_status": "REFUND_SUCCESS", "total_amount": yuan(payment.total),
        }  # fmt: skip
        if "gmt_refund_pay" in (biz.get("query_options") or []) and known.settled_at is not None:
            answer["gmt_refund_pay"] = wall_clock(known.settled_at)
        return answer

    # -- finding the order

    def _named(self, account: Account, biz: Biz) -> Payment | None:
        trade_no, order_no = biz.get("trade_no"), biz.get("out_trade_no")
        if trade_no:
            return self.book.find_trade("alipay", account.key, str(trade_no))
        if order_no:
            return self.book.find("alipay", account.key, str(order_no))
        raise invalid("out_trade_no和trade_no不能同时为空")

    def _existing(self, account: Account, biz: Biz) -> Payment:
        found = self._named(account, biz)
        if found is None or found.state is PaymentState.UNSCANNED:
            raise business("TRADE_NOT_EXIST", "交易不存在")
        return found


def trade_status(context: Context, payment: Payment) -> str:
    """Alipay's word. A paid order that was given back in full also reads TRADE_CLOSED."""
    if payment.state is PaymentState.UNPAID:
        return "WAIT_BUYER_PAY"
    if payment.state is PaymentState.CLOSED:
        return "TRADE_CLOSED"
    if context.book.refunded(payment, settled=True) >= payment.paid_amount:
        return "TRADE_CLOSED"
    over = context.clock() - (payment.paid_at or 0) > REFUND_WINDOW_SECONDS
    return "TRADE_FINISHED" if over else "TRADE_SUCCESS"
