"""MPGS hosted checkout for one merchant: sessions opened, returns compared, orders retrieved."""

from __future__ import annotations

import hmac
import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

from channels.base import (
    BillKind,
    BillRow,
    BillRule,
    CheckResult,
    CloseOutcome,
    CloseResult,
    FetchedBill,
    Field,
    InboundRequest,
    Initiated,
    Label,
    Notice,
    NoticeKind,
    OrderRef,
    PaymentState,
    PayOrder,
    PayResult,
    Provider,
    QueryResult,
    Redirect,
    RefundOrder,
    RefundRef,
    RefundResult,
    Refused,
    Reply,
    ReturnNotice,
)
from channels.base.provider import Clock, utc_now
from channels.base.reading import Unreadable, read_json
from channels.mpgs import bills
from channels.mpgs.fields import FIELDS, OAUTH, check_fields
from channels.mpgs.gateway import Answer, Gateway
from channels.mpgs.guide import GUIDE
from channels.mpgs.reading import order_state
from channels.mpgs.refunds import Refunds, refund_named
from channels.mpgs.tokens import TokenRefused
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound, NotSent, UnknownOutcome
from paycenter.http import HttpClient

DESCRIPTION_LENGTH = 127
# What a checkout session may live, in seconds.
SHORTEST_SESSION, LONGEST_SESSION = 60, 10800
# Causes after which this request was certainly not carried out: MPGS', and those of the token layer.
_FINAL = frozenset({
    "INVALID_REQUEST", "REQUEST_REJECTED", "invalid_token", "invalid_request", "insufficient_scope",
})  # fmt: skip

_CHECK_HINTS = {
    "invalid_client": Label("客户端 ID 或密钥不正确，或认证方式不对",
                            "client id or secret is wrong, or shown in another way than the platform wants"),
    "invalid_scope": Label("平台没有开通所填的权限范围（scope）", "the platform does not grant this scope"),
    "insufficient_scope": Label("令牌的权限不够，请核对权限范围（scope）",
                                "the token is not allowed to do this; check the scope"),
    "invalid_token": Label("平台不接受它自己签发的令牌，请核对令牌地址与受众（audience）",
                           "the platform refuses its own token; check token address and audience"),
}  # fmt: skip
_CONNECTED = Label("连接正常，身份已被接受；通知密钥只能在首次收到通知时验证",
                   "connected, our identity is accepted; only a first webhook proves the webhook secret")  # fmt: skip


class MpgsProvider(Provider):
    """https://test-gateway.mastercard.com/api/documentation/integrationGuidelines/hostedCheckout/integrationModelHostedCheckout.html"""

    code = "mpgs"
    name = Label("国际卡（MPGS）", "International cards (MPGS)")
    fields: ClassVar[tuple[Field, ...]] = FIELDS
    guide = GUIDE
    # An abandoned session simply ends; there is no call that ends it sooner.
    can_close = False
    can_refund = True
    masked_keys = frozenset({
        "access_token", "aes256Key", "api_password", "authenticationToken", "authorization", "authorizationCode",
        "client_secret", "email", "expiry", "firstName", "ipAddress", "lastName", "nameOnCard", "phone",
        "resultIndicator", "securityCode", "successIndicator", "webhook_secret", "x-notification-secret",
    })  # fmt: skip

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock = utc_now) -> None:
        super().__init__(config, http=http, clock=clock)
        self.gateway = Gateway(config, http=http, clock=clock)
        self._refunds = Refunds(self.gateway, config)

    @classmethod
    def check_config(cls, config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
        return check_fields(config)

    def check(self) -> CheckResult:
        """Retrieve an order that cannot exist: "unable to find" proves token or password, and merchant id."""
        number = f"CHECK{secrets.token_hex(12).upper()}"
        try:
            answer = self.gateway.retrieve(number, operation="check")
        except TokenRefused as exc:
            words = Label(f"无法取得访问令牌：{exc.code}", str(exc))
            return CheckResult(ok=False, message=_CHECK_HINTS.get(exc.code, words), detail={"answer": str(exc)})
        except NotSent as exc:
            return CheckResult(ok=False, message=Label(f"连接不上：{exc}", f"cannot be reached: {exc}"))
        except UnknownOutcome as exc:
            return CheckResult(ok=False, message=Label(f"没有得到明确答复：{exc}", f"no clear answer: {exc}"))
        if answer.is_unable_to_find("order", number):
            return CheckResult(ok=True, message=_CONNECTED)
        words = Label(f"被拒绝：{answer}，请核对商户号、密码和接口地址",
                      f"refused: {answer}; check merchant id, password and API address")  # fmt: skip
        return CheckResult(ok=False, message=_CHECK_HINTS.get(answer.code, words), detail={"answer": str(answer)})

    def start(self, order: PayOrder) -> PayResult:
        """Open a session and send the payer to its page. Raises NotSent or UnknownOutcome.

        Refused in the order's last minute: MPGS closes no session before that, nor at our word.
        Repeating it opens another session of the same order, which is what can be paid only once.
        """
        seconds = self._session_seconds(order)
        if seconds < SHORTEST_SESSION:
            return Refused(code="TOO_LATE", message=f"a checkout session lives at least {SHORTEST_SESSION} seconds")
        checkout = self._checkout(order, seconds)
        answer = self.gateway.start(checkout, request_id=f"{order.order_no}.{seconds}")
        if not answer.ok:
            if answer.code in _FINAL:
                return Refused(code=answer.code, message=answer.message)
            raise UnknownOutcome(f"the gateway answered {answer}")
        return self._session(answer, order)

    def _checkout(self, order: PayOrder, seconds: int) -> dict[str, Any]:
        """Empty values are refused by MPGS and left out."""
        return {
            "interaction": {
                "operation": "PURCHASE", "merchant": {"name": self.config["merchant_name"]},
                "returnUrl": order.return_url, "cancelUrl": order.return_url, "timeout": seconds,
            },
            "order": {
                "id": order.order_no, "reference": order.order_no, "amount": order.amount.major,
                "currency": order.amount.currency, "notificationUrl": order.notify_url,
                "description": description(order.subject) or order.order_no,
            },
        }  # fmt: skip

    def _session_seconds(self, order: PayOrder) -> int:
        """What is left until the attempt's expiry, as far as MPGS allows."""
        return min(int((order.expire_at - self.clock()).total_seconds()), LONGEST_SESSION)

    def _session(self, answer: Answer, order: PayOrder) -> Initiated:
        data, session = answer.data, answer.data.get("session")
        session_id = session.get("id") if isinstance(session, dict) else None
        indicator = data.get("successIndicator")
        if not isinstance(session_id, str) or not session_id or not isinstance(indicator, str) or not indicator:
            raise UnknownOutcome("the answer has no session or no success indicator")
        # MPGS names the merchant, the proxy the order.
        own = {"merchant": self.config["merchant_id"], "id": order.order_no}
        if any(data.get(name, value) != value for name, value in own.items()):
            raise UnknownOutcome("the answer is about another order or merchant")
        page = self.gateway.payment_page(session_id, data.get("checkout_url"))
        # The indicator is what a return is compared with: it never leaves this side.
        memo = {"session_id": session_id, "success_indicator": indicator}
        return Initiated(instruction=Redirect(page), memo=memo)

    def query(self, order: OrderRef) -> QueryResult:
        answer = self.gateway.retrieve(order.order_no)
        if answer.is_unable_to_find("order", order.order_no):
            return QueryResult(state=PaymentState.NOT_FOUND, order_no=order.order_no,
                               channel_state=answer.code, message=answer.message)  # fmt: skip
        if not answer.ok:
            raise UnknownOutcome(f"the gateway answered {answer}")
        try:
            return order_state(answer.data, order_no=order.order_no, merchant_id=self.config["merchant_id"])
        except Unreadable as exc:
            raise UnknownOutcome(f"an answer that decides nothing: {exc}") from exc

    def close(self, order: OrderRef) -> CloseResult:
        return CloseResult(outcome=CloseOutcome.UNSUPPORTED)

    def refund(self, order: RefundOrder) -> RefundResult:
        return self._refunds.send(order)

    def query_refund(self, refund: RefundRef) -> RefundResult:
        return self._refunds.ask(refund)

    def parse_notify(self, request: InboundRequest) -> Notice:
        """A webhook holds a constant secret and no signature: what it says only makes a query due.

        https://test-gateway.mastercard.com/api/documentation/integrationGuidelines/supportedFeatures/pickAdditionalFunctionality/webhookNotifications.html
        """
        if request.method != "POST":
            raise MalformedInbound("a webhook is posted")
        shown = request.headers.get("x-notification-secret", "")
        if not _same(shown, self.config["webhook_secret"]):
            raise BadSignature("the notification secret is absent or wrong")
        try:
            data = read_json(request.body)
        except ValueError as exc:
            raise MalformedInbound("not a JSON object") from exc
        found = data.get("order")
        order_no = found.get("id") if isinstance(found, dict) else None
        if not isinstance(order_no, str) or not order_no:
            raise MalformedInbound("no order number")
        if data.get("merchant") != self.config["merchant_id"]:
            raise IdentityMismatch("the merchant is not this account's")
        word = found.get("status") if isinstance(found, dict) else None
        return Notice(
            kind=NoticeKind.HINT, order_no=order_no, channel_state=word if isinstance(word, str) else "",
            refund_no=refund_named(data), notice_id=request.headers.get("x-notification-id", ""),
        )  # fmt: skip

    def ack(self, notice: Notice) -> Reply:
        return Reply(status=200, body=b"")

    def nack(self, reason: str) -> Reply:
        return Reply(status=500, body=b"")

    def bill_rule(self) -> BillRule | None:
        return bills.RULE if self.config["auth_mode"] == OAUTH else None

    def fetch_bill(self, day: date, kind: BillKind, into: Path) -> FetchedBill:
        return bills.fetch(self.gateway, day=day, into=into)

    def read_bill(self, path: Path, day: date, kind: BillKind) -> Iterator[BillRow]:
        return bills.read(path, day=day)

    def parse_return(self, request: InboundRequest, order: OrderRef) -> ReturnNotice:
        """Equal indicators: the payer was told it is paid. Another one is what MPGS itself sends after a failed
        payment, hence no forgery and no failure; the order is asked for in every case."""
        try:
            fields = parse_qs(request.query, errors="strict", max_num_fields=50)
        except ValueError as exc:
            raise MalformedInbound("the query cannot be read") from exc
        shown = fields.get("resultIndicator", [])
        expected = order.memo.get("success_indicator")
        verified = isinstance(expected, str) and len(shown) == 1 and _same(shown[0], expected)
        named = fields.get("order", [])
        return ReturnNotice(verified=verified, order_no=named[0] if named else order.order_no if verified else None)


def description(subject: str) -> str:
    """What the payer reads: no control characters or half ones, at most 127 characters."""
    kept = (" " if unicodedata.category(c) == "Cc" else c for c in subject if unicodedata.category(c) != "Cs")
    return " ".join("".join(kept).split())[:DESCRIPTION_LENGTH].strip()


def _same(shown: str, expected: str) -> bool:
    """Compared in constant time; nothing is never the same."""
    return bool(expected) and hmac.compare_digest(shown.encode(errors="replace"), expected.encode())
