"""QR code: UnionPay gives the text of a code that the payer scans with 云闪付 or a bank's app."""

from __future__ import annotations

from channels.base import Device, Initiated, Label, Method, PayOrder, PayResult, QrCode, Refused
from channels.unionpay.provider import UnionPayProvider


class UnionPayQr(Method):
    """https://open.unionpay.com/tjweb/acproduct/APIList?acpAPIId=793&apiservId=468&version=V2.2&bussType=0"""

    code = "unionpay_qr"
    name = Label("云闪付（扫码）", "UnionPay (QR code)")
    instruction = "qrcode"
    devices = frozenset({Device.PC})

    def pay(self, provider: UnionPayProvider, order: PayOrder) -> PayResult:
        product = {"bizType": "000000", "channelType": "08"}  # a refund has to say the same
        found = provider.create("backTransReq.do", order, wanted="qrCode", txnSubType="07", **product)
        return found if isinstance(found, Refused) else Initiated(instruction=QrCode(found), memo=product)
