"""AcmePay for one merchant, in the center's own words. Only its explicit words mean paid, closed, failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from channels.acmepay import refunds
from channels.acmepay.fields import ACMEPAY, FIELDS, GUIDE
from channels.acmepay.gateway import Gateway
from channels.base import (
    CheckResult,
    CloseOutcome,
    CloseResult,
    InboundRequest,
    Label,
    Notice,
    NoticeKind,
    OrderRef,
    PaymentState,
    PayOrder,
    Provider,
    QueryResult,
    RefundOrder,
    RefundRef,
    RefundResult,
    Refused,
    Reply,
)
from channels.base.answers import Answer
from channels.base.checking import check_by_asking, unknown_number
from channels.base.provider import Clock, utc_now
from channels.base.reading import Unreadable, minor_in, moment_in, optional_in, text_in
from paycenter.errors import UnknownOutcome
from paycenter.http import HttpClient

SUBJECT_LENGTH = 128
_STATES = {"CREATED": PaymentState.UNPAID, "PAID": PaymentState.PAID, "CLOSED": PaymentState.CLOSED}
_NOT_FOUND = "ORDER_NOT_FOUND"
# Final words about a new order. A number that is taken (ORDER_CONFLICT) may be our own earlier sending: not final.
_REFUSALS = frozenset({"PARAM_INVALID", "MERCHANT_DISABLED", "ORDER_EXPIRED"})
_CLOSING = {"OK": CloseOutcome.CLOSED, _NOT_FOUND: CloseOutcome.NOT_FOUND, "ORDER_PAID": CloseOutcome.REFUSED}


class AcmepayProvider(Provider):
    """https://docs.acmepay.example/api"""

    code = "acmepay"
    name = ACMEPAY
    fields = FIELDS
    guide = GUIDE
    can_refund = True
    masked_keys = frozenset({"payer", "acme-signature"})

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock = utc_now) -> None:
        super().__init__(config, http=http, clock=clock)
        self.gateway = Gateway(config, http=http, clock=clock)

    def check(self) -> CheckResult:
        return check_by_asking(
            ACMEPAY, lambda: self._ask("/v1/orders/query", unknown_number(), operation="check"),
            proves=lambda answer: answer.code == _NOT_FOUND,
            compare=Label("AcmePay 公钥与网关地址", "AcmePay's public key and the gateway address"),
        )  # fmt: skip

    def create(self, order: PayOrder, scene: str) -> str | Refused:
        """The address of the order's page, also what a QR code holds. The same again makes no second order."""
        answer = self._ask(
            "/v1/orders", order.order_no, operation="pay", scene=scene, amount=order.amount.minor,
            currency=order.amount.currency, subject=order.subject[:SUBJECT_LENGTH], notify_url=order.notify_url,
            return_url=order.return_url, expires_at=order.expire_at.astimezone(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        if answer.code in _REFUSALS:
            return Refused(code=answer.code, message=answer.message)
        page = optional_in(answer.data, "pay_url")
        if answer.code != "OK" or page is None:
            raise UnknownOutcome(f"AcmePay answered {answer}")
        return page

    def query(self, order: OrderRef) -> QueryResult:
        answer = self._ask("/v1/orders/query", order.order_no, operation="query")
        if answer.code == _NOT_FOUND:
            return QueryResult(state=PaymentState.NOT_FOUND, order_no=order.order_no, channel_state=answer.code)
        if answer.code != "OK":
            raise UnknownOutcome(f"AcmePay answered {answer}")
        try:
            return QueryResult(**_payment(answer.data), refunded=minor_in(answer.data, "refunded"))
        except Unreadable as exc:
            raise UnknownOutcome(f"AcmePay's answer is not readable: {exc}") from exc

    def close(self, order: OrderRef) -> CloseResult:
        answer = self._ask("/v1/orders/close", order.order_no, operation="close")
        if answer.code not in _CLOSING:
            raise UnknownOutcome(f"AcmePay answered {answer}")
        return CloseResult(outcome=_CLOSING[answer.code], code=answer.code, message=answer.message)

    def refund(self, order: RefundOrder) -> RefundResult:
        return refunds.refund(self.gateway, order)

    def query_refund(self, refund: RefundRef) -> RefundResult:
        return refunds.query_refund(self.gateway, refund)

    def parse_notify(self, request: InboundRequest) -> Notice:
        data = self.gateway.verify_inbound(request.body, request.headers)
        if text_in(data, "event") == "refund":
            return refunds.notice(data)
        return Notice(kind=NoticeKind.PAYMENT, notice_id=text_in(data, "notice_id"), **_payment(data))

    def ack(self, notice: Notice) -> Reply:
        return Reply(status=200, body=b"OK")

    def nack(self, reason: str) -> Reply:
        return Reply(status=500, body=b"")

    def _ask(self, path: str, order_no: str, *, operation: str, **content: Any) -> Answer[Any]:
        return self.gateway.call(path, {"order_no": order_no, **content}, operation=operation)


def _payment(data: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer and a notification say alike. Raises Unreadable."""
    word = text_in(data, "status")
    if word not in _STATES:
        raise Unreadable("status is not a word we know")
    return {
        "state": _STATES[word], "order_no": text_in(data, "order_no"), "amount": minor_in(data, "amount"),
        "channel_trade_no": text_in(data, "trade_no"), "paid_at": moment_in(data, "paid_at"),
        "payer_id": optional_in(data, "payer"), "channel_state": word,
    }  # fmt: skip
