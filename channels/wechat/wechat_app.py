"""A merchant's own app with WeChat's Open SDK: https://pay.weixin.qq.com/doc/v3/merchant/4013070347"""

from __future__ import annotations

from channels.base import Label, Method, PayOrder, PayResult, Refused
from channels.wechat.ordering import app_params
from channels.wechat.provider import WeChatPay


class WeChatApp(Method):
    code = "wechat_app"
    name = Label("微信 APP 支付", "WeChat Pay in an app")
    instruction = "sdk"

    def pay(self, provider: WeChatPay, order: PayOrder) -> PayResult:
        prepay_id = provider.place("app", order, "prepay_id")
        if isinstance(prepay_id, Refused):
            return prepay_id
        return app_params(provider.gateway, provider.config, prepay_id)
