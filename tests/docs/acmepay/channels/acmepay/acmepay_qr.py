"""QR code: the payer scans it with the AcmePay app."""

from __future__ import annotations

from channels.acmepay.provider import AcmepayProvider
from channels.base import Device, Initiated, Label, Method, PayOrder, PayResult, QrCode, Refused


class AcmepayQr(Method):
    """https://docs.acmepay.example/scenes/qr"""

    code = "acmepay_qr"
    name = Label("AcmePay（扫码）", "AcmePay (QR code)")
    instruction = "qrcode"
    devices = frozenset({Device.PC})

    def pay(self, provider: AcmepayProvider, order: PayOrder) -> PayResult:
        found = provider.create(order, "qr")
        return found if isinstance(found, Refused) else Initiated(instruction=QrCode(found))
