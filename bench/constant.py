"""A channel that answers every payment with the same QR code, at once or after one small HTTP call: what is left is
the center's own work. Part of the measurements only; `install` puts it beside the real ones.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from channels.base import (
    CheckResult,
    CloseOutcome,
    CloseResult,
    Field,
    FieldKind,
    InboundRequest,
    Initiated,
    Label,
    Method,
    Notice,
    OrderRef,
    PaymentState,
    PayOrder,
    PayResult,
    Provider,
    QrCode,
    QueryResult,
    Reply,
    discovery,
)
from paycenter.errors import BadSignature

CHANNEL, SCENE, SCENE_AT_ONCE = "constant", "constant_qr", "constant_at_once"


class ConstantProvider(Provider):
    code = CHANNEL
    name = Label("测量用", "For measuring")
    fields = (Field("base_url", Label("地址", "address"), FieldKind.URL),)

    def check(self) -> CheckResult:
        return CheckResult(ok=True, message=self.name)

    def query(self, order: OrderRef) -> QueryResult:
        return QueryResult(state=PaymentState.UNPAID, order_no=order.order_no)

    def close(self, order: OrderRef) -> CloseResult:
        return CloseResult(outcome=CloseOutcome.CLOSED)

    def parse_notify(self, request: InboundRequest) -> Notice:
        raise BadSignature("it sends none")

    def ack(self, notice: Notice) -> Reply:
        return Reply(status=200, body=b"")

    def nack(self, reason: str) -> Reply:
        return Reply(status=400, body=b"")


class ConstantQr(Method):
    code = SCENE
    name = Label("测量用扫码", "QR for measuring")
    instruction = "qrcode"

    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        body = f'{{"order_no":"{order.order_no}","amount":{order.amount.minor}}}'.encode()
        headers = {"Content-Type": "application/json"}
        provider.http.request("POST", provider.config["base_url"], body=body, headers=headers, operation="pay")
        return Initiated(instruction=QrCode("constant://pay"))


class ConstantAtOnce(Method):
    code = SCENE_AT_ONCE
    name = Label("测量用即时", "At once, for measuring")
    instruction = "qrcode"

    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        return Initiated(instruction=QrCode("constant://pay"))


def install() -> None:
    """Make the channel discoverable beside the real ones, in this process."""
    providers, methods, owners = discovery._registry()
    registry = (
        MappingProxyType({**providers, CHANNEL: ConstantProvider}),
        MappingProxyType({**methods, SCENE: ConstantQr(), SCENE_AT_ONCE: ConstantAtOnce()}),
        MappingProxyType({**owners, SCENE: CHANNEL, SCENE_AT_ONCE: CHANNEL}),
    )
    discovery._registry = lambda: registry  # type: ignore[assignment]
