"""PC web page: the payer is sent to Alipay's own cashier."""

from __future__ import annotations

from channels.alipay.provider import AlipayProvider
from channels.base import Device, Form, Initiated, Label, Method, PayOrder, PayResult


class AlipayPage(Method):
    """https://opendocs.alipay.com/open/59da99d0_alipay.trade.page.pay"""

    code = "alipay_page"
    name = Label("支付宝（电脑网页）", "Alipay (PC web)")
    instruction = "form"
    devices = frozenset({Device.PC})
    own_cashier = True

    def pay(self, provider: AlipayProvider, order: PayOrder) -> PayResult:
        content = provider.content(order, "FAST_INSTANT_TRADE_PAY")
        fields = provider.page_parameters("alipay.trade.page.pay", order, content)
        return Initiated(instruction=Form(provider.gateway.form_action, fields))
