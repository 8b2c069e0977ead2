"""UnionPay for one merchant: payments started, asked for and reported, in the center's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from channels.base import (
    BillKind,
    BillRow,
    BillRule,
    CheckResult,
    CloseOutcome,
    CloseResult,
    FetchedBill,
    Form,
    InboundRequest,
    Initiated,
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
    ReturnNotice,
)
from channels.base.beijing import beijing_digits
from channels.base.checking import check_by_asking, unknown_number
from channels.base.provider import Clock, utc_now
from channels.unionpay import bills
from channels.unionpay.codes import NOT_FOUND, REFUSALS, SUCCESS, parse_amount
from channels.unionpay.fields import FIELDS, check_fields
from channels.unionpay.gateway import Gateway
from channels.unionpay.guide import GUIDE
from channels.unionpay.refunds import REFUND, Refunds, refund_notice
from paycenter.errors import IdentityMismatch, MalformedInbound, UnknownOutcome
from paycenter.http import HttpClient

GOODS_LENGTH = 32
_PAYMENT, _REVOCATION = "01", "31"
# UnionPay's own parser stumbles over these signs in a value, and control characters help nobody.
_UNFIT = re.compile(r"""[&={}\[\]"'<>\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+""")

_CHECK_HINTS = {
    "11": Label("银联不接受我们的签名：请核对商户签名证书是否已在银联商户服务平台启用，且与商户号对应",
                "UnionPay does not accept our signature: is the signing certificate enabled in its merchant "
                "portal, for this merchant number?"),
    "31": Label("银联：商户状态不正确，请联系收单机构", "UnionPay: the merchant is not active; ask the acquirer"),
    "32": Label("银联：该商户没有此交易权限，请联系收单机构",
                "UnionPay: the merchant has no permission for this; ask the acquirer"),
}  # fmt: skip


class UnionPayProvider(Provider):
    """https://open.unionpay.com/tjweb/acproduct/list?apiservId=448"""

    code = "unionpay"
    name = Label("银联", "UnionPay")
    fields = FIELDS
    guide = GUIDE
    # There is no such transaction: an order that nobody pays ends at its `payTimeout`.
    can_close = False
    can_refund = True
    masked_keys = frozenset({
        "accNo", "accountNo", "cardNo", "certifId", "customerInfo", "customerNm", "cvn2", "encryptedInfo",
        "expired", "payCardNo", "phoneNo", "pin", "signature", "tn", "token", "tokenPayData",
    })  # fmt: skip

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock = utc_now) -> None:
        super().__init__(config, http=http, clock=clock)
        self.gateway = Gateway(config, http=http, clock=clock)
        self._refunds = Refunds(self.gateway)

    @classmethod
    def check_config(cls, config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
        return check_fields(config, now)

    def check(self) -> CheckResult:
        """Ask for an order that cannot exist: a genuine "no such transaction" proves both certificates."""
        return check_by_asking(
            Label("银联", "UnionPay"),
            lambda: self.gateway.retrieve(unknown_number(), self.clock(), operation="check"),
            proves=lambda answer: answer.code == NOT_FOUND, hint=lambda answer: _CHECK_HINTS.get(answer.code),
            compare=Label("根证书、中级证书与网关地址",
                          "the root and intermediate certificates and the gateway address"),
        )  # fmt: skip

    def page(self, order: PayOrder, *, channel_type: str) -> Initiated:
        """The signed form that a browser posts to UnionPay's cashier (`channel_type` 07 PC, 08 phone).

        No order exists there until the payer acts. https://open.unionpay.com/tjweb/acproduct/APIList?acpAPIId=754&apiservId=448&version=V2.2&bussType=0
        """
        goods = _UNFIT.sub(" ", order.subject).strip()[:GOODS_LENGTH]
        fields = self.gateway.signed({
            **self._order_fields(order), "bizType": "000201", "channelType": channel_type,
            "txnSubType": "01", "frontUrl": order.return_url,
            "riskRateInfo": f"{{commodityName={goods}}}" if goods else "",
        })  # fmt: skip
        return Initiated(instruction=Form(self.gateway.address("frontTransReq.do"), fields))

    def create(self, action: str, order: PayOrder, *, wanted: str, **product: str) -> str | Refused:
        """Create the order at UnionPay and give the answer's value named `wanted`.

        Raises NotSent, or UnknownOutcome for every answer that is not explicit.
        """
        answer = self.gateway.call(action, {**self._order_fields(order), **product}, operation="pay")
        if answer.code in REFUSALS:
            return Refused(code=answer.code, message=answer.message)
        if answer.code not in SUCCESS:
            raise UnknownOutcome(f"UnionPay answered {answer}")
        value = answer.data.get(wanted)
        if not value:
            raise UnknownOutcome(f"UnionPay's answer has no {wanted}")
        return value

    def _order_fields(self, order: PayOrder) -> dict[str, str]:
        return {
            "txnType": _PAYMENT, "orderId": order.order_no, "txnTime": beijing_digits(order.sent_at),
            "txnAmt": str(order.amount.minor), "currencyCode": "156", "backUrl": order.notify_url,
            "payTimeout": beijing_digits(order.expire_at),
        }  # fmt: skip

    def query(self, order: OrderRef) -> QueryResult:
        answer = self.gateway.retrieve(order.order_no, order.sent_at, operation="query")
        if answer.code == NOT_FOUND:
            return QueryResult(
                state=PaymentState.NOT_FOUND, order_no=order.order_no,
                channel_state=answer.code, message=answer.message,
            )  # fmt: skip
        word = answer.data.get("origRespCode", "")
        if answer.code not in SUCCESS or answer.data.get("txnType") not in (_PAYMENT, None):
            raise UnknownOutcome(f"UnionPay answered {answer}")
        amount = parse_amount(answer.data.get("txnAmt", ""), answer.data.get("currencyCode", ""))
        trade_no = answer.data.get("queryId") or None
        state = self._state(word, order)
        if state is PaymentState.PAID and (amount is None or trade_no is None):
            raise UnknownOutcome("paid, but without amount or transaction number")
        # No time of payment: `traceTime` is when UnionPay took the order in.
        return QueryResult(
            state=state, order_no=order.order_no, amount=amount, channel_trade_no=trade_no,
            funding=answer.data.get("payCardType") or None, channel_state=word,
            message=answer.data.get("origRespMsg", ""),
        )  # fmt: skip

    def _state(self, word: str, order: OrderRef) -> PaymentState:
        """A declined order can still be paid with another card, until its time is over."""
        if word in SUCCESS:
            return PaymentState.PAID
        if word not in REFUSALS:
            raise UnknownOutcome(f"UnionPay says {word or 'nothing'} of the payment")
        return PaymentState.FAILED if self.clock() >= order.expire_at else PaymentState.UNPAID

    def close(self, order: OrderRef) -> CloseResult:
        return CloseResult(outcome=CloseOutcome.UNSUPPORTED)

    def refund(self, order: RefundOrder) -> RefundResult:
        return self._refunds.send(order)

    def query_refund(self, refund: RefundRef) -> RefundResult:
        return self._refunds.ask(refund)

    def parse_notify(self, request: InboundRequest) -> Notice:
        """https://open.unionpay.com/tjweb/acproduct/APIList?acpAPIId=754&apiservId=448&version=V2.2&bussType=0

        Sent for successes only, of payments as of refunds and revocations; `txnType` tells them apart.
        """
        if request.method != "POST":
            raise MalformedInbound("a notification is posted")
        found = self._verified(request.body)
        kind = _notice_kind(found)
        if kind is NoticeKind.REFUND:
            return refund_notice(found)
        paid = kind is NoticeKind.PAYMENT
        amount = parse_amount(found.get("txnAmt", ""), found.get("currencyCode", ""))
        trade_no = found.get("queryId") or None
        if paid and (amount is None or trade_no is None):
            raise MalformedInbound("paid, but without amount or transaction number")
        return Notice(
            kind=kind, order_no=found["orderId"], state=PaymentState.PAID if paid else None, amount=amount,
            channel_trade_no=trade_no, funding=found.get("payCardType") or None,
            channel_state=found.get("respCode", ""),
        )  # fmt: skip

    def ack(self, notice: Notice) -> Reply:
        return Reply(status=200, body=b"ok")

    def nack(self, reason: str) -> Reply:
        return Reply(status=500, body=b"fail")

    def bill_rule(self) -> BillRule:
        return bills.RULE

    def fetch_bill(self, day: date, kind: BillKind, into: Path) -> FetchedBill:
        return bills.fetch(self.gateway, day=day, into=into, now=self.clock())

    def read_bill(self, path: Path, day: date, kind: BillKind) -> Iterator[BillRow]:
        return bills.read(path, day=day, mer_id=self.config["mer_id"])

    def parse_return(self, request: InboundRequest, order: OrderRef) -> ReturnNotice:
        """The payer's browser posts the same signed fields; one who turned back brings none."""
        if request.method != "POST" or b"signature=" not in request.body:
            return ReturnNotice(verified=False)
        return ReturnNotice(verified=True, order_no=self._verified(request.body)["orderId"])

    def _verified(self, body: bytes) -> dict[str, str]:
        """Fields of a genuine message for this very merchant and some order."""
        found = self.gateway.verify_inbound(body)
        if found.get("merId") != self.config["mer_id"]:
            raise IdentityMismatch("merId is not this account's")
        if not found.get("orderId"):
            raise MalformedInbound("no order number")
        return found


def _notice_kind(found: Mapping[str, str]) -> NoticeKind:
    kind = found.get("txnType")
    if kind in (REFUND, _REVOCATION):
        return NoticeKind.REFUND
    if kind != _PAYMENT:
        return NoticeKind.IGNORED
    # A query's answer is signed alike, and its `respCode` is about the query: it must not pass for a notice.
    genuine = "origRespCode" not in found and found.get("respCode") in SUCCESS
    return NoticeKind.PAYMENT if genuine else NoticeKind.HINT
