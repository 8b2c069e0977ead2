"""Alipay for one app: payments created, asked for, closed and reported, in the center's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from channels.alipay import bills, refunds
from channels.alipay.fields import FIELDS, check_fields
from channels.alipay.gateway import Answer, Gateway, beijing, encoded, from_beijing
from channels.alipay.guide import GUIDE
from channels.alipay.reading import clean_text, main_funding, parse_amount
from channels.alipay.refusals import BUSINESS_FAILED, is_final_refusal
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
from channels.base.checking import check_by_asking, unknown_number
from channels.base.provider import Clock, utc_now
from paycenter.errors import (
    BadSignature,
    IdentityMismatch,
    MalformedInbound,
    UnknownOutcome,
)
from paycenter.http import HttpClient

SUBJECT_LENGTH, BODY_LENGTH = 256, 128
_PAID = frozenset({"TRADE_SUCCESS", "TRADE_FINISHED"})
_NOT_CLOSABLE = frozenset({
    "ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS",
    "ACQ.TRADE_HAS_CLOSE",
})  # fmt: skip
_NOT_FOUND = "ACQ.TRADE_NOT_EXIST"
# Apps' words for a funding source; any other word is Alipay's own name of a channel (balance, moneyFund …).
# https://opendocs.alipay.com/open/common/wifww7
_FUNDING = {"credit": "credit_group", "huabei": "pcredit,pcreditpayInstallment"}
# Not allowed in a subject; their full-width twins read the same.
_SUBJECT_SIGNS = str.maketrans({"/": "／", "=": "＝", "&": "＆"})
_USER_ID = re.compile(r"2088[0-9]{12}")

_CHECK_HINTS = {
    "isv.invalid-signature": Label(
        "支付宝不接受我们的签名：控制台中设置的应用公钥（证书）与这里的应用私钥不是一对",
        "Alipay does not accept our signature: the app public key (or certificate) set in its console "
        "does not belong to this private key"),
    "isv.invalid-app-id": Label("支付宝没有这个 APPID，或应用尚未上线",
                                "Alipay does not know this app id, or the app is not online yet"),
    "isv.insufficient-isv-permissions": Label("该应用尚未签约收款产品",
                                              "this app has no payment product yet"),
    "isv.invalid-timestamp": Label("服务器时钟不准", "the clock of this server is wrong"),
}  # fmt: skip


class AlipayProvider(Provider):
    """https://opendocs.alipay.com/open/270/105898"""

    code = "alipay"
    name = Label("支付宝", "Alipay")
    fields = FIELDS
    guide = GUIDE
    payer_authorization = True
    can_refund = True
    refund_settling_seconds = refunds.SETTLING_SECONDS
    masked_keys = frozenset({
        "access_token", "alipay_user_id", "app_auth_token", "auth_code", "auth_token", "buyer_id",
        "buyer_logon_id", "buyer_open_id", "buyer_user_id", "buyer_user_name", "open_id",
        "refresh_token", "seller_email", "sign", "union_id", "user_id",
    })  # fmt: skip

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock = utc_now) -> None:
        super().__init__(config, http=http, clock=clock)
        self.gateway = Gateway(config, http=http, clock=clock)

    @classmethod
    def check_config(cls, config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
        return check_fields(config, now)

    def check(self) -> CheckResult:
        """Ask for an order that cannot exist: only a signed "no such trade" proves both key pairs."""
        return check_by_asking(
            Label("支付宝", "Alipay"),
            lambda: self._ask("alipay.trade.query", {"out_trade_no": unknown_number()}, "check"),
            proves=lambda answer: answer.signed and (answer.code, answer.sub_code) == (BUSINESS_FAILED, _NOT_FOUND),
            hint=lambda answer: _CHECK_HINTS.get(answer.sub_code),
            compare=Label("支付宝公钥（证书）与网关地址",
                          "the Alipay public key (or certificate) and the gateway address"),
        )  # fmt: skip

    def content(self, order: PayOrder, product_code: str, **more: Any) -> dict[str, Any]:
        """`biz_content` that all creating calls share; `more` are the scene's own parameters.

        The same order gives the same content, so sending it twice creates one trade.
        """
        found: dict[str, Any] = {
            "out_trade_no": order.order_no,
            "total_amount": order.amount.major,
            "subject": clean_text(order.subject.translate(_SUBJECT_SIGNS), SUBJECT_LENGTH) or order.order_no,
            "product_code": product_code,
            "time_expire": beijing(order.expire_at),
            "body": clean_text(order.body, BODY_LENGTH),
            **more,
        }
        if order.funding:
            found["enable_pay_channels"] = _FUNDING.get(order.funding, order.funding)
        if order.profit_sharing:
            found["extend_params"] = {"royalty_freeze": "true"}
        return {name: value for name, value in found.items() if value}

    def page_parameters(self, method: str, order: PayOrder, content: Mapping[str, Any]) -> dict[str, str]:
        """Signed parameters that a browser carries to Alipay; no trade exists there until the payer acts."""
        extra = {"notify_url": order.notify_url, "return_url": order.return_url}
        return self.gateway.signed(method, content, extra=extra)

    def order_string(self, method: str, order: PayOrder, content: Mapping[str, Any]) -> str:
        """Signed parameters for the phone SDK."""
        return encoded(self.gateway.signed(method, content, extra={"notify_url": order.notify_url}))

    def create(
        self, method: str, order: PayOrder, content: Mapping[str, Any], *, wanted: str
    ) -> str | Refused:
        """Create the trade at Alipay and give the answer's value named `wanted`.

        Raises NotSent, or UnknownOutcome for every answer that is not explicit.
        """
        extra = {"notify_url": order.notify_url}
        answer = self.gateway.call(method, content, operation="pay", extra=extra)
        if is_final_refusal(answer):
            return Refused(code=answer.sub_code or answer.code, message=answer.message)
        self._require_success(answer, order.order_no)
        value = answer.text(wanted)
        if not value:
            raise UnknownOutcome(f"Alipay's answer has no {wanted}")
        return value

    def query(self, order: OrderRef) -> QueryResult:
        """https://opendocs.alipay.com/open/82ea786a_alipay.trade.query"""
        answer = self._ask("alipay.trade.query", {"out_trade_no": order.order_no}, "query")
        if answer.code == BUSINESS_FAILED and answer.sub_code == _NOT_FOUND:
            return QueryResult(
                state=PaymentState.NOT_FOUND, order_no=order.order_no,
                channel_state=answer.sub_code, message=answer.message,
            )  # fmt: skip
        self._require_success(answer, order.order_no)
        status = answer.text("trade_status")
        state = payment_state(status, answer.text("send_pay_date"))
        if state is None:
            raise UnknownOutcome(f"unknown trade status {status!r}")
        amount, trade_no = parse_amount(answer.text("total_amount")), answer.text("trade_no") or None
        paid = state is PaymentState.PAID
        if paid and (amount is None or trade_no is None):
            raise UnknownOutcome("paid, but without amount or trade number")
        return QueryResult(
            state=state, order_no=order.order_no, amount=amount, channel_trade_no=trade_no,
            paid_at=from_beijing(answer.text("send_pay_date")) if paid else None,
            refunded=amount if paid and status == "TRADE_CLOSED" else None,
            payer_id=answer.text("buyer_user_id") or answer.text("buyer_open_id") or None,
            funding=main_funding(answer.data.get("fund_bill_list"), "fund_channel"), channel_state=status,
        )  # fmt: skip

    def close(self, order: OrderRef) -> CloseResult:
        """https://opendocs.alipay.com/open/8dc9ebb3_alipay.trade.close"""
        answer = self._ask("alipay.trade.close", {"out_trade_no": order.order_no}, "close")
        outcome = CloseOutcome.CLOSED
        if answer.code == BUSINESS_FAILED and answer.sub_code == _NOT_FOUND:
            outcome = CloseOutcome.NOT_FOUND
        elif answer.code == BUSINESS_FAILED and answer.sub_code in _NOT_CLOSABLE:
            outcome = CloseOutcome.REFUSED
        else:
            self._require_success(answer, order.order_no)
        return CloseResult(outcome=outcome, code=answer.sub_code or answer.code, message=answer.message)

    def refund(self, order: RefundOrder) -> RefundResult:
        return refunds.refund(self.gateway, order)

    def query_refund(self, refund: RefundRef) -> RefundResult:
        return refunds.query_refund(self.gateway, refund)

    def parse_notify(self, request: InboundRequest) -> Notice:
        """https://opendocs.alipay.com/open/203/105286"""
        found = self._ours(self.verified_form(request))
        status = found.get("trade_status", "")
        state = payment_state(status, found.get("gmt_payment", ""))
        amount, trade_no = parse_amount(found.get("total_amount", "")), found.get("trade_no") or None
        kind = _notice_kind(found, state)
        if kind is NoticeKind.PAYMENT and state is PaymentState.PAID and (amount is None or trade_no is None):
            raise MalformedInbound("paid, but without amount or trade number")
        if kind is NoticeKind.REFUND:
            amount = None  # stated are the order's total and the sum given back so far, not this refund
        return Notice(
            kind=kind, order_no=found["out_trade_no"], state=state, amount=amount, channel_trade_no=trade_no,
            paid_at=from_beijing(found.get("gmt_payment", "")),
            payer_id=found.get("buyer_id") or found.get("buyer_open_id") or None,
            funding=main_funding(found.get("fund_bill_list"), "fundChannel"), channel_state=status,
            refund_no=found.get("out_biz_no") or None, notice_id=found.get("notify_id", ""),
        )  # fmt: skip

    def verified_form(self, request: InboundRequest) -> dict[str, str]:
        """Fields of a posted notification that Alipay signed, whatever and whoever it is about."""
        if request.method != "POST":
            raise MalformedInbound("a notification is posted")
        return self.gateway.verify_inbound(_ascii(request.body))

    def ack(self, notice: Notice) -> Reply:
        return Reply(status=200, body=b"success")

    def nack(self, reason: str) -> Reply:
        return Reply(status=200, body=b"fail")

    def bill_rule(self) -> BillRule:
        return bills.RULE

    def fetch_bill(self, day: date, kind: BillKind, into: Path) -> FetchedBill:
        return bills.fetch(self.gateway, day=day, kind=kind, into=into, now=self.clock())

    def read_bill(self, path: Path, day: date, kind: BillKind) -> Iterator[BillRow]:
        return bills.read(path, day=day, kind=kind, seller_id=self.config["seller_id"])

    def parse_return(self, request: InboundRequest, order: OrderRef) -> ReturnNotice:
        """A signed return names the order and no state; a payer who turned back brings no signature."""
        raw = request.query or request.body.decode("ascii", errors="replace")
        if "sign=" not in raw:
            return ReturnNotice(verified=False)
        return ReturnNotice(verified=True, order_no=self._verified(raw.encode("utf-8"))["out_trade_no"])

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        """https://opendocs.alipay.com/open/284/web (scope `auth_base`: silent, the buyer's id only)"""
        parameters = {
            "app_id": self.config["app_id"],
            "scope": "auth_base",
            "redirect_uri": redirect_uri,
            "state": state,
        }
        address: str = self.config["oauth_url"]
        return f"{address}{'&' if '?' in address else '?'}{encoded(parameters)}"

    def payer_from_code(self, code: str) -> Mapping[str, str]:
        """https://opendocs.alipay.com/open/02ailc (a success has no `code` of its own)"""
        answer = self.gateway.call(
            "alipay.system.oauth.token", None, operation="authorize",
            business={"grant_type": "authorization_code", "code": code},
        )  # fmt: skip
        payer = answer.text("user_id") or answer.text("open_id")
        if answer.signed and answer.code in ("", "10000") and payer:
            return {"buyer_id": payer}
        if answer.sub_code.startswith("isv.code"):
            raise BadSignature("Alipay does not accept the authorisation code")
        raise UnknownOutcome(f"Alipay named no payer: {answer}")

    def _ask(self, method: str, content: Mapping[str, Any], operation: str) -> Answer:
        return self.gateway.call(method, content, operation=operation)

    def _require_success(self, answer: Answer, order_no: str) -> None:
        if not answer.ok:
            raise UnknownOutcome(f"Alipay answered {answer}")
        if answer.text("out_trade_no") != order_no:
            raise UnknownOutcome("Alipay's answer is about another order")

    def _verified(self, raw: bytes) -> dict[str, str]:
        return self._ours(self.gateway.verify_inbound(_ascii(raw)))

    def _ours(self, found: dict[str, str]) -> dict[str, str]:
        """Fields of a genuine notification or return, if it is for this very account and some order."""
        for name in ("app_id", "seller_id"):
            if found.get(name) != self.config[name]:
                raise IdentityMismatch(f"{name} is not this account's")
        if not found.get("out_trade_no"):
            raise MalformedInbound("no order number")
        return found


def _ascii(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as exc:
        raise MalformedInbound("not a form") from exc


def payment_state(status: str, paid_at: str) -> PaymentState | None:
    """Our word for `trade_status`; None for one that Alipay did not have when this was written.

    TRADE_CLOSED is also the end of a paid and fully refunded trade, which keeps its time of payment.
    """
    if status in _PAID or (status == "TRADE_CLOSED" and paid_at):
        return PaymentState.PAID
    return {"WAIT_BUYER_PAY": PaymentState.UNPAID, "TRADE_CLOSED": PaymentState.CLOSED}.get(status)


def _notice_kind(found: Mapping[str, str], state: PaymentState | None) -> NoticeKind:
    refunded = parse_amount(found.get("refund_fee", ""))
    if (refunded is not None and refunded.minor) or found.get("gmt_refund") or found.get("out_biz_no"):
        return NoticeKind.REFUND
    if state is None:
        return NoticeKind.HINT
    return NoticeKind.IGNORED if state is PaymentState.UNPAID else NoticeKind.PAYMENT


def buyer_key(buyer: str) -> dict[str, str]:
    """The buyer as `alipay.trade.create` takes it: a user id (2088…), or the open id of newer apps."""
    return {"buyer_id" if _USER_ID.fullmatch(buyer) else "buyer_open_id": buyer}
