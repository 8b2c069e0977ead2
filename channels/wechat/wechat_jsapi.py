"""Paying on a page inside WeChat's browser: https://pay.weixin.qq.com/doc/v3/merchant/4012791856"""

from __future__ import annotations

from channels.base import Device, Label, Method, PayerKey, PayOrder, PayResult, Refused
from channels.wechat.ordering import bridge_params
from channels.wechat.provider import WeChatPay


class WeChatJsapi(Method):
    code = "wechat_jsapi"
    name = Label("微信支付", "WeChat Pay")
    instruction = "sdk"
    devices = frozenset({Device.WECHAT})
    payer_key = PayerKey.OPENID

    def pay(self, provider: WeChatPay, order: PayOrder) -> PayResult:
        prepay_id = provider.place("jsapi", order, "prepay_id", payer={"openid": order.payer.get("openid")})
        if isinstance(prepay_id, Refused):
            return prepay_id
        return bridge_params(provider.gateway, provider.config, prepay_id)
