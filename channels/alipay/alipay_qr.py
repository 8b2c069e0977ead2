"""QR code: Alipay creates the trade and gives the text of a code that the payer scans."""

from __future__ import annotations

from channels.alipay.provider import AlipayProvider
from channels.base import Device, Initiated, Label, Method, PayOrder, PayResult, QrCode, Refused


class AlipayQr(Method):
    """https://opendocs.alipay.com/open/8ad49e4a_alipay.trade.precreate (a code lives two hours at most)"""

    code = "alipay_qr"
    name = Label("支付宝（扫码）", "Alipay (QR code)")
    instruction = "qrcode"
    devices = frozenset({Device.PC})

    def pay(self, provider: AlipayProvider, order: PayOrder) -> PayResult:
        content = provider.content(order, "FACE_TO_FACE_PAYMENT")
        found = provider.create("alipay.trade.precreate", order, content, wanted="qr_code")
        return found if isinstance(found, Refused) else Initiated(instruction=QrCode(found))
