"""Native app: the phone SDK takes one signed string; the center calls nobody."""

from __future__ import annotations

from channels.alipay.provider import AlipayProvider
from channels.base import Initiated, Label, Method, PayOrder, PayResult, SdkParams


class AlipayApp(Method):
    """https://opendocs.alipay.com/open/cd12c885_alipay.trade.app.pay"""

    code = "alipay_app"
    name = Label("支付宝（App）", "Alipay (app)")
    instruction = "sdk"

    def pay(self, provider: AlipayProvider, order: PayOrder) -> PayResult:
        content = provider.content(order, "QUICK_MSECURITY_PAY")
        text = provider.order_string("alipay.trade.app.pay", order, content)
        return Initiated(instruction=SdkParams({"order_string": text}))
