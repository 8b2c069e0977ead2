"""Paying in a mini program (`wx.requestPayment`): https://pay.weixin.qq.com/doc/v3/merchant/4012791897"""

from __future__ import annotations

from channels.base import Device, Label, Method, PayerKey, PayOrder, PayResult, Refused
from channels.wechat.ordering import bridge_params
from channels.wechat.provider import WeChatPay


class WeChatMini(Method):
    code = "wechat_mini"
    name = Label("微信小程序支付", "WeChat Pay mini program")
    instruction = "sdk"
    devices = frozenset({Device.MINI})
    payer_key = PayerKey.OPENID

    def pay(self, provider: WeChatPay, order: PayOrder) -> PayResult:
        prepay_id = provider.place("jsapi", order, "prepay_id", payer={"openid": order.payer.get("openid")})
        if isinstance(prepay_id, Refused):
            return prepay_id
        return bridge_params(provider.gateway, provider.config, prepay_id)
