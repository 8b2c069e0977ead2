"""The bank for one merchant: orders signed, asked for, closed and reported, in the center's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from channels.bank import bills
from channels.bank.fields import FIELDS, check_fields
from channels.bank.gateway import Answer, Gateway, beijing_day
from channels.bank.guide import GUIDE
from channels.bank.reading import clean_text, named, order_name, parse_amount
from channels.bank.refunds import Refunds, refund_notice
from channels.base import (
    BillKind,
    BillRow,
    BillRule,
    CheckResult,
    CloseOutcome,
    CloseResult,
    FetchedBill,
    InboundRequest,
    Label,
    Notice,
    NoticeKind,
    NumberRule,
    OrderRef,
    PaymentState,
    PayOrder,
    Provider,
    QueryResult,
    RefundOrder,
    RefundRef,
    RefundResult,
    Reply,
    ReturnNotice,
)
from channels.base.beijing import beijing_digits, from_beijing_digits
from channels.base.checking import check_by_asking
from channels.base.provider import Clock, utc_now
from paycenter.errors import IdentityMismatch, MalformedInbound, UnknownOutcome
from paycenter.http import HttpClient

SUBJECT_LENGTH = 64
_NOT_FOUND, _PAID_ALREADY, _OVER_ALREADY = "ORD0001", "ORD0002", "ORD0003"
_STATES = {
    "UNPAID": PaymentState.UNPAID, "PAID": PaymentState.PAID,
    "CLOSED": PaymentState.CLOSED, "EXPIRED": PaymentState.CLOSED,
}  # fmt: skip
# Apps' words for a funding source; a bank knows no others.
_CARD_TYPES = {"credit": "CREDIT", "debit": "DEBIT"}
_PAYMENT, _REFUND = "notice.payment", "notice.refund"

_CHECK_HINTS = {
    "AUT0001": Label("银行没有这个分行号和商户号", "the bank does not know this branch and merchant number"),
    "AUT0002": Label("银行不接受我们的签名：交给银行的公钥与这里的商户私钥不是一对",
                     "the bank does not accept our signature: the public key it was given does not belong to "
                     "this private key"),
    "AUT0003": Label("服务器时钟不准", "the clock of this server is wrong"),
}  # fmt: skip


class BankProvider(Provider):
    """Specified in docs/channels/bank.md. An order is named by its number and the Beijing day it was made."""

    code = "bank"
    name = Label("银行网关", "Bank gateway")
    fields = FIELDS
    guide = GUIDE
    can_refund = True
    masked_keys = frozenset({"PayerAccount", "Signature"})

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock = utc_now) -> None:
        super().__init__(config, http=http, clock=clock)
        self.gateway = Gateway(config, http=http, clock=clock)
        self._refunds = Refunds(self.gateway)

    @classmethod
    def check_config(cls, config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
        return check_fields(config, now)

    def number_rule(self) -> NumberRule:
        return NumberRule(digits=int(self.config["order_no_digits"]))

    def check(self) -> CheckResult:
        """Ask for number 0, which is never given out: only a signed "no such order" proves both keys."""
        content = {"BillNo": "0" * self.number_rule().digits, "Date": beijing_day(self.clock())}
        return check_by_asking(
            Label("银行", "the bank"), lambda: self.gateway.call("/query", "query", content, operation="check"),
            proves=lambda answer: answer.signed and answer.code == _NOT_FOUND,
            hint=lambda answer: _CHECK_HINTS.get(answer.code),
            compare=Label("银行公钥与网关地址", "the bank's public key and the gateway address"),
        )  # fmt: skip

    def order_fields(self, order: PayOrder, scene: str) -> dict[str, str]:
        """Signed fields that a browser or the bank's SDK carries to the bank; it knows no order before.

        The same order always gives the same fields, so sending it twice makes one order.
        """
        content = {
            **order_name(order),
            "Amount": order.amount.major,
            "ExpireTime": beijing_digits(order.expire_at),
            "Subject": clean_text(order.subject, SUBJECT_LENGTH) or order.order_no,
            "Scene": scene,
            "NoticeUrl": order.notify_url,
        }
        if scene != "APP":
            content["ReturnUrl"] = order.return_url
        card_type = _CARD_TYPES.get(order.funding or "")
        return self.gateway.signed("pay", {**content, "CardType": card_type} if card_type else content)

    def query(self, order: OrderRef) -> QueryResult:
        answer = self._ask("/query", "query", order)
        if answer.code == _NOT_FOUND:
            return QueryResult(state=PaymentState.NOT_FOUND, order_no=order.order_no,
                               channel_state=answer.code, message=answer.message)  # fmt: skip
        if not answer.ok:
            raise UnknownOutcome(f"the bank answered {answer}")
        word, data = answer.data.get("OrderStatus", ""), answer.data
        state, amount = _STATES.get(word), parse_amount(data.get("Amount", ""))
        if state is None:
            raise UnknownOutcome(f"unknown order status {word!r}")
        paid, serial = state is PaymentState.PAID, data.get("BankSerialNo")
        if paid and (amount is None or serial is None):
            raise UnknownOutcome("paid, but without amount or serial number")
        return QueryResult(
            state=state, order_no=order.order_no, amount=amount, channel_trade_no=serial if paid else None,
            paid_at=from_beijing_digits(data.get("PaidTime", "")) if paid else None,
            refunded=parse_amount(data.get("RefundedAmount", "")) if paid else None,
            payer_id=data.get("PayerAccount"), funding=data.get("CardType") if paid else None, channel_state=word,
        )  # fmt: skip

    def close(self, order: OrderRef) -> CloseResult:
        answer = self._ask("/close", "close", order)
        if answer.ok and answer.data.get("OrderStatus") == "CLOSED":
            outcome = CloseOutcome.CLOSED
        elif answer.code == _NOT_FOUND:
            outcome = CloseOutcome.NOT_FOUND
        elif answer.code in (_PAID_ALREADY, _OVER_ALREADY):
            outcome = CloseOutcome.REFUSED
        else:
            raise UnknownOutcome(f"the bank answered {answer}")
        return CloseResult(outcome=outcome, code=answer.code, message=answer.message)

    def refund(self, order: RefundOrder) -> RefundResult:
        return self._refunds.send(order)

    def query_refund(self, refund: RefundRef) -> RefundResult:
        return self._refunds.ask(refund)

    def parse_notify(self, request: InboundRequest) -> Notice:
        if request.method != "POST":
            raise MalformedInbound("a notice is posted")
        found = self.gateway.verify_inbound(request.body, {_PAYMENT, _REFUND})
        if found["MsgType"] == _REFUND:
            return refund_notice(found)
        number, day = named(found)
        word, serial = found.get("OrderStatus", ""), found.get("BankSerialNo")
        state, amount = _STATES.get(word), parse_amount(found.get("Amount", ""))
        if state is PaymentState.PAID and (amount is None or serial is None):
            raise MalformedInbound("paid, but without amount or serial number")
        return Notice(
            kind=NoticeKind.HINT if state is None else NoticeKind.PAYMENT, order_no=number, order_day=day,
            state=state, amount=amount, channel_trade_no=serial,
            paid_at=from_beijing_digits(found.get("PaidTime", "")), payer_id=found.get("PayerAccount"),
            funding=found.get("CardType"), channel_state=word, notice_id=found.get("NoticeNo", ""),
        )  # fmt: skip

    def ack(self, notice: Notice) -> Reply:
        return Reply(status=200, body=b"SUCCESS")

    def nack(self, reason: str) -> Reply:
        return Reply(status=200, body=b"FAIL")

    def bill_rule(self) -> BillRule:
        return bills.RULE

    def fetch_bill(self, day: date, kind: BillKind, into: Path) -> FetchedBill:
        return bills.fetch(self.gateway, day=day, into=into)

    def read_bill(self, path: Path, day: date, kind: BillKind) -> Iterator[BillRow]:
        return bills.read(path, day=day, branch_id=self.config["branch_id"], co_no=self.config["co_no"])

    def parse_return(self, request: InboundRequest, order: OrderRef) -> ReturnNotice:
        """A signed return names the order and no state; a payer who turned back brings no signature.

        Raises IdentityMismatch for the same number of another day, which is another order.
        """
        if "Signature=" not in request.query:
            return ReturnNotice(verified=False)
        found = self.gateway.verify_inbound(request.query.encode("utf-8"), {"return"})
        number, day = named(found)
        if day != beijing_day(order.sent_at):
            raise IdentityMismatch("it names an order of another day")
        return ReturnNotice(verified=True, order_no=number)

    def _ask(self, path: str, kind: str, order: OrderRef) -> Answer:
        """Signed words about this very order; raises UnknownOutcome for all others."""
        name = order_name(order)
        answer = self.gateway.call(path, kind, name, operation=kind)
        if not answer.signed or any(answer.data.get(part) != value for part, value in name.items()):
            raise UnknownOutcome(f"the bank's words are unsigned or about another order: {answer}")
        return answer
