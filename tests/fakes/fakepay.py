"""A channel that lives in memory and does what a test tells it to. Installed by the `fakepay` fixture.

Three scenes: `fake_qr` (QR), `fake_page` (redirect, own cashier, cannot be closed while unseen) and
`fake_jsapi` (needs an openid). Notifications are JSON with a shared secret; `Book` is the channel's side.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

from channels.base import (
    CheckResult,
    CloseOutcome,
    CloseResult,
    Device,
    Field,
    FieldKind,
    InboundRequest,
    Initiated,
    Label,
    Method,
    Notice,
    NoticeKind,
    OrderRef,
    PayerKey,
    PaymentState,
    PayOrder,
    PayResult,
    Provider,
    QrCode,
    QueryResult,
    Redirect,
    RefundOrder,
    RefundRef,
    RefundResult,
    RefundState,
    Refused,
    Reply,
    ReturnNotice,
    SdkParams,
)
from paycenter.errors import BadSignature, IdentityMismatch, MalformedInbound, NotSent, UnknownOutcome
from paycenter.http import HttpCall, _recorder
from paycenter.money import Money

SECRET = "fake-channel-secret"


@dataclass
class Payment:
    """One order in the channel's book. `seen` is False for a page the payer never opened."""

    order_no: str
    amount: Money
    state: PaymentState = PaymentState.UNPAID
    seen: bool = True
    channel_trade_no: str = ""
    paid_at: datetime | None = None


@dataclass
class Given:
    """One refund in the channel's book."""

    refund_no: str
    order_no: str
    amount: Money
    state: RefundState = RefundState.SUCCEEDED


@dataclass
class Book:
    """The channel's side: what it believes, what was called, and the faults to come.

    Refunds end at once, or stay under way while `refunds_wait`; then `end_refund` ends them.
    """

    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Given] = field(default_factory=dict)
    refunds_wait: bool = False
    tells_sums: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[BaseException | PayResult | RefundResult | str]] = field(default_factory=dict)
    hooks: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fault(self, operation: str, *outcomes: BaseException | PayResult | RefundResult | str) -> None:
        """The next calls of `operation` end like this; "lost" acts and then answers nothing."""
        self.faults.setdefault(operation, []).extend(outcomes)

    def pay(self, order_no: str, *, amount: Money | None = None, at: datetime | None = None) -> Payment:
        """The payer pays, whatever state the order is in at the channel."""
        with self.lock:
            payment = self.payments[order_no]
            payment.state, payment.seen = PaymentState.PAID, True
            payment.amount = amount or payment.amount
            payment.channel_trade_no = payment.channel_trade_no or f"CH{order_no}"
            payment.paid_at = at
            return payment

    def notification(self, order_no: str, *, secret: str = SECRET, **changed: Any) -> dict[str, Any]:
        """A notification body about a payment; `changed` overrides what it claims."""
        payment = self.payments.get(order_no)
        claim = {
            "order_no": order_no, "merchant": "fake-merchant", "state": "paid",
            "amount": payment.amount.minor if payment else 1, "currency": payment.amount.currency if payment else "CNY",
            "channel_trade_no": (payment.channel_trade_no if payment else "") or f"CH{order_no}", "secret": secret,
        }  # fmt: skip
        return {**claim, **changed}

    def refunded(self, order_no: str, *states: RefundState) -> int:
        """What was given back of a payment, in minor units; with `states` only refunds in these."""
        with self.lock:
            wanted = states or (RefundState.SUCCEEDED,)
            return sum(r.amount.minor for r in self.refunds.values() if r.order_no == order_no and r.state in wanted)

    def give_back(self, order_no: str, refund_no: str, amount: Money) -> Given | None:
        """Enter a refund once per number; None where it exceeds what is left."""
        with self.lock:
            known = self.refunds.get(refund_no)
            if known is not None:
                return known
            payment = self.payments[order_no]
            taken = self.refunded(order_no, RefundState.SUCCEEDED, RefundState.PROCESSING)
            if payment.state != PaymentState.PAID or taken + amount.minor > payment.amount.minor:
                return None
            state = RefundState.PROCESSING if self.refunds_wait else RefundState.SUCCEEDED
            return self.refunds.setdefault(refund_no, Given(refund_no, order_no, amount, state))

    def end_refund(self, refund_no: str, state: RefundState = RefundState.SUCCEEDED) -> None:
        self.refunds[refund_no].state = state

    def refund_notice(self, refund_no: str, **changed: Any) -> dict[str, Any]:
        """A notification body about a refund; `changed` overrides what it claims."""
        given = self.refunds[refund_no]
        claim = self.notification(
            given.order_no, refund_no=refund_no, refund_state=given.state.value, amount=given.amount.minor,
            currency=given.amount.currency,
        )  # fmt: skip
        return {**claim, **changed}

    def begin(self, operation: str, order: OrderRef, about: RefundRef | None = None) -> str:
        """Count the call and take its fault; returns "lost" where the channel acts without answering, "crash"
        where our process dies with the answer in hand. The hook gets the refund where there is one."""
        with self.lock:
            self.calls[operation] += 1
            recorded = _recorder.get()
            if recorded is not None:  # as a call over HTTP would leave it in the exchange log
                url = f"https://fake.example/{operation}"
                recorded.append(HttpCall("POST", url, {}, f"order_no={order.order_no}".encode(), operation, 200))
            waiting = self.faults.get(operation)
            outcome = waiting.pop(0) if waiting else ""
        if operation in self.hooks:
            self.hooks[operation](about or order)
        if isinstance(outcome, BaseException):
            raise outcome
        if isinstance(outcome, Refused | RefundResult):
            raise _Refusal(outcome)
        return str(outcome)


class Crash(BaseException):
    """Our process dies. Not an Exception, so that nothing in the center goes on after it."""


class _Refusal(Exception):
    def __init__(self, refused: Any) -> None:
        self.refused = refused


BOOK = Book()


class FakeProvider(Provider):
    code: ClassVar[str] = "fakepay"
    name: ClassVar[Label] = Label("测试渠道", "Fake channel")
    fields: ClassVar[tuple[Field, ...]] = (
        Field("merchant", Label("商户号", "Merchant"), identity=True),
        Field("secret", Label("密钥", "Secret"), FieldKind.SECRET),
    )
    payer_authorization = True
    can_refund = True
    masked_keys = frozenset({"secret"})

    def check(self) -> CheckResult:
        return CheckResult(ok=True, message=Label("连接正常", "The connection works"))

    def query(self, order: OrderRef) -> QueryResult:
        BOOK.begin("query", order)
        payment = BOOK.payments.get(order.order_no)
        if payment is None or not payment.seen:
            return QueryResult(state=PaymentState.NOT_FOUND, order_no=order.order_no)
        return QueryResult(
            state=payment.state, order_no=order.order_no, amount=payment.amount, paid_at=payment.paid_at,
            channel_trade_no=payment.channel_trade_no or None, channel_state=payment.state.upper(),
            refunded=Money(BOOK.refunded(order.order_no), payment.amount.currency) if BOOK.tells_sums else None,
        )  # fmt: skip

    def close(self, order: OrderRef) -> CloseResult:
        lost = BOOK.begin("close", order)
        with BOOK.lock:
            payment = BOOK.payments.get(order.order_no)
            if payment is None or not payment.seen:
                return CloseResult(outcome=CloseOutcome.NOT_FOUND)
            if payment.state == PaymentState.PAID:
                return CloseResult(outcome=CloseOutcome.REFUSED, code="PAID")
            payment.state = PaymentState.CLOSED
        if lost:
            raise UnknownOutcome("no answer")
        return CloseResult(outcome=CloseOutcome.CLOSED)

    def refund(self, order: RefundOrder) -> RefundResult:
        try:
            lost = BOOK.begin("refund", order.order, order)
        except _Refusal as refusal:
            return replace(refusal.refused, refund_no=order.refund_no)
        given = BOOK.give_back(order.order.order_no, order.refund_no, order.amount)
        if lost == "crash":
            raise Crash
        if lost:
            raise UnknownOutcome("no answer")
        if given is None:
            return RefundResult(state=RefundState.FAILED, refund_no=order.refund_no, code="TOO_MUCH", message="no")
        return _word(given)

    def query_refund(self, refund: RefundRef) -> RefundResult:
        BOOK.begin("query_refund", refund.order, refund)
        given = BOOK.refunds.get(refund.refund_no)
        if given is None:
            return RefundResult(state=RefundState.NOT_FOUND, refund_no=refund.refund_no)
        return _word(given)

    def parse_notify(self, request: InboundRequest) -> Notice:
        try:
            claim = json.loads(request.body)
        except ValueError as exc:
            raise MalformedInbound("not JSON") from exc
        if claim.get("hint"):
            return Notice(kind=NoticeKind.HINT, order_no=claim["order_no"])
        if claim.get("secret") != SECRET:
            raise BadSignature("wrong secret")
        if claim["merchant"] != "fake-merchant":
            raise IdentityMismatch("another merchant")
        state = PaymentState(claim["state"])
        kind = NoticeKind.REFUND if claim.get("refund_no") else NoticeKind.PAYMENT
        return Notice(
            kind=NoticeKind.IGNORED if state == PaymentState.UNPAID else kind, order_no=claim["order_no"], state=state,
            amount=None if claim["amount"] is None else Money(claim["amount"], claim["currency"]),
            channel_trade_no=claim["channel_trade_no"],
            refund_no=claim.get("refund_no"),
            refund_state=RefundState(claim["refund_state"]) if claim.get("refund_state") else None,
        )  # fmt: skip

    def ack(self, notice: Notice) -> Reply:
        return Reply(status=200, body=b"fake-ok")

    def nack(self, reason: str) -> Reply:
        return Reply(status=400, body=b"fake-no")

    def parse_return(self, request: InboundRequest, order: OrderRef) -> ReturnNotice:
        if "forged" in request.query:
            raise BadSignature("forged return")
        return ReturnNotice(verified=True, order_no=order.order_no if "other" not in request.query else "ANOTHER")

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        return f"https://fake.example/authorize?redirect_uri={redirect_uri}&state={state}"

    def payer_from_code(self, code: str) -> dict[str, str]:
        if code == "down":
            raise NotSent("no connection")
        return {"openid": f"openid-{code}"}


def _word(given: Given) -> RefundResult:
    return RefundResult(
        state=given.state, refund_no=given.refund_no, amount=given.amount, channel_refund_no=f"RF{given.refund_no}",
        channel_state=given.state.upper(),
    )  # fmt: skip


def _start(order: PayOrder, *, seen: bool, result: Initiated) -> PayResult:
    try:
        lost = BOOK.begin("pay", order)
    except _Refusal as refusal:
        return refusal.refused
    with BOOK.lock:
        known = BOOK.payments.setdefault(order.order_no, Payment(order.order_no, order.amount, seen=seen))
        if known.state == PaymentState.CLOSED:
            return Refused(code="CLOSED", message="the order is closed")
    if lost:
        raise UnknownOutcome("no answer")
    return result


class FakeQr(Method):
    code = "fake_qr"
    name = Label("测试扫码", "Fake QR")
    instruction = "qrcode"
    devices = frozenset({Device.PC, Device.MOBILE})

    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        content = f"fake://pay/{order.order_no}"
        return _start(order, seen=True, result=Initiated(instruction=QrCode(content), memo={"qr": content}))


class FakePage(Method):
    code = "fake_page"
    name = Label("测试网页", "Fake page")
    instruction = "redirect"
    devices = frozenset({Device.PC, Device.MOBILE})
    own_cashier = True
    currencies = frozenset({"CNY", "USD", "JPY", "KWD"})

    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        url = f"https://fake.example/pay/{order.order_no}"
        return _start(order, seen=False, result=Initiated(instruction=Redirect(url)))


class FakeJsapi(Method):
    code = "fake_jsapi"
    name = Label("测试公众号", "Fake JSAPI")
    instruction = "sdk"
    devices = frozenset({Device.WECHAT})
    payer_key = PayerKey.OPENID

    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        params = {"appId": "fake", "package": f"prepay_id={order.order_no}", "paySign": "sig"}
        return _start(order, seen=True, result=Initiated(instruction=SdkParams(params), channel_trade_no=None))


def install(monkeypatch: Any) -> Book:
    """Make the fake channel discoverable beside the real ones, with an empty book."""
    from types import MappingProxyType

    from channels.base import discovery
    from merchants import channels as merchant_channels

    real_providers, real_methods, real_owners = discovery._registry()
    scenes = {m.code: m() for m in (FakeQr, FakePage, FakeJsapi)}
    registry = (
        MappingProxyType({**real_providers, FakeProvider.code: FakeProvider}),
        MappingProxyType({**real_methods, **scenes}),
        MappingProxyType({**real_owners, **dict.fromkeys(scenes, FakeProvider.code)}),
    )
    monkeypatch.setattr(discovery, "_registry", lambda: registry)
    merchant_channels._cache.clear()
    BOOK.__init__()  # type: ignore[misc]
    return BOOK
