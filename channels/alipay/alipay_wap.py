"""Mobile browser: the payer is sent to Alipay's page, which opens its app where there is one."""

from __future__ import annotations

from channels.alipay.provider import AlipayProvider
from channels.base import Device, Initiated, Label, Method, PayOrder, PayResult, Redirect


class AlipayWap(Method):
    """https://opendocs.alipay.com/open/29ae8cb6_alipay.trade.wap.pay"""

    code = "alipay_wap"
    name = Label("支付宝（手机网页）", "Alipay (mobile web)")
    instruction = "redirect"
    devices = frozenset({Device.MOBILE})
    own_cashier = True

    def pay(self, provider: AlipayProvider, order: PayOrder) -> PayResult:
        content = provider.content(order, "QUICK_WAP_WAY", quit_url=order.return_url)
        parameters = provider.page_parameters("alipay.trade.wap.pay", order, content)
        return Initiated(instruction=Redirect(provider.gateway.page_url(parameters)))
