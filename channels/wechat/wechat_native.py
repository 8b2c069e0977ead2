"""A QR code on the screen, scanned with WeChat: https://pay.weixin.qq.com/doc/v3/merchant/4012791877"""

from __future__ import annotations

from channels.base import Device, Initiated, Label, Method, PayOrder, PayResult, QrCode, Refused
from channels.wechat.provider import WeChatPay


class WeChatNative(Method):
    code = "wechat_native"
    name = Label("微信扫码支付", "WeChat Pay QR code")
    instruction = "qrcode"
    devices = frozenset({Device.PC})

    def pay(self, provider: WeChatPay, order: PayOrder) -> PayResult:
        code_url = provider.place("native", order, "code_url")
        if isinstance(code_url, Refused):
            return code_url
        return Initiated(instruction=QrCode(code_url))
