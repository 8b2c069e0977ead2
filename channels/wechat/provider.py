"""WeChat Pay API v3, direct merchant: https://pay.weixin.qq.com/doc/v3/merchant/4012062524

Deductions under a contract are orders of API v2 and go to `deductions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

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
from channels.base.provider import Clock, utc_now
from channels.base.reading import Unreadable, optional_in, read_json, text_in
from channels.wechat import bills, checking, deductions, ordering, reading, refunds
from channels.wechat.certificates import PlatformCertificate, config_problems
from channels.wechat.fields import FIELDS
from channels.wechat.gateway import Answer, Gateway
from channels.wechat.gateway_v2 import GatewayV2
from channels.wechat.guide import GUIDE
from channels.wechat.payer import Authorisation
from channels.wechat.xml import write_xml
from paycenter.errors import IdentityMismatch, MalformedInbound, UnknownOutcome
from paycenter.http import HttpClient

# Words of a refused close that speak of the order's state: it may be paid, so it is queried.
_NOT_CLOSABLE = frozenset({
    "ORDERPAID", "ORDER_PAID", "ORDER_CLOSED", "TRADE_ERROR", "RULE_LIMIT", "RULELIMIT", "USERPAYING",
})  # fmt: skip
_RECEIVED = write_xml({"return_code": "SUCCESS", "return_msg": "OK"})


class WeChatPay(Provider):
    code = "wechat"
    name = Label("微信支付", "WeChat Pay")
    fields: ClassVar[tuple[Field, ...]] = FIELDS
    guide = GUIDE
    payer_authorization = True
    can_refund = True
    masked_keys = frozenset({
        "openid", "sub_openid", "unionid", "paySign", "sign", "signature", "ciphertext", "prepay_id",
        "prepayid", "package", "authorization", "wechatpay-signature", "secret", "access_token",
        "refresh_token", "payer_client_ip", "user_received_account",
    })  # fmt: skip

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock = utc_now) -> None:
        super().__init__(config, http=http, clock=clock)
        self.gateway = Gateway(config, http=http, clock=clock)
        self.v2 = GatewayV2(config, http=http)
        self._authorisation = Authorisation(config, http=http)

    @classmethod
    def check_config(cls, config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
        return config_problems(config)

    def check(self) -> CheckResult:
        return checking.check(self.gateway, self.config)

    def refresh_certificates(self) -> list[PlatformCertificate]:
        """The platform certificates to store as the account's `platform_certificates` (PEM, joined).

        Called by the connection check, on activation and by a background task every 12 hours; never
        because of something received. Empty for merchants that only have a public key.
        Raises NotSent, UnknownOutcome or ChannelConfigInvalid.
        """
        return checking.fetch_certificates(self.gateway, self.config, self.clock())

    def place(self, product: str, order: PayOrder, wanted: str, **extra: Any) -> str | Refused:
        """Place the order for a scene; see `ordering.place`."""
        return ordering.place(self.gateway, self.config, product, order, wanted, **extra)

    def query(self, order: OrderRef) -> QueryResult:
        if deductions.is_deduction(order):
            return deductions.query(self.v2, order, self.clock())
        path = f"{_order_path(order)}?mchid={quote(self.config['mch_id'], safe='')}"
        answer = self.gateway.call("GET", path, operation="query")
        if answer.status == 404 and answer.code in ordering.NO_ORDER:
            return QueryResult(
                state=PaymentState.NOT_FOUND, order_no=order.order_no,
                channel_state=answer.code, message=answer.message,
            )  # fmt: skip
        if not answer.ok:
            raise ordering.unknown(answer)
        try:
            return self._read(answer, order)
        except Unreadable as exc:
            raise UnknownOutcome(f"an answer we cannot read: {exc}") from exc

    def _read(self, answer: Answer, order: OrderRef) -> QueryResult:
        data = answer.data
        ours = (order.order_no, self.config["mch_id"], self.config["app_id"])
        if (data.get("out_trade_no"), data.get("mchid"), data.get("appid")) != ours:
            raise UnknownOutcome("the answer is about another order or merchant")
        message = optional_in(data, "trade_state_desc") or ""
        return QueryResult(**reading.payment_fields(data), message=message)

    def close(self, order: OrderRef) -> CloseResult:
        if deductions.is_deduction(order):
            return deductions.close(self.v2, order, self.clock())
        payload = {"mchid": self.config["mch_id"]}
        answer = self.gateway.call("POST", f"{_order_path(order)}/close", payload, operation="close")
        if answer.status == 204:
            return CloseResult(outcome=CloseOutcome.CLOSED)
        if answer.status == 404 and answer.code in ordering.NO_ORDER:
            outcome = CloseOutcome.NOT_FOUND
        elif not answer.ok and answer.code in _NOT_CLOSABLE:
            outcome = CloseOutcome.REFUSED
        else:
            raise ordering.unknown(answer)
        return CloseResult(outcome=outcome, code=answer.code, message=answer.message)

    def refund(self, order: RefundOrder) -> RefundResult:
        return refunds.refund(self.gateway, order)

    def query_refund(self, refund: RefundRef) -> RefundResult:
        return refunds.query_refund(self.gateway, refund)

    def parse_notify(self, request: InboundRequest) -> Notice:
        """https://pay.weixin.qq.com/doc/v3/merchant/4012791861"""
        if request.body.lstrip().startswith(b"<"):
            return deductions.parse_notify(self.v2, request.body)
        try:
            envelope = read_json(request.body)
        except ValueError as exc:
            raise MalformedInbound("not a notification of API v3") from exc
        self.gateway.verify(request.headers, request.body)
        resource = envelope.get("resource")
        if not isinstance(resource, dict):
            raise MalformedInbound("there is no resource")
        plain = self.gateway.decrypt(resource)
        try:
            return self._notice(envelope, read_json(plain))
        except ValueError as exc:
            raise MalformedInbound(f"it cannot be read: {exc}") from exc

    def _notice(self, envelope: Mapping[str, Any], data: Mapping[str, Any]) -> Notice:
        event = text_in(envelope, "event_type")
        notice_id = optional_in(envelope, "id") or ""
        if event.startswith("TRANSACTION."):
            self._must_be_ours(data, appid=True)
            return self._payment_notice(data, notice_id)
        self._must_be_ours(data, appid="appid" in data)
        if not event.startswith("REFUND."):
            return Notice(
                kind=NoticeKind.IGNORED, order_no=optional_in(data, "out_trade_no") or "",
                notice_id=notice_id, channel_state=event,
            )  # fmt: skip
        return refunds.notice(data, notice_id)

    @staticmethod
    def _payment_notice(data: Mapping[str, Any], notice_id: str) -> Notice:
        word = text_in(data, "trade_state")
        if word not in reading.STATES:
            return Notice(
                kind=NoticeKind.HINT, order_no=text_in(data, "out_trade_no"),
                channel_state=word, notice_id=notice_id,
            )  # fmt: skip
        return Notice(kind=NoticeKind.PAYMENT, notice_id=notice_id, **reading.payment_fields(data))

    def _must_be_ours(self, data: Mapping[str, Any], *, appid: bool) -> None:
        if data.get("mchid") != self.config["mch_id"]:
            raise IdentityMismatch("it names another merchant number")
        if appid and data.get("appid") != self.config["app_id"]:
            raise IdentityMismatch("it names another app id")

    def ack(self, notice: Notice) -> Reply:
        """Notifications of API v3 carry an id and want no body; those of v2 carry none and want XML."""
        if notice.notice_id:
            return Reply(status=204, body=b"")
        return Reply(status=200, body=_RECEIVED, content_type="text/xml; charset=utf-8")

    def nack(self, reason: str) -> Reply:
        body = json.dumps({"code": "FAIL", "message": reason}, ensure_ascii=False).encode()
        return Reply(status=500, body=body, content_type="application/json; charset=utf-8")

    def bill_rule(self) -> BillRule:
        return bills.RULE

    def fetch_bill(self, day: date, kind: BillKind, into: Path) -> FetchedBill:
        return bills.fetch(self.gateway, self.config["mch_id"], day=day, kind=kind, into=into, now=self.clock())

    def read_bill(self, path: Path, day: date, kind: BillKind) -> Iterator[BillRow]:
        return bills.read(path, day=day, kind=kind, mch_id=self.config["mch_id"])

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        return self._authorisation.url(redirect_uri=redirect_uri, state=state)

    def payer_from_code(self, code: str) -> Mapping[str, str]:
        return self._authorisation.payer(code)


def _order_path(order: OrderRef) -> str:
    # Encoded here, once, so that what is signed is what is sent (`|` and `*` are legal in a number).
    return f"/v3/pay/transactions/out-trade-no/{quote(order.order_no, safe='')}"
