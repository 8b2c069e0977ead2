"""Mobile browser: the same form as on a PC, for UnionPay's page made for phones."""

from __future__ import annotations

from channels.base import Device, Label, Method, PayOrder, PayResult
from channels.unionpay.provider import UnionPayProvider


class UnionPayWap(Method):
    """https://open.unionpay.com/tjweb/acproduct/list?apiservId=450"""

    code = "unionpay_wap"
    name = Label("银联在线支付（手机网页）", "UnionPay (mobile web)")
    instruction = "form"
    devices = frozenset({Device.MOBILE})
    own_cashier = True

    def pay(self, provider: UnionPayProvider, order: PayOrder) -> PayResult:
        return provider.page(order, channel_type="08")
