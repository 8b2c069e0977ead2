"""Inside Alipay (mini program or its browser): the page hands the created trade to `tradePay`."""

from __future__ import annotations

from channels.alipay.provider import AlipayProvider, buyer_key
from channels.base import Device, Initiated, Label, Method, PayerKey, PayOrder, PayResult, Refused, SdkParams


class AlipayJsapi(Method):
    """https://opendocs.alipay.com/mini/6039ed0c_alipay.trade.create"""

    code = "alipay_jsapi"
    name = Label("支付宝（支付宝内）", "Alipay (inside Alipay)")
    instruction = "sdk"
    devices = frozenset({Device.ALIPAY})
    payer_key = PayerKey.BUYER_ID

    def pay(self, provider: AlipayProvider, order: PayOrder) -> PayResult:
        payer = buyer_key(order.payer.get("buyer_id", ""))
        content = provider.content(order, "JSAPI_PAY", op_app_id=provider.config["app_id"], **payer)
        found = provider.create("alipay.trade.create", order, content, wanted="trade_no")
        if isinstance(found, Refused):
            return found
        return Initiated(instruction=SdkParams({"trade_no": found}), channel_trade_no=found)
