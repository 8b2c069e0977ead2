"""Native app: UnionPay gives a transaction number (tn) that its phone SDK takes."""

from __future__ import annotations

from channels.base import Initiated, Label, Method, PayOrder, PayResult, Refused, SdkParams
from channels.unionpay.provider import UnionPayProvider


class UnionPayApp(Method):
    """https://open.unionpay.com/tjweb/acproduct/APIList?apiservId=450&acpAPIId=765&bussType=0"""

    code = "unionpay_app"
    name = Label("云闪付（App）", "UnionPay (app)")
    instruction = "sdk"

    def pay(self, provider: UnionPayProvider, order: PayOrder) -> PayResult:
        found = provider.create(
            "appTransReq.do", order, wanted="tn", txnSubType="01", bizType="000201", channelType="08"
        )
        return found if isinstance(found, Refused) else Initiated(instruction=SdkParams({"tn": found}))
