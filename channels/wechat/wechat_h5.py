"""A phone's ordinary browser, which opens WeChat: https://pay.weixin.qq.com/doc/v3/merchant/4012791834"""

from __future__ import annotations

from urllib.parse import quote

from channels.base import Device, Initiated, Label, Method, PayOrder, PayResult, Redirect, Refused
from channels.wechat.provider import WeChatPay


class WeChatH5(Method):
    code = "wechat_h5"
    name = Label("微信支付", "WeChat Pay")
    instruction = "redirect"
    devices = frozenset({Device.MOBILE})
    needs_client_ip = True
    own_cashier = True

    def pay(self, provider: WeChatPay, order: PayOrder) -> PayResult:
        scene = {"payer_client_ip": order.client_ip, "h5_info": {"type": "Wap"}}
        h5_url = provider.place("h5", order, "h5_url", scene_info=scene)
        if isinstance(h5_url, Refused):
            return h5_url
        back = ("&" if "?" in h5_url else "?") + "redirect_url=" + quote(order.return_url, safe="")
        return Initiated(instruction=Redirect(h5_url + back))
