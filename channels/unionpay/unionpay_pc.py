"""PC web page: the payer's browser posts a signed form to UnionPay's own cashier."""

from __future__ import annotations

from channels.base import Device, Label, Method, PayOrder, PayResult
from channels.unionpay.provider import UnionPayProvider


class UnionPayPc(Method):
    """https://open.unionpay.com/tjweb/acproduct/list?apiservId=448"""

    code = "unionpay_pc"
    name = Label("银联在线支付（电脑网页）", "UnionPay (PC web)")
    instruction = "form"
    devices = frozenset({Device.PC})
    own_cashier = True

    def pay(self, provider: UnionPayProvider, order: PayOrder) -> PayResult:
        return provider.page(order, channel_type="07")
